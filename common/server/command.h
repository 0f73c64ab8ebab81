// The command line of a service: serve, migrate, healthcheck, version.
#pragma once

#include <functional>
#include <memory>

#include "absl/status/statusor.h"
#include "common/process/options.h"
#include "common/server/backbone.h"

namespace crosskey::server {

// A service that runs, until it is destroyed.
class Running {
 public:
  virtual ~Running() = default;
};

// Returns the exit code: 0 done or stopped by a signal, 1 failed (the log says why), 2 wrong arguments.
int Main(int argc, char** argv, const process::ServiceDefaults& defaults, MigrationsOf migrations,
         const std::function<absl::StatusOr<std::unique_ptr<Running>>(const process::Options&)>& serve);

}  // namespace crosskey::server
