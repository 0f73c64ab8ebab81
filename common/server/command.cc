#include "common/server/command.h"

#include <iostream>

#include "common/fault/fault.h"
#include "common/process/stop_signal.h"
#include "common/telemetry/log.h"

namespace crosskey::server {
namespace {

// For the whole of a migration, and so for its longest statement too.
constexpr absl::Duration kMigration = absl::Hours(1);
// Ordinarily much less; it includes the 10 s that calls in flight are given. Kubernetes, for example, waits for 30 s.
constexpr absl::Duration kStop = absl::Milliseconds(11'500);

int Fail(const char* what, const absl::Status& status) {
  log::Error(what, {{"error", std::string(status.message())}});
  return 1;
}

int RunMigrate(const process::Options& options, const std::string& name, MigrationsOf migrations) {
  const auto backbone = Backbone::Create({options, name, "", migrations, {}, kMigration});
  if (!backbone.ok()) return Fail("cannot migrate", backbone.status());
  db::Database& database = (*backbone)->database();
  const absl::Status status = db::Migrate(database, Call::Background(kMigration), migrations(database.dialect()));
  if (!status.ok()) return Fail("cannot migrate", status);
  log::Info("the schema is up to date");
  return 0;
}

int RunHealthcheck(const process::Options& options) {
  // A server that listens on all addresses is reached on the loopback one.
  std::string address = options.listen;
  if (address.rfind("0.0.0.0:", 0) == 0) address = "127.0.0.1" + address.substr(7);
  const absl::Status status = rpc::CheckHealth(address, absl::Seconds(3));
  std::cout << (status.ok() ? "SERVING" : std::string(status.message())) << std::endl;
  return status.ok() ? 0 : 1;
}

}  // namespace

int Main(int argc, char** argv, const process::ServiceDefaults& defaults, MigrationsOf migrations,
         const std::function<absl::StatusOr<std::unique_ptr<Running>>(const process::Options&)>& serve) {
  // Before any thread starts, so that all inherit it.
  process::BlockStopSignals();
  fault::TakeFlags(argc, argv);
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
  if (options.command == "migrate") return RunMigrate(options, defaults.name, migrations);

  auto running = serve(options);
  if (!running.ok()) return Fail("cannot serve", running.status());
  process::WaitForStopSignal();
  log::Info("stopping");
  const process::ExitAfter limit(kStop);
  running->reset();
  return 0;
}

}  // namespace crosskey::server
