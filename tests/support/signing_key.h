// Keys with which tests sign JSON Web Tokens.
#pragma once

#include <memory>
#include <string>

#include "absl/strings/string_view.h"

extern "C" {
struct evp_pkey_st;
}

namespace crosskey::testing {

// base64url without padding.
std::string Base64Url(absl::string_view bytes);

// A pair of keys that is made anew.
class SigningKey {
 public:
  static SigningKey Rsa(unsigned bits = 2048);
  static SigningKey P256();
  static SigningKey Ed25519();

  const std::string& alg() const { return alg_; }

  // The public key as a JSON Web Key. `more` are further members: `"use": "sig", `.
  std::string Jwk(const std::string& kid, const std::string& more = "") const;
  // The same in PEM.
  std::string Pem() const;

  // The three parts of a token, of texts that need not be JSON.
  std::string Sign(const std::string& header, const std::string& claims) const;
  // With a good header.
  std::string SignAs(const std::string& kid, const std::string& claims) const;
  // The signature of a text, as it is in a token, before base64url.
  std::string Signature(const std::string& text) const;

 private:
  SigningKey(std::string alg, evp_pkey_st* key);

  std::string alg_;
  std::shared_ptr<evp_pkey_st> key_;
};

}  // namespace crosskey::testing
