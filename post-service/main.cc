#include "common/server/command.h"
#include "post-service/app.h"
#include "post-service/storage/migrations.h"

int main(int argc, char** argv) {
  const crosskey::process::ServiceDefaults defaults{"post-service",    "CROSSKEY_POST_",  "sqlite:post-service.db",
                                                    "127.0.0.1:50052", "127.0.0.1:50062", "127.0.0.1:9452",
                                                    "127.0.0.1:50061"};
  return crosskey::server::Main(
      argc, argv, defaults, crosskey::posts::Migrations,
      [](const crosskey::process::Options& options) -> absl::StatusOr<std::unique_ptr<crosskey::server::Running>> {
        return crosskey::posts::App::Start(options);
      });
}
