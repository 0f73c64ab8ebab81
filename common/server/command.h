// The command line of a service: serve, check, repair, migrate, unpair, backup, restore, healthcheck, version.
#pragma once

#include <functional>
#include <memory>

#include "absl/status/statusor.h"
#include "common/db/migrations.h"
#include "common/process/options.h"
#include "common/relation/repair/sides.h"
#include "common/server/service.h"

namespace crosskey::server {

// A service that is running. Its destructor stops it.
class Running {
 public:
  virtual ~Running() = default;
  virtual Service& service() = 0;
  virtual const relation::Sides& sides() const = 0;
};

// What a program is made of, besides its command line.
struct Program {
  process::ServiceDefaults defaults;
  std::string peer;  // the name of the other service
  db::Schema schema;
  std::function<absl::StatusOr<std::unique_ptr<Running>>(const process::Options&)> serve;
  // The same without serving, for the commands that work with its database and the other service.
  std::function<absl::StatusOr<std::unique_ptr<Running>>(const process::Options&)> build;
};

// Returns the exit code: 0 done or stopped by a signal, 1 failed (the log says why), 2 wrong arguments.
int Main(int argc, char** argv, const Program& program);

}  // namespace crosskey::server
