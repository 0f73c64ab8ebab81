#include "tests/support/signing_key.h"

#include <algorithm>
#include <utility>

#include <openssl/bn.h>
#include <openssl/core_names.h>
#include <openssl/ecdsa.h>
#include <openssl/evp.h>
#include <openssl/pem.h>

#include "absl/strings/escaping.h"
#include "absl/strings/str_cat.h"

namespace crosskey::testing {
namespace {

const unsigned char* Bytes(const std::string& text) { return reinterpret_cast<const unsigned char*>(text.data()); }
unsigned char* Bytes(std::string* text) { return reinterpret_cast<unsigned char*>(text->data()); }

// A number of the key, with at least so many bytes.
std::string NumberOf(const EVP_PKEY* key, const char* name, int bytes) {
  BIGNUM* number = nullptr;
  if (EVP_PKEY_get_bn_param(key, name, &number) != 1) return "";
  std::string text(static_cast<size_t>(std::max(bytes, BN_num_bytes(number))), '\0');
  BN_bn2binpad(number, Bytes(&text), static_cast<int>(text.size()));
  BN_free(number);
  return text;
}

std::string FromDer(const std::string& der) {
  const unsigned char* begin = Bytes(der);
  ECDSA_SIG* pair = d2i_ECDSA_SIG(nullptr, &begin, static_cast<long>(der.size()));
  std::string text(64, '\0');
  BN_bn2binpad(ECDSA_SIG_get0_r(pair), Bytes(&text), 32);
  BN_bn2binpad(ECDSA_SIG_get0_s(pair), Bytes(&text) + 32, 32);
  ECDSA_SIG_free(pair);
  return text;
}

}  // namespace

std::string Base64Url(absl::string_view bytes) { return absl::WebSafeBase64Escape(bytes); }

SigningKey::SigningKey(std::string alg, evp_pkey_st* key) : alg_(std::move(alg)), key_(key, EVP_PKEY_free) {}

SigningKey SigningKey::Rsa(unsigned bits) { return {"RS256", EVP_RSA_gen(bits)}; }
SigningKey SigningKey::P256() { return {"ES256", EVP_EC_gen("P-256")}; }
SigningKey SigningKey::Ed25519() { return {"EdDSA", EVP_PKEY_Q_keygen(nullptr, nullptr, "ED25519")}; }

std::string SigningKey::Jwk(const std::string& kid, const std::string& more) const {
  const std::string begin = absl::StrCat("{", more, kid.empty() ? "" : absl::StrCat(R"("kid": ")", kid, R"(", )"));
  if (alg_ == "RS256") {
    return absl::StrCat(begin, R"("kty": "RSA", "n": ")", Base64Url(NumberOf(key_.get(), OSSL_PKEY_PARAM_RSA_N, 0)),
                        R"(", "e": ")", Base64Url(NumberOf(key_.get(), OSSL_PKEY_PARAM_RSA_E, 0)), R"("})");
  }
  if (alg_ == "ES256") {
    return absl::StrCat(begin, R"("kty": "EC", "crv": "P-256", "x": ")",
                        Base64Url(NumberOf(key_.get(), OSSL_PKEY_PARAM_EC_PUB_X, 32)), R"(", "y": ")",
                        Base64Url(NumberOf(key_.get(), OSSL_PKEY_PARAM_EC_PUB_Y, 32)), R"("})");
  }
  std::string x(32, '\0');
  size_t size = x.size();
  EVP_PKEY_get_raw_public_key(key_.get(), Bytes(&x), &size);
  return absl::StrCat(begin, R"("kty": "OKP", "crv": "Ed25519", "x": ")", Base64Url(x), R"("})");
}

std::string SigningKey::Pem() const {
  BIO* memory = BIO_new(BIO_s_mem());
  PEM_write_bio_PUBKEY(memory, key_.get());
  char* text = nullptr;
  const long size = BIO_get_mem_data(memory, &text);
  std::string pem(text, static_cast<size_t>(size));
  BIO_free(memory);
  return pem;
}

std::string SigningKey::Signature(const std::string& text) const {
  EVP_MD_CTX* context = EVP_MD_CTX_new();
  EVP_DigestSignInit(context, nullptr, alg_ == "EdDSA" ? nullptr : EVP_sha256(), nullptr, key_.get());
  std::string signature(1024, '\0');
  size_t size = signature.size();
  EVP_DigestSign(context, Bytes(&signature), &size, Bytes(text), text.size());
  EVP_MD_CTX_free(context);
  signature.resize(size);
  return alg_ == "ES256" ? FromDer(signature) : signature;
}

std::string SigningKey::Sign(const std::string& header, const std::string& claims) const {
  const std::string text = absl::StrCat(Base64Url(header), ".", Base64Url(claims));
  return absl::StrCat(text, ".", Base64Url(Signature(text)));
}

std::string SigningKey::SignAs(const std::string& kid, const std::string& claims) const {
  return Sign(absl::StrCat(R"({"alg": ")", alg_, R"(", "kid": ")", kid, R"("})"), claims);
}

}  // namespace crosskey::testing
