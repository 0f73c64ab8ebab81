#include "common/server/command.h"
#include "user-service/app.h"
#include "user-service/storage/migrations.h"

int main(int argc, char** argv) {
  const crosskey::process::ServiceDefaults defaults{"user-service",    "CROSSKEY_USER_",  "sqlite:user-service.db",
                                                    "127.0.0.1:50051", "127.0.0.1:50061", "127.0.0.1:9451",
                                                    "127.0.0.1:50062"};
  return crosskey::server::Main(
      argc, argv, defaults, crosskey::users::Migrations,
      [](const crosskey::process::Options& options) -> absl::StatusOr<std::unique_ptr<crosskey::server::Running>> {
        return crosskey::users::App::Start(options);
      });
}
