// The command line of a service: serve, migrate, healthcheck, version.
#pragma once

#include <functional>
#include <memory>

#include "absl/status/statusor.h"
#include "common/db/migrations.h"
#include "common/process/options.h"
#include "common/server/service.h"

namespace crosskey::server {

// A service that is running. Its destructor stops it.
class Running {
 public:
  virtual ~Running() = default;
  virtual Service& service() = 0;
};

// What a program is made of, besides its command line.
struct Program {
  process::ServiceDefaults defaults;
  db::Schema schema;
  std::function<absl::StatusOr<std::unique_ptr<Running>>(const process::Options&)> serve;
};

// Returns the exit code: 0 done or stopped by a signal, 1 failed (the log says why), 2 wrong arguments.
int Main(int argc, char** argv, const Program& program);

}  // namespace crosskey::server
