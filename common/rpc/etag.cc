#include "common/rpc/etag.h"

#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"

namespace crosskey::rpc {

std::string EtagOf(int64_t version) { return absl::StrCat("v", version); }

std::optional<int64_t> VersionOf(const std::string& etag) {
  if (etag.empty()) return std::nullopt;
  int64_t version = 0;
  if (!absl::SimpleAtoi(etag.substr(1), &version) || EtagOf(version) != etag) return -1;
  return version;
}

}  // namespace crosskey::rpc
