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
#include "absl/strings/str_split.h"
#include "common/process/flag_checks.h"
#include "common/status/limits.h"

namespace crosskey::process {
namespace {

const std::vector<std::string> kCommands = {"serve",  "check",   "repair",      "migrate",      "unpair",
                                            "backup", "restore", "healthcheck", "check-policy", "version"};
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
    const std::string variable = VariableOf(name);
    const std::string preset = absl::StrCat(*target);
    const std::string help =
        absl::StrCat(meaning, "\ndefault ", preset.empty() ? "none" : preset, ", environment ", variable);
    CLI::Option* option = app_.add_option(name, *target, help)->type_name(type)->check(std::move(check));
    flags_.push_back({option, variable});
  }

  // A flag that takes no value on the command line, and "1" or "true" in the environment.
  void AddSwitch(const std::string& name, bool* target, const std::string& meaning) {
    const std::string variable = VariableOf(name);
    const std::string help = absl::StrCat(meaning, "\ndefault no, environment ", variable);
    flags_.push_back({app_.add_flag(name, *target, help), variable});
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
  std::string VariableOf(const std::string& name) const {
    return env_prefix_ + absl::AsciiStrToUpper(absl::StrReplaceAll(name.substr(2), {{"-", "_"}}));
  }

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
  std::string peer_identity;
  std::string events;
  std::string event_retention = absl::FormatDuration(limits::kEventRetention);
};

void AddFlags(Flags* flags, Options* options, Words* words) {
  flags->Add("--db", &words->db, "URL", "sqlite:PATH or mysql://user@host:port[,...]/name", CheckDatabase);
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
  flags->Add("--answer-space", &options->answer_space, "MIB",
             "MiB of answers to a request_id stored in a day, half of it for one caller", NumberIn(1, 16'777'216));
  flags->Add("--event-retention", &words->event_retention, "TIME",
             "how long an event is kept at least; longer until the other service has it", CheckDuration);
  flags->Add("--log-level", &words->log_level, "LEVEL", "debug, info, warning or error", OneOf(kLevels));
  flags->Add("--log-format", &words->log_format, "FORMAT", "text or json", OneOf(kFormats));
}

void AddAccessFlags(Flags* flags, Options* options, Words* words) {
  const auto any = [](const std::string& text) { return text.empty() ? "'' is no value" : ""; };
  flags->Add("--tls-cert", &options->tls_cert, "PATH", "file with the certificate of the public listener",
             CheckReadableFile);
  flags->Add("--tls-key", &options->tls_key, "PATH", "file with the key of the public listener", CheckReadableFile);
  flags->Add("--tls-client-ca", &options->tls_client_ca, "PATH",
             "file with the certificates that vouch for callers; given, callers may show a certificate",
             CheckReadableFile);
  flags->Add("--internal-tls-cert", &options->internal_tls_cert, "PATH",
             "file with the certificate shown to the other service", CheckReadableFile);
  flags->Add("--internal-tls-key", &options->internal_tls_key, "PATH", "file with the key of that certificate",
             CheckReadableFile);
  flags->Add("--internal-tls-ca", &options->internal_tls_ca, "PATH",
             "file with the certificates that vouch for the other service", CheckReadableFile);
  flags->Add("--peer-identity", &words->peer_identity, "NAMES",
             "URI or DNS names that the other service's certificate may have, with commas between", CheckNames);
  flags->Add("--policy", &options->policy, "PATH", "file with the access policy", CheckReadableFile);
  flags->Add("--tokens", &options->tokens, "PATH", "file with hashed bearer tokens", CheckReadableFile);
  flags->Add("--jwt-keys", &options->jwt_keys, "PATH", "file with the JWKS of the issuer of tokens", CheckReadableFile);
  flags->Add("--jwt-issuer", &options->jwt_issuer, "TEXT", "issuer of JSON Web Tokens", any);
  flags->Add("--jwt-audience", &options->jwt_audience, "TEXT", "audience of JSON Web Tokens", any);
  flags->Add("--caller-rate", &options->caller_rate, "N",
             "calls a second of each caller, with a policy; 0: any number, up to 1000000", NumberIn(0, 1'000'000));
  flags->Add("--audit-log", &options->audit_log, "PATH", "file for the audit record, - for stdout", CheckFilePath);
  flags->AddSwitch("--insecure", &options->insecure, "listen beyond loopback without TLS and policy");
}

void AddEventsFlags(Flags* flags, EventsOptions* options, Words* words) {
  flags->Add("--events", &words->events, "URL",
             "NATS JetStream: nats://[user@]host:port[,host:port...][/prefix], or tls://", CheckEvents);
  flags->Add("--events-ca", &options->ca, "PATH", "file with the certificates that vouch for the servers of --events",
             CheckReadableFile);
  flags->Add("--events-cert", &options->cert, "PATH", "file with the certificate shown to them", CheckReadableFile);
  flags->Add("--events-key", &options->key, "PATH", "file with the key of that certificate", CheckReadableFile);
  flags->Add("--events-credentials", &options->credentials, "PATH", "file with NATS credentials: token and seed",
             CheckReadableFile);
  flags->Add("--events-password-file", &options->password_file, "PATH",
             "file with the password of the user of --events", CheckReadableFile);
  flags->Add("--events-replicas", &options->replicas, "N", "copies of a stream that is created, 1 to 5",
             NumberIn(1, 5));
  flags->Add("--events-space", &options->space, "MIB", "MiB of a stream that is created, in each copy; 0: any number",
             NumberIn(0, 16'777'216));
}

// Flags that are of use only together.
void CheckTogether(const std::vector<std::pair<std::string, std::string>>& flags) {
  const auto given = std::find_if(flags.begin(), flags.end(), [](const auto& flag) { return !flag.second.empty(); });
  if (given == flags.end()) return;
  for (const auto& [name, value] : flags) {
    if (value.empty()) throw std::invalid_argument(name + ": is missing, because " + given->first + " is given");
  }
}

// Who listens beyond loopback says who may come, or says in the open that everybody may.
void CheckListeners(const Options& options) {
  if (options.insecure || options.command != "serve") return;
  const auto beyond = [](const std::string& address) { return !address.empty() && !IsLoopback(address); };
  const auto demand = [](const std::string& listener, const std::string& flag, const std::string& value) {
    if (!value.empty()) return;
    throw std::invalid_argument(
        absl::StrCat(flag, ": is missing, because ", listener, " is beyond loopback; or say --insecure"));
  };
  if (beyond(options.listen)) {
    demand("--listen", "--tls-cert", options.tls_cert);
    demand("--listen", "--policy", options.policy);
  }
  if (beyond(options.internal_listen)) demand("--internal-listen", "--internal-tls-cert", options.internal_tls_cert);
  if (beyond(options.metrics_listen)) demand("--metrics-listen", "--tls-cert", options.tls_cert);
}

void CheckAccess(const Options& options, const Words& words) {
  CheckTogether({{"--tls-cert", options.tls_cert}, {"--tls-key", options.tls_key}});
  if (!options.tls_client_ca.empty() && options.tls_cert.empty()) {
    throw std::invalid_argument("--tls-cert: is missing, because --tls-client-ca is given");
  }
  CheckTogether({{"--internal-tls-cert", options.internal_tls_cert},
                 {"--internal-tls-key", options.internal_tls_key},
                 {"--internal-tls-ca", options.internal_tls_ca},
                 {"--peer-identity", words.peer_identity}});
  CheckTogether({{"--jwt-keys", options.jwt_keys},
                 {"--jwt-issuer", options.jwt_issuer},
                 {"--jwt-audience", options.jwt_audience}});
  CheckListeners(options);
}

void CheckEventsFlags(const EventsOptions& options, const std::string& url) {
  const auto demand = [](const std::string& given, const std::string& flag, bool is_there) {
    if (is_there || given.empty()) return;
    throw std::invalid_argument(flag);
  };
  const bool tls = !url.empty() && ParseEventsUrl(url)->tls;
  const bool user = !url.empty() && !ParseEventsUrl(url)->user.empty();
  CheckTogether({{"--events-cert", options.cert}, {"--events-key", options.key}});
  demand(options.ca, "--events-ca: is of use with tls:// in --events only", tls);
  demand(options.cert, "--events-cert: is of use with tls:// in --events only", tls);
  demand(options.credentials, "--events: is missing, because --events-credentials is given", !url.empty());
  demand(options.password_file, "--events-password-file: --events names no user", user);
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
                 "healthcheck: ask the running service, exit 0 if it serves\n"
                 "check-policy: say what --policy, --tokens and --jwt-keys hold, or what is wrong with them\n"
                 "version: print the version")
      ->option_text(" ");
  const CLI::Option* file = app.add_option("file", options.file, "of backup and restore")->option_text("FILE");
  app.add_flag("--apply", options.apply, "repair: change the database");
  app.add_flag("--json", options.json, "check, repair: print JSON");
  Flags flags(&app, defaults.env_prefix);
  AddFlags(&flags, &options, &words);
  AddAccessFlags(&flags, &options, &words);
  AddEventsFlags(&flags, &options.events, &words);
  try {
    app.parse(argc, argv);
    CheckRest(app.remaining(), options.command);
    CheckFileArgument(options.command, options.file, file->count() > 0);
    flags.ReadEnvironment();
    CheckAccess(options, words);
    CheckEventsFlags(options.events, words.events);
  } catch (const CLI::CallForHelp&) {
    return ParseResult{std::nullopt, 0, app.help(), ""};
  } catch (const CLI::ArgumentMismatch& error) {  // no value, or the flag given twice
    const std::string what = error.what();
    return Mistake(defaults.name, what.substr(0, what.find(':')) + ": takes exactly one value");
  } catch (const std::exception& error) {  // CLI::ParseError, or ours
    return Mistake(defaults.name, error.what());
  }
  options.peer_identities = absl::StrSplit(words.peer_identity, ',', absl::SkipEmpty());
  options.db = db::ParseUrl(words.db).value();  // CheckDatabase has accepted it
  if (!words.events.empty()) options.events.url = ParseEventsUrl(words.events).value();  // CheckEvents
  options.log_level = IndexOf<log::Level>(words.log_level, kLevels);
  options.log_format = IndexOf<log::Format>(words.log_format, kFormats);
  absl::ParseDuration(words.event_retention, &options.event_retention);  // CheckDuration has accepted it
  return ParseResult{std::move(options), 0, "", ""};
}

}  // namespace crosskey::process
