#include "common/server/backup.h"

#include <filesystem>

#include "absl/strings/str_cat.h"
#include "common/db/new_file.h"
#include "common/db/sqlite_file.h"
#include "common/events/pairing.h"
#include "common/process/stop_signal.h"

namespace crosskey::server {
namespace {

// A file of such a name would be taken for a part of the database.
absl::Status CheckName(const std::filesystem::path& file, const std::string& database) {
  const std::filesystem::path absolute = std::filesystem::absolute(file);
  const auto resolved = std::filesystem::weakly_canonical(absolute.parent_path()) / absolute.filename();
  for (const char* suffix : {"-wal", "-shm", "-journal"}) {
    if (resolved != std::filesystem::canonical(database).string() + suffix) continue;
    return absl::FailedPreconditionError(
        absl::StrCat(file.string(), " is the name of a part of the database: choose another one"));
  }
  if (std::filesystem::symlink_status(file).type() != std::filesystem::file_type::not_found) {
    return absl::AlreadyExistsError(absl::StrCat(file.string(), " exists, and is not overwritten"));
  }
  return absl::OkStatus();
}

}  // namespace

absl::Status About(const std::string& file, const absl::Status& status) {
  return status.ok() ? status : absl::Status(status.code(), absl::StrCat(file, ": ", status.message()));
}

absl::Status CheckIsSqlite(const process::Options& options, const std::string& instead) {
  if (options.db.dialect == db::Dialect::kSqlite) return absl::OkStatus();
  return absl::InvalidArgumentError(absl::StrCat("--db is not SQLite: ", instead));
}

absl::StatusOr<std::string> Backup(const process::Options& options, const Program& program) {
  CROSSKEY_RETURN_IF_ERROR(
      CheckIsSqlite(options, "use mariadb-dump or mysqldump, as deploy/README.md says under \"Backup and restore\""));
  const std::string& path = options.db.path;
  CROSSKEY_ASSIGN_OR_RETURN(const auto database, db::SqliteFile::Open(path));
  CROSSKEY_RETURN_IF_ERROR(CheckName(options.file, path));
  CROSSKEY_RETURN_IF_ERROR(About(path, events::Pairing::CheckOwner(database->connection(), program.defaults.name)));
  Call call;
  call.cancelled = process::HasStopSignal;
  CROSSKEY_ASSIGN_OR_RETURN(const auto file, db::NewFile::Beside(options.file));
  CROSSKEY_RETURN_IF_ERROR(database->CopyTo(call, file->path()));
  {
    CROSSKEY_ASSIGN_OR_RETURN(const auto copy, db::SqliteFile::Open(file->path()));
    CROSSKEY_RETURN_IF_ERROR(copy->Settle());
    CROSSKEY_RETURN_IF_ERROR(About(path, copy->CheckQuickly()));
  }
  CROSSKEY_RETURN_IF_ERROR(call.Check());
  CROSSKEY_RETURN_IF_ERROR(file->Publish());
  return absl::StrCat("wrote ", options.file, ", ", std::filesystem::file_size(options.file), " bytes\n");
}

}  // namespace crosskey::server
