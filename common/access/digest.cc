#include "common/access/digest.h"

#include <openssl/sha.h>

namespace crosskey::access {

Digest Sha256(absl::string_view text) {
  Digest digest;
  SHA256(reinterpret_cast<const unsigned char*>(text.data()), text.size(), digest.data());
  return digest;
}

}  // namespace crosskey::access
