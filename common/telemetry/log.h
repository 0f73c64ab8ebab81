// Structured logging to stderr, one line an entry.
//
//   text  2026-01-31T12:00:00.000Z info user created user_id=7 name="two words"
//   json  {"ts":"2026-01-31T12:00:00.000Z","level":"info","service":"user-service","message":"user created",...}
//
// An entry is one line of ASCII whatever the message and the fields hold. In the format "text" a value is written as a
// JSON string if it is empty, or has a blank, `"`, `\`, `=`, a control character or anything that is not ASCII. In the
// format "json" the values keep their types (nan and infinity become null), and a field called ts, level, service or
// message gets a `_` behind its name. Bytes that are not UTF-8 become U+FFFD.
#pragma once

#include <cstdint>
#include <initializer_list>
#include <string>
#include <string_view>
#include <type_traits>
#include <utility>
#include <variant>

namespace crosskey::log {

enum class Level { kDebug, kInfo, kWarning, kError };
enum class Format { kText, kJson };

// A number, bool or text; made from any integer, double, bool, C string (null counts as empty), std::string, or string
// view. Texts are not copied: a value is good for as long as its text is.
class Value {
 public:
  using Content = std::variant<bool, std::int64_t, std::uint64_t, double, std::string_view>;

  template <typename T, std::enable_if_t<std::is_arithmetic_v<T>, int> = 0>
  Value(T number) : content_(Widened(number)) {}
  Value(const char* text) : content_(text == nullptr ? std::string_view() : std::string_view(text)) {}
  template <typename T,
            std::enable_if_t<std::is_same_v<decltype(std::declval<const T&>().data()), const char*>, int> = 0>
  Value(const T& text) : content_(std::string_view(text.data(), text.size())) {}

  const Content& content() const { return content_; }

 private:
  template <typename T>
  static Content Widened(T number) {
    if constexpr (std::is_same_v<T, bool>) {
      return number;
    } else if constexpr (std::is_floating_point_v<T>) {
      return static_cast<double>(number);
    } else if constexpr (std::is_signed_v<T>) {
      return static_cast<std::int64_t>(number);
    } else {
      return static_cast<std::uint64_t>(number);
    }
  }

  Content content_;
};

struct Field {
  std::string_view key;
  Value value;
};

// Entries below `level` are dropped. Before the first call of Setup the level is info and the format is text. Setup is
// not thread-safe; everything else here is.
void Setup(Level level, Format format, std::string service);

// Returns whether entries of this level are written, so that a caller can save itself what is costly to put together.
bool IsEnabled(Level level);

// `message` is a constant that says what happened; what it happened to goes into the fields.
void Debug(std::string_view message, std::initializer_list<Field> fields = {});
void Info(std::string_view message, std::initializer_list<Field> fields = {});
void Warning(std::string_view message, std::initializer_list<Field> fields = {});
void Error(std::string_view message, std::initializer_list<Field> fields = {});

}  // namespace crosskey::log
