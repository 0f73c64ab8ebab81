// Rules for texts. The input is valid UTF-8: Protobuf refuses anything else in a string field.
#pragma once

#include <cstdint>
#include <string>

#include "common/rpc/field_errors.h"

namespace crosskey::rpc {

struct TextRule {
  int64_t min_code_points = 0;
  int64_t max_code_points = 0;  // 0: no limit
  int64_t max_bytes = 0;        // 0: no limit
  bool allow_control = false;   // the characters of the Unicode category Cc; NUL is never allowed
  bool trimmed = false;         // no character with the Unicode property White_Space at either end
};

// Adds at most one violation.
void CheckText(const std::string& field, const std::string& text, const TextRule& rule, FieldErrors& errors);

}  // namespace crosskey::rpc
