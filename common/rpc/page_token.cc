#include "common/rpc/page_token.h"

#include <openssl/sha.h>

#include "absl/strings/escaping.h"
#include "absl/strings/str_cat.h"
#include "common/status/errors.h"

namespace crosskey::rpc {
namespace {

constexpr size_t kIdBytes = 8;
constexpr size_t kDigestBytes = 12;

std::string Digest(const std::string& list, int64_t last_id) {
  const std::string text = absl::StrCat("crosskey page v1\n", list, "\n", last_id);
  unsigned char digest[SHA256_DIGEST_LENGTH];
  SHA256(reinterpret_cast<const unsigned char*>(text.data()), text.size(), digest);
  return std::string(reinterpret_cast<const char*>(digest), kDigestBytes);
}

}  // namespace

std::string EncodePageToken(const std::string& list, int64_t last_id) {
  std::string bytes;
  for (size_t i = 0; i < kIdBytes; ++i)
    bytes.push_back(static_cast<char>((last_id >> (8 * (kIdBytes - 1 - i))) & 0xFF));
  return absl::WebSafeBase64Escape(bytes + Digest(list, last_id));
}

absl::StatusOr<int64_t> DecodePageToken(const std::string& list, const std::string& token) {
  if (token.empty()) return 0;
  std::string bytes;
  if (!absl::WebSafeBase64Unescape(token, &bytes) || bytes.size() != kIdBytes + kDigestBytes) {
    return errors::InvalidPageToken();
  }
  uint64_t id = 0;
  for (size_t i = 0; i < kIdBytes; ++i) id = (id << 8) | static_cast<unsigned char>(bytes[i]);
  const auto last_id = static_cast<int64_t>(id);
  // The second comparison refuses other base64 spellings of the same bytes.
  if (bytes.substr(kIdBytes) != Digest(list, last_id) || EncodePageToken(list, last_id) != token) {
    return errors::InvalidPageToken();
  }
  return last_id;
}

}  // namespace crosskey::rpc
