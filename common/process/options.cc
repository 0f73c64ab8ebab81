#include "common/process/options.h"

#include <algorithm>
#include <cstdlib>
#include <functional>
#include <iterator>
#include <stdexcept>
#include <utility>
#include <vector>

#include <CLI/App.hpp>
#include <CLI/Config.hpp>
#include <CLI/Formatter.hpp>

#include "absl/strings/ascii.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "absl/strings/str_replace.h"
#include "common/process/flag_checks.h"
#include "common/status/limits.h"

namespace crosskey::process {
namespace {

const std::vector<std::string> kCommands = {"serve",  "check",   "repair",      "migrate", "unpair",
                                            "backup", "restore", "healthcheck", "version"};
const std::vector<std::string> kWithFile = {"backup", "restore"};                // the commands that take a FILE
const std::vector<std::string> kLevels = {"debug", "info", "warning", "error"};  // in the order of log::Level
const std::vector<std::string> kFormats = {"text", "json"};                      // in the order of log::Format

using Check = std::function<std::string(const std::string&)>;

Check NumberIn(int min, int max) {
  return [=](const std::string& text) { return CheckNumber(text, min, max); };
}

Check OneOf(const std::vector<std::string>& words) {
  return [&words](const std::string& text) { return CheckOneOf(text, words); };
}

// The flags of one command line. CLI11 could read the environment itself, but its errors would not say that a value
// came from there.
class Flags {
 public:
  Flags(CLI::App* app, std::string env_prefix) : app_(*app), env_prefix_(std::move(env_prefix)) {}

  // `target` holds the default.
  template <typename T>
  void Add(const std::string& name, T* target, const std::string& type, const std::string& meaning, Check check) {
    const std::string variable = env_prefix_ + absl::AsciiStrToUpper(absl::StrReplaceAll(name.substr(2), {{"-", "_"}}));
    const std::string preset = absl::StrCat(*target);
    const std::string help =
        absl::StrCat(meaning, "\ndefault ", preset.empty() ? "none" : preset, ", environment ", variable);
    CLI::Option* option = app_.add_option(name, *target, help)->type_name(type)->check(std::move(check));
    flags_.push_back({option, variable});
  }

  // To be called after the arguments have been parsed.
  void ReadEnvironment() {
    for (const auto& [option, variable] : flags_) {
      const char* value = std::getenv(variable.c_str());
      if (option->count() > 0 || value == nullptr || *value == '\0') continue;
      try {
        option->add_result(value);
        option->run_callback();
      } catch (const CLI::ParseError& error) {
        throw std::invalid_argument(absl::StrCat(error.what(), " (from the environment variable ", variable, ")"));
      }
    }
  }

 private:
  CLI::App& app_;
  std::string env_prefix_;
  std::vector<std::pair<CLI::Option*, std::string>> flags_;
};

std::string ValueOf(const limits::Limit& limit) {
  if (const int* count = std::get_if<int>(&limit.value)) return absl::StrCat(*count, " ", limit.unit);
  const absl::Duration time = std::get<absl::Duration>(limit.value);
  if (time >= absl::Hours(48)) return absl::StrCat(absl::ToInt64Hours(time) / 24, " days");
  return absl::FormatDuration(time);
}

std::string LimitsTable(const std::vector<limits::Limit>& own) {
  std::vector<limits::Limit> all(std::begin(limits::kTable), std::end(limits::kTable));
  all.insert(all.end(), own.begin(), own.end());
  std::string table = "Limits:\n";
  for (const limits::Limit& limit : all) {
    absl::StrAppendFormat(&table, "  %-54s %s\n", limit.meaning, ValueOf(limit));
  }
  return table;
}

// The values of some flags as they are written. Options has them in another form.
struct Words {
  std::string db;
  std::string log_level = "info";
  std::string log_format = "text";
  std::string event_retention = absl::FormatDuration(limits::kEventRetention);
};

void AddFlags(Flags* flags, Options* options, Words* words) {
  flags->Add("--db", &words->db, "URL", "sqlite:PATH or mysql://user@host:port/database", CheckDatabase);
  flags->Add("--db-password-file", &options->db_password_file, "PATH", "file with the password of the database",
             CheckReadableFile);
  flags->Add("--db-tls-ca", &options->db_tls_ca, "PATH",
             "file with the certificates that vouch for the database server; given, TLS is required",
             CheckCertificates);
  flags->Add("--db-pool", &options->db_pool, "N", "database sessions, 1 to 512", NumberIn(1, 512));
  flags->Add("--listen", &options->listen, "HOST:PORT", "public gRPC", CheckAddress);
  flags->Add("--internal-listen", &options->internal_listen, "HOST:PORT", "gRPC for the other service", CheckAddress);
  flags->Add("--metrics-listen", &options->metrics_listen, "HOST:PORT", "metrics for Prometheus", CheckAddress);
  flags->Add("--peer", &options->peer, "HOST:PORT", "the other service's internal listener", CheckAddress);
  flags->Add("--max-in-flight", &options->max_in_flight, "N", "calls worked on at a time, 1 to 65536",
             NumberIn(1, 65536));
  flags->Add("--event-retention", &words->event_retention, "TIME",
             "how long an event is kept at least; longer until the other service has it", CheckDuration);
  flags->Add("--log-level", &words->log_level, "LEVEL", "debug, info, warning or error", OneOf(kLevels));
  flags->Add("--log-format", &words->log_format, "FORMAT", "text or json", OneOf(kFormats));
}

// Complains about unknown flags first, because what looks like a wrong command may be the value of an unknown flag.
void CheckRest(const std::vector<std::string>& rest, const std::string& command) {
  for (const std::string& argument : rest) {
    if (argument[0] == '-') throw std::invalid_argument("unknown flag " + argument.substr(0, argument.find('=')));
  }
  const std::string why = CheckOneOf(command, kCommands);
  if (!why.empty()) throw std::invalid_argument("command: " + why);
  if (!rest.empty()) throw std::invalid_argument("unexpected argument '" + rest.front() + "'");
}

void CheckFileArgument(const std::string& command, const std::string& file, bool is_given) {
  const bool takes_one = std::find(kWithFile.begin(), kWithFile.end(), command) != kWithFile.end();
  if (is_given && !takes_one) throw std::invalid_argument("unexpected argument '" + file + "'");
  if (!takes_one) return;
  if (file.empty()) throw std::invalid_argument(command + ": takes exactly one FILE");
  if (file.find('"') != std::string::npos) throw std::invalid_argument(command + ": a FILE with a double quote");
}

template <typename Enum>
Enum IndexOf(const std::string& word, const std::vector<std::string>& words) {
  return static_cast<Enum>(std::find(words.begin(), words.end(), word) - words.begin());
}

ParseResult Mistake(const std::string& service, const std::string& what) {
  std::string line = service + ": " + what;
  for (char& c : line) {
    if (absl::ascii_iscntrl(static_cast<unsigned char>(c))) c = '?';  // so that it stays one line
  }
  return ParseResult{std::nullopt, 2, "", line + " (--help lists the flags)\n"};
}

}  // namespace

ParseResult Parse(int argc, const char* const* argv, const ServiceDefaults& defaults) {
  Options options;
  options.listen = defaults.listen;
  options.internal_listen = defaults.internal_listen;
  options.metrics_listen = defaults.metrics_listen;
  options.peer = defaults.peer;
  Words words;
  words.db = defaults.db;

  CLI::App app("", defaults.name);
  app.allow_extras();
  app.get_formatter()->column_width(32);
  app.get_formatter()->label("Positionals", "Command");
  app.footer(LimitsTable(defaults.limits));
  app.add_option("command", options.command,
                 "serve (default): run the service\n"
                 "check: compare all references with the other service, exit 3 if something is wrong\n"
                 "repair: the same, and with --apply mend it\nmigrate: bring the database's schema up to date\n"
                 "unpair: end the pair with the other service's database\n"
                 "backup FILE: copy the SQLite database into a new file, also while it is served\n"
                 "restore FILE: put a backup in the place of the SQLite database\n"
                 "healthcheck: ask the running service, exit 0 if it serves\nversion: print the version")
      ->option_text(" ");
  const CLI::Option* file = app.add_option("file", options.file, "of backup and restore")->option_text("FILE");
  app.add_flag("--apply", options.apply, "repair: change the database");
  app.add_flag("--json", options.json, "check, repair: print JSON");
  Flags flags(&app, defaults.env_prefix);
  AddFlags(&flags, &options, &words);
  try {
    app.parse(argc, argv);
    CheckRest(app.remaining(), options.command);
    CheckFileArgument(options.command, options.file, file->count() > 0);
    flags.ReadEnvironment();
  } catch (const CLI::CallForHelp&) {
    return ParseResult{std::nullopt, 0, app.help(), ""};
  } catch (const CLI::ArgumentMismatch& error) {  // no value, or the flag given twice
    const std::string what = error.what();
    return Mistake(defaults.name, what.substr(0, what.find(':')) + ": takes exactly one value");
  } catch (const std::exception& error) {  // CLI::ParseError, or ours
    return Mistake(defaults.name, error.what());
  }
  options.db = db::ParseUrl(words.db).value();  // CheckDatabase has accepted it
  options.log_level = IndexOf<log::Level>(words.log_level, kLevels);
  options.log_format = IndexOf<log::Format>(words.log_format, kFormats);
  absl::ParseDuration(words.event_retention, &options.event_retention);  // CheckDuration has accepted it
  return ParseResult{std::move(options), 0, "", ""};
}

}  // namespace crosskey::process
