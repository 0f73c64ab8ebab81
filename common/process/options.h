// The command line of either service.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "absl/time/time.h"
#include "common/db/url.h"
#include "common/process/events_url.h"
#include "common/status/limits.h"
#include "common/telemetry/log.h"

namespace crosskey::process {

// What a service was told to do. Every value has been checked: addresses are host:port, as gRPC takes them, numbers are
// in their range, the password file could be read.
struct Options {
  // "serve", "check", "repair", "migrate", "unpair", "backup", "restore", "healthcheck", "check-policy" or "version"
  std::string command = "serve";
  std::string file;  // of "backup" and "restore"; else empty
  db::Url db;
  std::string db_password_file;  // empty: no password
  std::string db_tls_ca;         // empty: no TLS to the database
  int db_pool = 16;              // sessions
  std::string listen;
  std::string internal_listen;
  std::string metrics_listen;
  std::string peer;  // the other service's internal listener
  // Empty paths and texts: not given. What belongs together is given together.
  std::string tls_cert;  // of the public listener
  std::string tls_key;
  std::string tls_client_ca;
  std::string internal_tls_cert;  // of the internal listener, and of this process as a client of the peer
  std::string internal_tls_key;
  std::string internal_tls_ca;
  std::vector<std::string> peer_identities;
  std::string policy;
  std::string tokens;
  std::string jwt_keys;
  std::string jwt_issuer;
  std::string jwt_audience;
  std::string audit_log;
  EventsOptions events;       // url.servers is empty: events go from service to service alone
  int answer_space = 65'536;  // MiB, see idempotency::AnswerSpace
  int caller_rate = 0;        // calls a second of each caller; 0: any number
  bool insecure = false;      // listen beyond loopback without TLS and policy
  int max_in_flight = 256;
  absl::Duration event_retention = limits::kEventRetention;  // an event is kept at least this long
  log::Level log_level = log::Level::kInfo;
  log::Format log_format = log::Format::kText;
  bool apply = false;  // of "repair"
  bool json = false;   // of "check" and "repair"
};

// The values that differ between the services.
struct ServiceDefaults {
  std::string name;        // "user-service"
  std::string env_prefix;  // "CROSSKEY_USER_"
  std::string db;
  std::string listen;
  std::string internal_listen;
  std::string metrics_listen;
  std::string peer;
  std::vector<limits::Limit> limits = {};  // the service's own, for --help
};

// Has either the options, or a text to print and the code with which the process should exit.
struct ParseResult {
  std::optional<Options> options;
  int exit_code = 0;  // 2 for a mistake, 0 for --help
  std::string out;    // for stdout
  std::string err;    // for stderr: one line that names the flag, and the environment variable if that had the value
};

// Flags may stand before or after the command and its file. Each flag can also be set by an environment variable, such
// as `--db-pool` by `CROSSKEY_USER_DB_POOL`. If the flag is given, the variable is not looked at, not even to check it.
// An empty variable counts as not set. Does not exit, print, or throw.
ParseResult Parse(int argc, const char* const* argv, const ServiceDefaults& defaults);

}  // namespace crosskey::process
