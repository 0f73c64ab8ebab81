// Collects what is wrong with a request, so that the client learns of all of it at once.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "common/status/errors.h"

namespace crosskey::rpc {

class FieldErrors {
 public:
  void Add(const std::string& field, const std::string& description) { violations_.push_back({field, description}); }
  // Adds a violation unless the id is positive.
  void RequireId(const std::string& field, int64_t id);
  // Adds a violation unless the request_id is empty or a UUID that is not zero.
  void CheckRequestId(const std::string& field, const std::string& request_id);
  // Adds a violation unless there are `min` to `max` ids; if so, one for each id that is not positive.
  template <typename Ids>
  void RequireIds(const std::string& field, const Ids& ids, int min, int max) {
    if (!RequireCount(field, ids.size(), min, max)) return;  // a million ids too many are one violation
    for (int i = 0; i < ids.size(); ++i) {
      if (ids[i] <= 0) RequireId(field + "[" + std::to_string(i) + "]", ids[i]);
    }
  }
  // Adds a violation and returns false unless `count` is from `min` to `max`.
  bool RequireCount(const std::string& field, int64_t count, int64_t min, int64_t max);

  // OK, or INVALID_ARGUMENT INVALID_FIELD with the violations (errors::InvalidFields limits how many are sent).
  absl::Status status() const;

 private:
  std::vector<errors::FieldViolation> violations_;
};

// 36 characters: hexadecimal digits in groups of 8, 4, 4, 4 and 12.
bool IsUuid(const std::string& text);
// The UUID that says nothing (RFC 9562, section 5.9).
inline constexpr char kZeroUuid[] = "00000000-0000-0000-0000-000000000000";

// How many rows a page has. 0 means the default, more than the maximum means the maximum, a negative number is added to
// `errors`.
int64_t PageSize(int32_t requested, FieldErrors& errors);

}  // namespace crosskey::rpc
