// Tells whether keys and certificates of TLS are of use.
#pragma once

#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "common/rpc/caller_of.h"

namespace crosskey::rpc {

// All in PEM. Text between the blocks does not matter.
struct TlsPaths {
  std::string certificate;  // the leaf, then the certificates between it and what others trust
  std::string key;          // of the leaf, not encrypted
  std::string ca;           // the certificates that are trusted, one at least; empty: no such file
};

// What is in the files.
struct TlsTexts {
  std::string certificate, key, ca;
};

// What was found in them, written anew from what was checked, so that nobody reads anything else into it.
struct TlsMaterial {
  std::string pair;  // the key, then the certificates
  std::string ca;
  absl::Time end;  // of the leaf
};

// What the leaf is presented as.
enum class TlsUse { kServer, kServerAndClient };

// INVALID_ARGUMENT, with a message "PATH: reason": a file has nothing or something broken in it, the key is of another
// certificate, the leaf is not valid at `now`, may not be used so, or is refused by OpenSSL. Other certificates may
// have expired: those who trust something newer do not mind.
absl::StatusOr<TlsMaterial> CheckTls(const TlsPaths& paths, const TlsTexts& texts, TlsUse use, absl::Time now);

// The names of the first certificate in a PEM text; none if there is no certificate.
CertificateNames NamesIn(const std::string& pem);

}  // namespace crosskey::rpc
