#include "common/rpc/field_errors.h"

#include <algorithm>

#include "absl/strings/ascii.h"
#include "absl/strings/str_cat.h"
#include "common/status/limits.h"

namespace crosskey::rpc {

void FieldErrors::RequireId(const std::string& field, int64_t id) {
  if (id <= 0) Add(field, absl::StrCat("must be positive, not ", id));
}

void FieldErrors::CheckRequestId(const std::string& field, const std::string& request_id) {
  if (request_id.empty()) return;
  if (!IsUuid(request_id)) Add(field, "must be a UUID");
  // What a client sends that has forgotten to make one: it would be taken for the same request each time (AIP-155).
  if (request_id == kZeroUuid) Add(field, "must not be the zero UUID");
}

bool FieldErrors::RequireCount(const std::string& field, int64_t count, int64_t min, int64_t max) {
  if (count >= min && count <= max) return true;
  Add(field, absl::StrCat("must have ", min, " to ", max, " elements, not ", count));
  return false;
}

absl::Status FieldErrors::status() const {
  return violations_.empty() ? absl::OkStatus() : errors::InvalidFields(violations_);
}

bool IsUuid(const std::string& text) {
  if (text.size() != 36) return false;
  for (size_t i = 0; i < text.size(); ++i) {
    const bool dash = i == 8 || i == 13 || i == 18 || i == 23;
    if (dash ? text[i] != '-' : !absl::ascii_isxdigit(static_cast<unsigned char>(text[i]))) return false;
  }
  return true;
}

int64_t PageSize(int32_t requested, FieldErrors& errors) {
  if (requested < 0) errors.Add("page_size", absl::StrCat("must not be negative, not ", requested));
  if (requested == 0) return limits::kDefaultPageRows;
  return std::min<int64_t>(requested, limits::kMaxPageRows);
}

}  // namespace crosskey::rpc
