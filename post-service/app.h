// post-service as a whole. app.cc is the only file that names all of its parts.
#pragma once

#include <memory>

#include "absl/status/statusor.h"
#include "common/server/command.h"

namespace crosskey::posts {

class App : public server::Running {
 public:
  // Builds it for a command that works with its database and the other service. It does not serve.
  static absl::StatusOr<std::unique_ptr<App>> Build(const process::Options& options, server::Hooks hooks = {});
  // Returns once the listeners are open. The service is NOT_SERVING until the database is reachable and has its schema.
  static absl::StatusOr<std::unique_ptr<App>> Start(const process::Options& options, server::Hooks hooks = {});
  ~App() override;

  server::Service& service() override;
  const relation::Sides& sides() const override;

 private:
  struct Parts;
  explicit App(std::unique_ptr<Parts> parts);
  std::unique_ptr<Parts> parts_;
};

// The main of the program. Tests give it hooks.
int Main(int argc, char** argv, const server::Hooks& hooks = {});

}  // namespace crosskey::posts
