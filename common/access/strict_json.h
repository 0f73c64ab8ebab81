// JSON (RFC 8259) of which every word counts: files and tokens that decide who may do what. An error names the place as
// a path, `allow_rules[2].name`, and has nothing of the text but names of members.
#pragma once

#include <cstdint>
#include <initializer_list>
#include <optional>
#include <string>

#include <nlohmann/json.hpp>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"

namespace crosskey::access {

inline constexpr int kJsonDepth = 16;  // objects and arrays within each other

// INVALID_ARGUMENT: it is not JSON, nests too deep, or an object has a member twice, of which other parsers take one or
// the other.
absl::StatusOr<nlohmann::json> ParseJson(absl::string_view text);

// "tokens[0]", "name" -> "tokens[0].name". A name that is no plain word, or is long, becomes "?".
std::string Member(const std::string& path, const std::string& name);
// "tokens", 0 -> "tokens[0]".
std::string Element(const std::string& path, size_t index);

// INVALID_ARGUMENT "path: why".
absl::Status Bad(const std::string& path, const std::string& why);

// INVALID_ARGUMENT: `value` is not an object, or has a member that is not one of these.
absl::Status CheckMembers(const nlohmann::json& value, const std::string& path,
                          std::initializer_list<const char*> known);
// INVALID_ARGUMENT: `value` is not an array, or is empty, which is easily taken for "any".
absl::Status CheckList(const nlohmann::json& value, const std::string& path);
// A text of 1 to `max_bytes` bytes without a control character.
absl::StatusOr<std::string> ReadText(const nlohmann::json& value, const std::string& path, size_t max_bytes);
// The same of a member that must be there.
absl::StatusOr<std::string> ReadMember(const nlohmann::json& object, const std::string& path, const std::string& name,
                                       size_t max_bytes);

// The id of a user: 1 to 2^63 - 1, as a number or as digits without a leading zero, for JSON has no numbers that large.
std::optional<int64_t> ReadUserId(const nlohmann::json& value);

// Whether UTF-8 has a control character, of ASCII or of Unicode.
bool HasControl(absl::string_view text);

}  // namespace crosskey::access
