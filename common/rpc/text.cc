#include "common/rpc/text.h"

#include <vector>

#include "absl/strings/str_cat.h"

namespace crosskey::rpc {
namespace {

std::vector<char32_t> CodePoints(const std::string& text) {
  std::vector<char32_t> points;
  points.reserve(text.size());
  for (size_t i = 0; i < text.size();) {
    const auto lead = static_cast<unsigned char>(text[i]);
    const size_t length = lead < 0x80 ? 1 : lead < 0xE0 ? 2 : lead < 0xF0 ? 3 : 4;
    char32_t point = length == 1 ? lead : lead & (0xFFu >> (length + 1));
    for (size_t j = 1; j < length && i + j < text.size(); ++j) {
      point = (point << 6) | (static_cast<unsigned char>(text[i + j]) & 0x3Fu);
    }
    points.push_back(point);
    i += length;
  }
  return points;
}

bool IsControl(char32_t c) { return c < 0x20 || (c >= 0x7F && c <= 0x9F); }

// The property White_Space of the Unicode Character Database, unchanged since version 6.3.
bool IsWhiteSpace(char32_t c) {
  return (c >= 0x09 && c <= 0x0D) || c == 0x20 || c == 0x85 || c == 0xA0 || c == 0x1680 ||
         (c >= 0x2000 && c <= 0x200A) || c == 0x2028 || c == 0x2029 || c == 0x202F || c == 0x205F || c == 0x3000;
}

std::string Problem(const std::string& text, const TextRule& rule) {
  if (rule.max_bytes > 0 && static_cast<int64_t>(text.size()) > rule.max_bytes) {
    return absl::StrCat("must have at most ", rule.max_bytes, " bytes, not ", text.size());
  }
  // A code point has 4 bytes at most. This is checked before anything that takes time or memory for each character.
  if (rule.max_code_points > 0 && static_cast<int64_t>(text.size()) > 4 * rule.max_code_points) {
    return absl::StrCat("must have at most ", rule.max_code_points, " code points");
  }
  if (text.find('\0') != std::string::npos) return "must not have a NUL character";
  const std::vector<char32_t> points = CodePoints(text);
  const auto count = static_cast<int64_t>(points.size());
  if (count < rule.min_code_points) return "must not be empty";
  if (rule.max_code_points > 0 && count > rule.max_code_points) {
    return absl::StrCat("must have at most ", rule.max_code_points, " code points, not ", count);
  }
  if (!rule.allow_control) {
    for (const char32_t c : points) {
      if (IsControl(c))
        return absl::StrCat("must not have control characters (U+",
                            absl::Hex(static_cast<uint32_t>(c), absl::kZeroPad4), ")");
    }
  }
  if (rule.trimmed && !points.empty() && (IsWhiteSpace(points.front()) || IsWhiteSpace(points.back()))) {
    return "must not begin or end with white space";
  }
  return "";
}

}  // namespace

void CheckText(const std::string& field, const std::string& text, const TextRule& rule, FieldErrors& errors) {
  const std::string problem = Problem(text, rule);
  if (!problem.empty()) errors.Add(field, problem);
}

}  // namespace crosskey::rpc
