#include "common/telemetry/log.h"

#include <algorithm>
#include <memory>

#include <nlohmann/json.hpp>
#include <spdlog/logger.h>
#include <spdlog/sinks/stdout_sinks.h>

#include "absl/time/clock.h"
#include "absl/time/time.h"

namespace crosskey::log {
namespace {

using nlohmann::ordered_json;

struct Target {
  Target() : lines("crosskey", std::make_shared<spdlog::sinks::stderr_sink_mt>()) { lines.set_pattern("%v"); }

  spdlog::logger lines;
  Format format = Format::kText;
  std::string service;
};

// Never destroyed: a thread or a destructor may log until the very end of the process.
Target& GetTarget() {
  static Target* const target = new Target;
  return *target;
}

spdlog::level::level_enum SpdlogLevel(Level level) {
  switch (level) {
    case Level::kDebug:
      return spdlog::level::debug;
    case Level::kInfo:
      return spdlog::level::info;
    case Level::kWarning:
      return spdlog::level::warn;
    case Level::kError:
      return spdlog::level::err;
  }
  return spdlog::level::err;
}

const char* Name(Level level) {
  switch (level) {
    case Level::kDebug:
      return "debug";
    case Level::kInfo:
      return "info";
    case Level::kWarning:
      return "warning";
    case Level::kError:
      return "error";
  }
  return "error";
}

ordered_json ToJson(const Value& value) {
  return std::visit(
      [](const auto& content) -> ordered_json {
        if constexpr (std::is_same_v<std::decay_t<decltype(content)>, std::string_view>) {
          return std::string(content);
        } else {
          return content;
        }
      },
      value.content());
}

// Returns ASCII without a control character: it is one line, and harmless to a terminal. Does not throw on bad UTF-8.
std::string Dump(const ordered_json& json) { return json.dump(-1, ' ', true, ordered_json::error_handler_t::replace); }

bool IsPrintable(char c) { return c >= 0x20 && c < 0x7f; }
bool IsBare(char c) { return IsPrintable(c) && c != ' ' && c != '"' && c != '\\' && c != '='; }

std::string Quoted(const std::string& text) {
  if (!text.empty() && std::all_of(text.begin(), text.end(), IsBare)) return text;
  return Dump(text);
}

std::string Unquoted(std::string_view text) {
  if (std::all_of(text.begin(), text.end(), IsPrintable)) return std::string(text);
  const std::string dumped = Dump(std::string(text));
  return dumped.substr(1, dumped.size() - 2);
}

std::string TextLine(const std::string& time, Level level, std::string_view message,
                     std::initializer_list<Field> fields) {
  std::string line = time + " " + Name(level) + " " + Unquoted(message);
  for (const Field& field : fields) {
    const ordered_json value = ToJson(field.value);
    line += " " + Quoted(std::string(field.key)) + "=";
    line += value.is_string() ? Quoted(value.get_ref<const std::string&>()) : Dump(value);
  }
  return line;
}

std::string JsonLine(const std::string& time, Level level, const std::string& service, std::string_view message,
                     std::initializer_list<Field> fields) {
  ordered_json line = {{"ts", time}, {"level", Name(level)}, {"service", service}, {"message", std::string(message)}};
  for (const Field& field : fields) {
    std::string key(field.key);
    if (key == "ts" || key == "level" || key == "service" || key == "message") key += "_";
    line[key] = ToJson(field.value);
  }
  return Dump(line);
}

void Write(Level level, std::string_view message, std::initializer_list<Field> fields) {
  Target& target = GetTarget();
  if (!target.lines.should_log(SpdlogLevel(level))) return;
  const std::string time = absl::FormatTime("%E4Y-%m-%dT%H:%M:%E3SZ", absl::Now(), absl::UTCTimeZone());
  const std::string line = target.format == Format::kText ? TextLine(time, level, message, fields)
                                                          : JsonLine(time, level, target.service, message, fields);
  target.lines.log(SpdlogLevel(level), line);
}

}  // namespace

bool IsEnabled(Level level) { return GetTarget().lines.should_log(SpdlogLevel(level)); }

void Setup(Level level, Format format, std::string service) {
  Target& target = GetTarget();
  target.lines.set_level(SpdlogLevel(level));
  target.format = format;
  target.service = std::move(service);
}

void Debug(std::string_view message, std::initializer_list<Field> fields) { Write(Level::kDebug, message, fields); }
void Info(std::string_view message, std::initializer_list<Field> fields) { Write(Level::kInfo, message, fields); }
void Warning(std::string_view message, std::initializer_list<Field> fields) { Write(Level::kWarning, message, fields); }
void Error(std::string_view message, std::initializer_list<Field> fields) { Write(Level::kError, message, fields); }

}  // namespace crosskey::log
