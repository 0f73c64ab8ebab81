#include "common/access/strict_json.h"

#include <algorithm>
#include <limits>
#include <set>
#include <vector>

#include "absl/strings/ascii.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"

namespace crosskey::access {
namespace {

using nlohmann::json;

constexpr size_t kShownNameBytes = 40;

// Goes through a text without keeping it, and stops at the first thing that is wrong.
class Scan : public json::json_sax_t {
 public:
  explicit Scan(absl::string_view text) : text_(text) {}

  const absl::Status& status() const { return status_; }

  bool null() override { return Value(); }
  bool boolean(bool) override { return Value(); }
  bool number_integer(json::number_integer_t) override { return Value(); }
  bool number_unsigned(json::number_unsigned_t) override { return Value(); }
  bool number_float(json::number_float_t, const json::string_t&) override { return Value(); }
  bool string(json::string_t&) override { return Value(); }
  bool binary(json::binary_t&) override { return Value(); }

  bool start_object(size_t) override { return Begin(false); }
  bool key(json::string_t& name) override {
    Level& level = levels_.back();
    level.name = name;
    return level.names.insert(name).second || Stop(Bad(Path(), "is there twice"));
  }
  bool end_object() override { return End(); }
  bool start_array(size_t) override { return Begin(true); }
  bool end_array() override { return End(); }

  bool parse_error(size_t position, const std::string&, const nlohmann::detail::exception&) override {
    const auto end = text_.begin() + static_cast<std::ptrdiff_t>(std::min(position, text_.size()));
    const auto lines = std::count(text_.begin(), end, '\n');
    return Stop(absl::InvalidArgumentError(absl::StrCat("line ", lines + 1, ": is not JSON")));
  }

 private:
  struct Level {
    bool is_array = false;
    size_t index = 0;             // of the value that comes next in an array
    std::string name;             // of the value that comes next in an object
    std::set<std::string> names;  // that the object has had
  };

  bool Stop(absl::Status status) {
    status_ = std::move(status);
    return false;
  }
  std::string Path() const {
    std::string path;
    for (const Level& level : levels_) path = level.is_array ? Element(path, level.index) : Member(path, level.name);
    return path;
  }
  bool Value() {
    if (!levels_.empty() && levels_.back().is_array) ++levels_.back().index;
    return true;
  }
  bool Begin(bool is_array) {
    if (levels_.size() == kJsonDepth) return Stop(Bad(Path(), absl::StrCat("is nested in more than ", kJsonDepth)));
    levels_.emplace_back();
    levels_.back().is_array = is_array;
    return true;
  }
  bool End() {
    levels_.pop_back();
    return Value();
  }

  const absl::string_view text_;
  std::vector<Level> levels_;
  absl::Status status_;
};

bool IsPlain(const std::string& name) {
  return !name.empty() && name.size() <= kShownNameBytes &&
         std::all_of(name.begin(), name.end(), [](unsigned char c) { return absl::ascii_isalnum(c) || c == '_'; });
}

}  // namespace

absl::StatusOr<json> ParseJson(absl::string_view text) {
  Scan scan(text);
  if (!json::sax_parse(text.begin(), text.end(), &scan)) return scan.status();
  return json::parse(text.begin(), text.end(), nullptr, /*allow_exceptions=*/false);
}

std::string Member(const std::string& path, const std::string& name) {
  return absl::StrCat(path, path.empty() ? "" : ".", IsPlain(name) ? name : "?");
}

std::string Element(const std::string& path, size_t index) { return absl::StrCat(path, "[", index, "]"); }

absl::Status Bad(const std::string& path, const std::string& why) {
  return absl::InvalidArgumentError(absl::StrCat(path, path.empty() ? "" : ": ", why));
}

absl::Status CheckMembers(const json& value, const std::string& path, std::initializer_list<const char*> known) {
  if (!value.is_object()) return Bad(path, "is not an object");
  for (const auto& item : value.items()) {
    if (std::find(known.begin(), known.end(), item.key()) != known.end()) continue;
    return Bad(Member(path, item.key()), absl::StrCat("is not one of ", absl::StrJoin(known, ", ")));
  }
  return absl::OkStatus();
}

absl::Status CheckList(const json& value, const std::string& path) {
  if (!value.is_array()) return Bad(path, "is not a list");
  if (value.empty()) return Bad(path, "is empty; leave it out if it does not matter");
  return absl::OkStatus();
}

absl::StatusOr<std::string> ReadText(const json& value, const std::string& path, size_t max_bytes) {
  if (!value.is_string()) return Bad(path, "is not a text");
  const auto& text = value.get_ref<const std::string&>();
  if (text.empty()) return Bad(path, "is empty");
  if (text.size() > max_bytes) return Bad(path, absl::StrCat("has more than ", max_bytes, " bytes"));
  if (HasControl(text)) return Bad(path, "has a control character");
  return text;
}

absl::StatusOr<std::string> ReadMember(const json& object, const std::string& path, const std::string& name,
                                       size_t max_bytes) {
  const auto found = object.find(name);
  if (found == object.end()) return Bad(Member(path, name), "is missing");
  return ReadText(*found, Member(path, name), max_bytes);
}

std::optional<int64_t> ReadUserId(const json& value) {
  if (value.is_number_unsigned()) {
    const auto number = value.get<uint64_t>();
    if (number == 0 || number > static_cast<uint64_t>(std::numeric_limits<int64_t>::max())) return std::nullopt;
    return static_cast<int64_t>(number);
  }
  if (!value.is_string()) return std::nullopt;
  const auto& text = value.get_ref<const std::string&>();
  int64_t number = 0;
  const bool digits = !text.empty() && std::all_of(text.begin(), text.end(), absl::ascii_isdigit);
  if (!digits || text[0] == '0' || !absl::SimpleAtoi(text, &number)) return std::nullopt;
  return number;
}

bool HasControl(absl::string_view text) {
  unsigned char last = 0;
  for (const unsigned char c : text) {
    if (absl::ascii_iscntrl(c) || (last == 0xC2 && c < 0xA0)) return true;
    last = c;
  }
  return false;
}

}  // namespace crosskey::access
