#include "common/server/command.h"

#include <iostream>

#include "common/access/access.h"
#include "common/db/sql_error.h"
#include "common/process/stop_signal.h"
#include "common/rpc/channel.h"
#include "common/server/backup.h"
#include "common/server/maintenance.h"
#include "common/status/limits.h"
#include "common/telemetry/log.h"

namespace crosskey::server {
namespace {

// The limit of a whole migration. Each statement gets it too, because one alone may take nearly all of that time.
constexpr absl::Duration kMigration = absl::Hours(1);
// The limit of a stop, which usually takes much less. It includes the 10 s that calls in flight are given, and is below
// the 30 s that Kubernetes, for example, waits.
constexpr absl::Duration kStop = absl::Milliseconds(11'500);

int Fail(const char* what, const absl::Status& status) {
  log::Error(what, {{"error", db::TextOf(status)}});
  return 1;
}

int RunMigrate(const process::Options& options, const Program& program) {
  const auto service =
      Service::Create({options, program.defaults.name, "", 0, program.schema, nullptr, {}, kMigration});
  if (!service.ok()) return Fail("cannot migrate", service.status());
  const absl::Status status = db::Migrate((*service)->database(), Call::Background(kMigration), program.schema);
  if (!status.ok()) return Fail("cannot migrate", status);
  log::Info("the schema is up to date");
  return 0;
}

int RunUnpair(const process::Options& options, const Program& program) {
  const auto service = Service::Create({options, program.defaults.name, program.peer, 0, program.schema, nullptr, {}});
  if (!service.ok()) return Fail("cannot unpair", service.status());
  const auto before = (*service)->pairing().Unpair(Call::Background(limits::kDefaultDeadline));
  if (!before.ok()) return Fail("cannot unpair", before.status());
  std::cout << (before->has_value() ? "unpaired from " + rpc::FormatInstance(**before) : "was not paired") << std::endl;
  return 0;
}

// Prints the lines of what was done. A database that cannot be backed up by this program is a wrong use.
int Report(const char* what, const absl::StatusOr<std::string>& lines) {
  if (!lines.ok()) Fail(what, lines.status());
  if (absl::IsInvalidArgument(lines.status())) return 2;
  if (!lines.ok()) return 1;
  std::cout << *lines << std::flush;
  return 0;
}

int RunHealthcheck(const process::Options& options) {
  // 0.0.0.0 is no address to connect to, but a server that listens on all addresses is reached on the loopback one.
  std::string address = options.listen;
  if (address.rfind("0.0.0.0:", 0) == 0) address = "127.0.0.1" + address.substr(7);
  const bool tls = !options.tls_cert.empty();
  const auto health = [&](const char* name, absl::Duration timeout) {
    return rpc::CheckHealth(address, name, timeout, tls);
  };
  const absl::Status status = health("readiness", absl::Seconds(3));
  std::cout << (status.ok() ? "SERVING" : std::string(status.message())) << std::endl;
  // A restart would not mend it, and reads and most writes go on: so it is said, and is no failure.
  if (status.ok() && absl::IsFailedPrecondition(health(rpc::kPeerHealth, absl::Seconds(1)))) {
    std::cout << "PEER_MISMATCH: another one than the paired service answers at the peer's address" << std::endl;
  }
  if (status.ok() && absl::IsFailedPrecondition(health(rpc::kHistoryHealth, absl::Seconds(1)))) {
    std::cout << "HISTORY_MISMATCH: a database has lost something that the other service has seen; run `check`"
              << std::endl;
  }
  return status.ok() ? 0 : 1;
}

// What is wrong goes to stdout too: it is the answer of this command.
int RunCheckPolicy(const process::Options& options) {
  std::string summary;
  const absl::Status status =
      access::CheckFiles({options.policy, options.tokens, options.jwt_keys, options.jwt_issuer, options.jwt_audience},
                         absl::Now(), &summary);
  std::cout << (status.ok() ? summary : std::string(status.message()) + "\n") << std::flush;
  return status.ok() ? 0 : 1;
}

}  // namespace

int Main(int argc, char** argv, const Program& program) {
  // Must come before any thread starts, so that all threads inherit the blocked signals.
  process::BlockStopSignals();
  const process::ServiceDefaults& defaults = program.defaults;
  const process::ParseResult parsed = process::Parse(argc, argv, defaults);
  std::cout << parsed.out << std::flush;
  std::cerr << parsed.err << std::flush;
  if (!parsed.options.has_value()) return parsed.exit_code;
  const process::Options& options = *parsed.options;
  log::Setup(options.log_level, options.log_format, defaults.name);

  if (options.command == "version") {
    std::cout << defaults.name << " " << CROSSKEY_VERSION << std::endl;
    return 0;
  }
  if (options.command == "healthcheck") return RunHealthcheck(options);
  if (options.command == "check-policy") return RunCheckPolicy(options);
  if (options.command == "migrate") return RunMigrate(options, program);
  if (options.command == "unpair") return RunUnpair(options, program);
  if (options.command == "check") return RunCheck(options, program);
  if (options.command == "repair") return RunRepair(options, program);
  if (options.command == "backup") return Report("cannot back up", Backup(options, program));
  if (options.command == "restore") return Report("cannot restore", Restore(options, program));

  auto running = program.serve(options);
  if (!running.ok()) return Fail("cannot serve", running.status());
  process::WaitForStopSignal();
  log::Info("stopping");
  const absl::Status failure = (*running)->service().failure();
  const process::ExitAfter limit(kStop, failure.ok() ? 0 : 1);
  running->reset();
  return failure.ok() ? 0 : Fail("cannot serve", failure);
}

}  // namespace crosskey::server
