#include "common/process/options.h"

#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <string>
#include <vector>

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "common/status/limits.h"

namespace crosskey::process {
namespace {

using ::testing::HasSubstr;
using ::testing::Not;
using ::testing::StartsWith;

const ServiceDefaults kDefaults = {"user-service",    "CROSSKEY_USER_", "sqlite:user-service.db", "127.0.0.1:50051",
                                   "127.0.0.1:50061", "127.0.0.1:9451", "127.0.0.1:50062"};

struct FlagCase {
  std::string flag;
  std::string variable;
  std::string good;
  std::string other;
  std::string bad;
};

std::string PasswordFile(const std::string& name) {
  const std::string path = ::testing::TempDir() + "options_test_" + std::to_string(getpid()) + "_" + name;
  std::ofstream(path) << "secret\n";
  return path;
}

std::vector<FlagCase> Cases() {
  return {
      {"--db", "CROSSKEY_USER_DB", "sqlite:/tmp/x.db", "mysql://u@h:3306/d", "postgres://u@h:1/d"},
      {"--db-password-file", "CROSSKEY_USER_DB_PASSWORD_FILE", PasswordFile("a"), PasswordFile("b"), "/no/such/file"},
      {"--db-tls-ca", "CROSSKEY_USER_DB_TLS_CA", PasswordFile("a"), PasswordFile("b"), "/no/such{file"},
      {"--db-pool", "CROSSKEY_USER_DB_POOL", "3", "4", "0"},
      {"--listen", "CROSSKEY_USER_LISTEN", "127.0.0.1:1", "[::1]:2", "50051"},
      {"--internal-listen", "CROSSKEY_USER_INTERNAL_LISTEN", "127.0.0.1:1", "localhost:2", "h:65536"},
      {"--metrics-listen", "CROSSKEY_USER_METRICS_LISTEN", "127.0.0.1:0", "localhost:2", ":9451"},
      {"--peer", "CROSSKEY_USER_PEER", "post-service:50062", "h:2", "http://h:2"},
      {"--max-in-flight", "CROSSKEY_USER_MAX_IN_FLIGHT", "1", "65536", "65537"},
      {"--policy", "CROSSKEY_USER_POLICY", PasswordFile("a"), PasswordFile("b"), "/no/such/file"},
      {"--tokens", "CROSSKEY_USER_TOKENS", PasswordFile("a"), PasswordFile("b"), "/no/such/file"},
      {"--answer-space", "CROSSKEY_USER_ANSWER_SPACE", "1", "16777216", "0"},
      {"--audit-log", "CROSSKEY_USER_AUDIT_LOG", "-", "/tmp/audit", "/tmp"},
      {"--caller-rate", "CROSSKEY_USER_CALLER_RATE", "1", "1000000", "1000001"},
      {"--event-retention", "CROSSKEY_USER_EVENT_RETENTION", "30s", "168h", "7d"},
      {"--events", "CROSSKEY_USER_EVENTS", "nats://h:1/p", "tls://u@h:1,[::1]:2/p", "nats://u:p@h:1"},
      {"--events-replicas", "CROSSKEY_USER_EVENTS_REPLICAS", "3", "5", "6"},
      {"--events-space", "CROSSKEY_USER_EVENTS_SPACE", "0", "4096", "-1"},
      {"--log-level", "CROSSKEY_USER_LOG_LEVEL", "debug", "error", "verbose"},
      {"--log-format", "CROSSKEY_USER_LOG_FORMAT", "json", "text", "xml"},
  };
}

// The value of one flag, written as it would be on the command line.
std::string ValueOf(const Options& options, const std::string& flag) {
  const std::vector<std::string> levels = {"debug", "info", "warning", "error"};
  if (flag == "--db") return db::ToText(options.db);
  if (flag == "--db-password-file") return options.db_password_file;
  if (flag == "--db-tls-ca") return options.db_tls_ca;
  if (flag == "--db-pool") return std::to_string(options.db_pool);
  if (flag == "--listen") return options.listen;
  if (flag == "--internal-listen") return options.internal_listen;
  if (flag == "--metrics-listen") return options.metrics_listen;
  if (flag == "--peer") return options.peer;
  if (flag == "--max-in-flight") return std::to_string(options.max_in_flight);
  if (flag == "--policy") return options.policy;
  if (flag == "--tokens") return options.tokens;
  if (flag == "--answer-space") return std::to_string(options.answer_space);
  if (flag == "--audit-log") return options.audit_log;
  if (flag == "--caller-rate") return std::to_string(options.caller_rate);
  if (flag == "--event-retention") return absl::FormatDuration(options.event_retention);
  if (flag == "--events-replicas") return std::to_string(options.events.replicas);
  if (flag == "--events-space") return std::to_string(options.events.space);
  if (flag == "--events") {
    const EventsUrl& url = options.events.url;
    if (url.servers.empty()) return "";
    return absl::StrCat(url.tls ? "tls://" : "nats://", url.user, url.user.empty() ? "" : "@",
                        absl::StrJoin(url.servers, ","), "/", url.prefix);
  }
  if (flag == "--log-level") return levels.at(static_cast<size_t>(options.log_level));
  if (flag == "--log-format") return options.log_format == log::Format::kJson ? "json" : "text";
  ADD_FAILURE() << flag;
  return "";
}

class OptionsTest : public ::testing::Test {
 protected:
  OptionsTest() { ClearEnvironment(); }
  ~OptionsTest() override {
    ClearEnvironment();
    std::filesystem::remove(PasswordFile("a"));
    std::filesystem::remove(PasswordFile("b"));
  }

  static void ClearEnvironment() {
    for (const FlagCase& flag : Cases()) unsetenv(flag.variable.c_str());
    unsetenv("CROSSKEY_USER_INSECURE");
  }

  static void Set(const std::string& variable, const std::string& value) { setenv(variable.c_str(), value.c_str(), 1); }

  static ParseResult Run(const std::vector<std::string>& arguments) {
    std::vector<const char*> argv = {"/usr/bin/user-service"};
    for (const std::string& argument : arguments) argv.push_back(argument.c_str());
    return Parse(static_cast<int>(argv.size()), argv.data(), kDefaults);
  }

  static Options Good(const std::vector<std::string>& arguments) {
    ParseResult result = Run(arguments);
    EXPECT_TRUE(result.options.has_value()) << result.err;
    EXPECT_EQ(result.exit_code, 0);
    EXPECT_EQ(result.out + result.err, "");
    return result.options.value_or(Options{});
  }

  // The error line for arguments that are refused, after the checks that every such line must pass.
  static std::string Bad(const std::vector<std::string>& arguments) {
    const ParseResult result = Run(arguments);
    EXPECT_FALSE(result.options.has_value());
    EXPECT_EQ(result.exit_code, 2);
    EXPECT_EQ(result.out, "");
    EXPECT_THAT(result.err, StartsWith("user-service: "));
    EXPECT_EQ(result.err.find('\n'), result.err.size() - 1) << "not one line: " << result.err;
    return result.err;
  }
};

TEST_F(OptionsTest, DefaultsAreThoseOfTheService) {
  const Options options = Good({});
  EXPECT_EQ(options.command, "serve");
  EXPECT_EQ(db::ToText(options.db), "sqlite:user-service.db");
  EXPECT_EQ(options.db_password_file, "");
  EXPECT_EQ(options.db_pool, 16);
  EXPECT_EQ(options.listen, "127.0.0.1:50051");
  EXPECT_EQ(options.internal_listen, "127.0.0.1:50061");
  EXPECT_EQ(options.metrics_listen, "127.0.0.1:9451");
  EXPECT_EQ(options.peer, "127.0.0.1:50062");
  EXPECT_EQ(options.max_in_flight, 256);
  EXPECT_EQ(options.log_level, log::Level::kInfo);
  EXPECT_EQ(options.log_format, log::Format::kText);
}

TEST_F(OptionsTest, EveryCommandIsKnown) {
  for (const std::string command : {"serve", "migrate", "unpair", "healthcheck", "version"}) {
    EXPECT_EQ(Good({command}).command, command);
  }
}

TEST_F(OptionsTest, BackupAndRestoreTakeOneFile) {
  for (const std::string command : {"backup", "restore"}) {
    for (const std::vector<std::string>& arguments : std::vector<std::vector<std::string>>{
             {command, "a b"}, {"--db", "sqlite:x", command, "a b"}, {command, "--db=sqlite:x", "a b"}}) {
      EXPECT_EQ(Good(arguments).command, command);
      EXPECT_EQ(Good(arguments).file, "a b");
    }
    EXPECT_THAT(Bad({command}), HasSubstr(command + ": takes exactly one FILE"));
    EXPECT_THAT(Bad({command, ""}), HasSubstr(command + ": takes exactly one FILE"));
    EXPECT_THAT(Bad({command, "a", "b"}), HasSubstr("unexpected argument 'b'"));
    EXPECT_THAT(Bad({command, "a\"b"}), HasSubstr(command + ": a FILE with a double quote"));
    EXPECT_THAT(Bad({command, "--nope", "a"}), HasSubstr("unknown flag --nope "));
    EXPECT_THAT(Run({"--help"}).out, HasSubstr(command + " FILE: "));
  }
  EXPECT_EQ(Good({"migrate"}).file, "");
}

TEST_F(OptionsTest, EveryFlagIsAcceptedBeforeAndAfterTheCommand) {
  for (const FlagCase& flag : Cases()) {
    for (const std::vector<std::string>& arguments : std::vector<std::vector<std::string>>{
             {flag.flag, flag.good, "migrate"},
             {"migrate", flag.flag, flag.good},
             {flag.flag + "=" + flag.good, "migrate"},
             {"migrate", flag.flag + "=" + flag.good},
         }) {
      const Options options = Good(arguments);
      EXPECT_EQ(ValueOf(options, flag.flag), flag.good);
      EXPECT_EQ(options.command, "migrate");
    }
  }
}

TEST_F(OptionsTest, EveryLevelIsKnown) {
  for (const std::string level : {"debug", "info", "warning", "error"}) {
    EXPECT_EQ(ValueOf(Good({"--log-level", level}), "--log-level"), level);
  }
}

TEST_F(OptionsTest, EveryFlagIsReadFromTheEnvironment) {
  for (const FlagCase& flag : Cases()) {
    Set(flag.variable, flag.good);
    EXPECT_EQ(ValueOf(Good({}), flag.flag), flag.good);
    unsetenv(flag.variable.c_str());
  }
}

TEST_F(OptionsTest, TheFlagWinsOverTheEnvironment) {
  for (const FlagCase& flag : Cases()) {
    Set(flag.variable, flag.other);
    EXPECT_EQ(ValueOf(Good({flag.flag, flag.good}), flag.flag), flag.good);
    Set(flag.variable, flag.bad);
    EXPECT_EQ(ValueOf(Good({flag.flag, flag.good}), flag.flag), flag.good);
    unsetenv(flag.variable.c_str());
  }
}

TEST_F(OptionsTest, AnEmptyVariableCountsAsNotSet) {
  for (const FlagCase& flag : Cases()) {
    const std::string unset = ValueOf(Good({}), flag.flag);
    Set(flag.variable, "");
    EXPECT_EQ(ValueOf(Good({}), flag.flag), unset);
  }
}

TEST_F(OptionsTest, AnotherServicesVariableIsNotRead) {
  Set("CROSSKEY_POST_DB_POOL", "nonsense");
  EXPECT_EQ(Good({}).db_pool, 16);
  unsetenv("CROSSKEY_POST_DB_POOL");
}

TEST_F(OptionsTest, ABadFlagIsNamedWithoutAVariable) {
  for (const FlagCase& flag : Cases()) {
    for (const std::string& error : {Bad({flag.flag, flag.bad}), Bad({"serve", flag.flag + "=" + flag.bad})}) {
      EXPECT_THAT(error, StartsWith("user-service: " + flag.flag + ": "));
      EXPECT_THAT(error, Not(HasSubstr("CROSSKEY_USER_")));
    }
  }
}

TEST_F(OptionsTest, ABadVariableIsNamedWithItsFlag) {
  for (const FlagCase& flag : Cases()) {
    Set(flag.variable, flag.bad);
    const std::string error = Bad({});
    EXPECT_THAT(error, StartsWith("user-service: " + flag.flag + ": "));
    EXPECT_THAT(error, HasSubstr("environment variable " + flag.variable + ")"));
    unsetenv(flag.variable.c_str());
  }
}

TEST_F(OptionsTest, AFlagWithoutValueOrGivenTwiceIsNamed) {
  for (const FlagCase& flag : Cases()) {
    EXPECT_THAT(Bad({flag.flag}), HasSubstr(flag.flag + ": takes exactly one value"));
    EXPECT_THAT(Bad({flag.flag + "="}), HasSubstr(flag.flag + ": takes exactly one value"));
    EXPECT_THAT(Bad({flag.flag, flag.good, flag.flag, flag.other}), HasSubstr(flag.flag + ": takes exactly one value"));
    EXPECT_THAT(Bad({flag.flag, ""}), HasSubstr(flag.flag + ": "));
  }
}

TEST_F(OptionsTest, AnUnknownFlagIsNamed) {
  EXPECT_THAT(Bad({"--nope"}), HasSubstr("unknown flag --nope "));
  EXPECT_THAT(Bad({"serve", "--nope"}), HasSubstr("unknown flag --nope "));
  EXPECT_THAT(Bad({"--nope", "value"}), HasSubstr("unknown flag --nope "));
  EXPECT_THAT(Bad({"--nope=value"}), HasSubstr("unknown flag --nope "));
  EXPECT_THAT(Bad({"migrate", "--nope", "value", "--db", "sqlite:x"}), HasSubstr("unknown flag --nope "));
  EXPECT_THAT(Bad({"-x"}), HasSubstr("unknown flag -x "));
  EXPECT_THAT(Bad({"--db_pool", "3"}), HasSubstr("unknown flag --db_pool "));
  EXPECT_THAT(Bad({"--db-po", "3"}), HasSubstr("unknown flag --db-po "));
}

TEST_F(OptionsTest, AnUnknownCommandIsNamed) {
  EXPECT_THAT(Bad({"start"}),
              HasSubstr("command: 'start' is not one of serve, check, repair, migrate, unpair, backup, restore, "
                        "healthcheck, check-policy, version"));
  EXPECT_THAT(Bad({"serve", "migrate"}), HasSubstr("unexpected argument 'migrate'"));
  EXPECT_THAT(Bad({""}), HasSubstr("command: ''"));
}

TEST_F(OptionsTest, AnErrorStaysOneLine) {
  EXPECT_THAT(Bad({"--listen", "a\nb:1"}), HasSubstr("a?b:1"));
  EXPECT_THAT(Bad({"--no\npe"}), HasSubstr("--no?pe"));
  EXPECT_THAT(Bad({"st\x1b[2Jart"}), HasSubstr("st?[2Jart"));
}

TEST_F(OptionsTest, Databases) {
  for (const std::string db : {"sqlite:x", "sqlite:/var/lib/a b.db", "mysql://user@host:3306/crosskey",
                               "mysql://u_1@127.0.0.1:1/d-1", "mysql://u@[::1]:65535/d"}) {
    EXPECT_EQ(db::ToText(Good({"--db", db}).db), db);
  }
  for (const std::string db : {"x",
                               "sqlite:",
                               "sqlite::memory:",
                               "sqlite:a\"b",
                               "mysql:",
                               "mysql://",
                               "mysql://h:1/d",
                               "mysql://@h:1/d",
                               "mysql://u@:1/d",
                               "mysql://u@h/d",
                               "mysql://u@h:/d",
                               "mysql://u@h:0/d",
                               "mysql://u@h:65536/d",
                               "mysql://u@h:1/",
                               "mysql://u@h:1",
                               "mysql://u@h:1/d?x=y",
                               "mysql://u@h:1/d e",
                               "mysql://u u@h:1/d",
                               "mysql://u@h'h:1/d",
                               "MYSQL://u@h:1/d",
                               " sqlite:x"}) {
    EXPECT_THAT(Bad({"--db", db}), StartsWith("user-service: --db: ")) << db;
  }
}

TEST_F(OptionsTest, APasswordInTheDatabaseAddressIsRefusedAndNotShown) {
  const std::string error = Bad({"--db", "mysql://user:hunter2@host:3306/d"});
  EXPECT_THAT(error, HasSubstr("--db-password-file"));
  EXPECT_THAT(error, Not(HasSubstr("hunter2")));
  Set("CROSSKEY_USER_DB", "mysql://user:hunter2@host/d");
  EXPECT_THAT(Bad({}), Not(HasSubstr("hunter2")));
}

TEST_F(OptionsTest, Addresses) {
  for (const std::string address : {"localhost:0", "0.0.0.0:65535", "[::1]:1", "post-service.default.svc:1", "a_b:1"}) {
    EXPECT_EQ(Good({"--insecure", "--listen", address}).listen, address);
  }
  for (const std::string address :
       {"h", "h:", ":1", "h:x", "h:-1", "h:+1", "h:65536", "h:99999999999", "h:1 ", " h:1", "h:01", "h:1s", "::1:1",
        "[]:1", "[h]:1", "h:1,h:2", "u@h:1", "h/x:1", "dns:///h:1"}) {
    EXPECT_THAT(Bad({"--listen", address}), StartsWith("user-service: --listen: '" + address + "'"));
  }
}

TEST_F(OptionsTest, BeyondLoopbackAListenerNeedsTlsAndAPolicy) {
  const std::string file = PasswordFile("a");
  for (const std::string address : {"0.0.0.0:1", "[::]:1", "h:1", "127.0.0.1.h:1", "10.0.0.1:1"}) {
    EXPECT_THAT(Bad({"--listen", address}), HasSubstr("--tls-cert: is missing, because --listen is beyond loopback"));
    EXPECT_THAT(Bad({"--listen", address, "--tls-cert", file, "--tls-key", file}), HasSubstr("--policy: is missing"));
    Good({"--listen", address, "--tls-cert", file, "--tls-key", file, "--policy", file});
    EXPECT_THAT(Bad({"--internal-listen", address}), HasSubstr("--internal-tls-cert: is missing"));
    Good({"--internal-listen", address, "--internal-tls-cert", file, "--internal-tls-key", file, "--internal-tls-ca",
          file, "--peer-identity", "spiffe://crosskey/post"});
    EXPECT_THAT(Bad({"--metrics-listen", address}), HasSubstr("--tls-cert: is missing"));
    Good({"--insecure", "--listen", address, "--internal-listen", address, "--metrics-listen", address});
    Good({"migrate", "--listen", address});
  }
  for (const std::string address : {"127.0.0.1:1", "127.1.2.3:1", "localhost:1", "[::1]:1"}) {
    Good({"--listen", address, "--internal-listen", address, "--metrics-listen", address});
  }
}

TEST_F(OptionsTest, InsecureIsASwitch) {
  EXPECT_FALSE(Good({}).insecure);
  EXPECT_TRUE(Good({"--insecure"}).insecure);
  Set("CROSSKEY_USER_INSECURE", "1");
  EXPECT_TRUE(Good({}).insecure);
  Set("CROSSKEY_USER_INSECURE", "perhaps");
  EXPECT_THAT(Bad({}), HasSubstr("environment variable CROSSKEY_USER_INSECURE"));
}

TEST_F(OptionsTest, WhatBelongsTogetherIsGivenTogether) {
  const std::string file = PasswordFile("a");
  EXPECT_THAT(Bad({"--tls-cert", file}), HasSubstr("--tls-key: is missing, because --tls-cert is given"));
  EXPECT_THAT(Bad({"--tls-client-ca", file}), HasSubstr("--tls-cert: is missing, because --tls-client-ca is given"));
  EXPECT_THAT(Bad({"--peer-identity", "a"}), HasSubstr("--internal-tls-cert: is missing"));
  EXPECT_THAT(Bad({"--internal-tls-cert", file, "--internal-tls-key", file, "--internal-tls-ca", file}),
              HasSubstr("--peer-identity: is missing"));
  EXPECT_THAT(Bad({"--jwt-keys", file, "--jwt-issuer", "i"}), HasSubstr("--jwt-audience: is missing"));
  EXPECT_THAT(Bad({"--peer-identity", "a,,b"}), HasSubstr("'' is no name"));
}

TEST_F(OptionsTest, Numbers) {
  EXPECT_EQ(Good({"--db-pool", "1"}).db_pool, 1);
  EXPECT_EQ(Good({"--db-pool", "512"}).db_pool, 512);
  EXPECT_EQ(Good({"--max-in-flight", "65536"}).max_in_flight, 65536);
  for (const std::string number :
       {"0", "513", "-1", "+1", "x", "1x", "1.5", "1e2", " 1", "010", "0x10", "99999999999999999999"}) {
    EXPECT_THAT(Bad({"--db-pool=" + number}), HasSubstr("'" + number + "' is not a whole number from 1 to 512"));
  }
  EXPECT_THAT(Bad({"--max-in-flight=0"}), HasSubstr("1 to 65536"));
}

TEST_F(OptionsTest, Durations) {
  for (const auto& [text, duration] :
       {std::pair("0s", absl::ZeroDuration()), std::pair("30s", absl::Seconds(30)), std::pair("15m", absl::Minutes(15)),
        std::pair("168h", absl::Hours(168)), std::pair("87600h", absl::Hours(87600))}) {
    EXPECT_EQ(Good({"--event-retention", text}).event_retention, duration);
  }
  for (const std::string text :
       {"7d", "30", "s", "-1h", "+1h", "1.5h", "1h30m", " 1h", "1h ", "1H", "inf", "01h", "87601h", "99999999999h"}) {
    EXPECT_THAT(Bad({"--event-retention=" + text}),
                HasSubstr("'" + text + "' is not a time such as 30s, 15m or 168h, at most 87600h"));
  }
}

TEST_F(OptionsTest, ThePasswordFileMustBeAFile) {
  EXPECT_THAT(Bad({"--db-password-file", "/no/such/file"}), HasSubstr("No such file or directory"));
  EXPECT_THAT(Bad({"--db-password-file", ::testing::TempDir()}), HasSubstr("is a directory"));
}

TEST_F(OptionsTest, TheFileOfCertificatesMustBeAFileWithoutBracesInItsName) {
  EXPECT_THAT(Bad({"--db-tls-ca", "/no/such/file"}), HasSubstr("No such file or directory"));
  EXPECT_THAT(Bad({"--db-tls-ca", "/no/such}file"}), HasSubstr("has a brace in its name"));
}

TEST_F(OptionsTest, ServersOfEvents) {
  EXPECT_TRUE(Good({}).events.url.servers.empty());
  EXPECT_EQ(Good({"--events", "nats://h:1"}).events.url.prefix, "crosskey");
  std::string servers = "h:1";
  for (int i = 1; i < limits::kEventServers; ++i) servers += ",h:1";
  EXPECT_EQ(Good({"--events", "nats://" + servers}).events.url.servers.size(), limits::kEventServers);
  for (const auto& [text, why] : std::vector<std::pair<std::string, std::string>>{
           {"http://h:1", "unknown scheme"},
           {"nats://h", "a server is not host:port"},
           {"nats://", "a server is not host:port"},
           {"nats://h:1,", "a server is not host:port"},
           {"nats://h:0", "a server is not host:port"},
           {"nats://" + servers + ",h:1", "more than 16"},
           {"nats://@h:1", "the user has other characters"},
           {"nats://a.b@h:1", "the user has other characters"},
           {"nats://u:secret@h:1", "a password belongs into --events-password-file"},
           {"nats://h:1/", "the prefix has other characters"},
           {"nats://h:1/a.b", "the prefix has other characters"},
           {"nats://h:1/" + std::string(65, 'a'), "the prefix has other characters"}}) {
    EXPECT_THAT(Bad({"--events", text}), HasSubstr("--events: the URL of events: " + why)) << text;
    EXPECT_THAT(Bad({"--events", text}), Not(HasSubstr("secret")));
  }
}

TEST_F(OptionsTest, WhatEventsAreGivenWith) {
  const std::string file = PasswordFile("a");
  const std::string tls = "tls://u@h:1";
  const Options options = Good({"--events", tls, "--events-ca", file, "--events-cert", file, "--events-key", file,
                                "--events-password-file", file, "--events-credentials", file});
  EXPECT_EQ(options.events.ca, file);
  EXPECT_EQ(options.events.cert, file);
  EXPECT_EQ(options.events.key, file);
  EXPECT_EQ(options.events.password_file, file);
  EXPECT_EQ(options.events.credentials, file);
  EXPECT_THAT(Bad({"--events", tls, "--events-cert", file}), HasSubstr("--events-key: is missing"));
  EXPECT_THAT(Bad({"--events", tls, "--events-key", file}), HasSubstr("--events-cert: is missing"));
  EXPECT_THAT(Bad({"--events", "nats://h:1", "--events-ca", file}), HasSubstr("--events-ca: is of use with tls://"));
  EXPECT_THAT(Bad({"--events", "nats://h:1", "--events-cert", file, "--events-key", file}),
              HasSubstr("--events-cert: is of use with tls://"));
  EXPECT_THAT(Bad({"--events", "tls://h:1", "--events-password-file", file}), HasSubstr("names no user"));
  EXPECT_THAT(Bad({"--events-password-file", file}), HasSubstr("names no user"));
  EXPECT_THAT(Bad({"--events-credentials", file}), HasSubstr("--events: is missing"));
}

TEST_F(OptionsTest, ThePasswordFileMustBeReadableByThisUser) {
  const std::string path = PasswordFile("a");
  std::filesystem::permissions(path, std::filesystem::perms::none);
  // Root may read every file, so the test becomes another user meanwhile.
  const uid_t self = geteuid();
  const uid_t other = self == 0 ? 65534 : self;
  ASSERT_EQ(setresuid(other, other, self), 0);
  const std::string error = Bad({"--db-password-file", path});
  ASSERT_EQ(setresuid(self, self, self), 0);
  EXPECT_THAT(error, HasSubstr("Permission denied"));
}

TEST_F(OptionsTest, HelpShowsEveryFlagItsDefaultAndItsVariable) {
  for (const std::vector<std::string>& arguments :
       std::vector<std::vector<std::string>>{{"--help"}, {"-h"}, {"migrate", "--help"}}) {
    const ParseResult result = Run(arguments);
    EXPECT_FALSE(result.options.has_value());
    EXPECT_EQ(result.exit_code, 0);
    EXPECT_EQ(result.err, "");
    EXPECT_THAT(result.out, HasSubstr("Usage: user-service"));
    for (const FlagCase& flag : Cases()) {
      const std::string preset = ValueOf(Good({}), flag.flag);
      EXPECT_THAT(result.out, HasSubstr("\n  " + flag.flag + " "));
      EXPECT_THAT(result.out,
                  HasSubstr("default " + (preset.empty() ? "none" : preset) + ", environment " + flag.variable + "\n"));
    }
    for (const std::string command : {"serve", "migrate", "healthcheck", "version"}) {
      EXPECT_THAT(result.out, HasSubstr(command));
    }
  }
}

TEST_F(OptionsTest, HelpWorksWhileTheEnvironmentIsBad) {
  Set("CROSSKEY_USER_DB_POOL", "nonsense");
  EXPECT_EQ(Run({"--help"}).exit_code, 0);
}

TEST_F(OptionsTest, HelpShowsEveryLimit) {
  const std::string help = Run({"--help"}).out;
  for (const limits::Limit& limit : limits::kTable) EXPECT_THAT(help, HasSubstr(limit.meaning));
  EXPECT_THAT(help, ::testing::ContainsRegex("brings none +30s\n"));
  EXPECT_THAT(help, ::testing::ContainsRegex("request of the other service +256 KiB\n"));
  EXPECT_THAT(help, ::testing::ContainsRegex("deletion is kept +30 days\n"));
}

}  // namespace
}  // namespace crosskey::process
