#include <filesystem>
#include <memory>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"
#include "common/db/database.h"
#include "common/db/new_file.h"
#include "common/db/sqlite_file.h"
#include "common/events/history.h"
#include "common/events/pairing.h"
#include "common/fault/fault.h"
#include "common/process/stop_signal.h"
#include "common/server/backup.h"
#include "common/telemetry/metrics.h"

namespace crosskey::server {
namespace {

namespace fs = std::filesystem;

// The file of the database. A link stays, and leads to the new one.
std::string FileOf(const db::Url& url) {
  std::error_code error;
  const fs::path file = fs::canonical(url.path, error);
  if (!error) return file;
  const fs::path absolute = fs::absolute(url.path);
  return fs::weakly_canonical(absolute.parent_path()) / absolute.filename();
}

bool HasContent(const std::string& path) {
  std::error_code error;
  const uintmax_t size = fs::file_size(path, error);
  return !error && size > 0;
}

// Errors that concern the name of the file alone.
absl::Status CheckFile(const std::string& file, const std::string& database) {
  std::error_code error;
  if (!fs::is_regular_file(file, error)) return absl::NotFoundError(absl::StrCat("there is no file ", file));
  if (fs::equivalent(file, database, error)) {
    return absl::FailedPreconditionError(absl::StrCat(file, " is the database itself"));
  }
  for (const char* suffix : {"-wal", "-journal"}) {
    if (!HasContent(file + suffix)) continue;
    return absl::FailedPreconditionError(absl::StrCat(file, " is not whole without ", file, suffix,
                                                      ": it is a raw copy and no backup. Make one of it: ", "sqlite3 ",
                                                      file, " \".backup NEW\""));
  }
  return absl::OkStatus();
}

absl::Status CheckCopy(const std::string& path, const Program& program) {
  CROSSKEY_ASSIGN_OR_RETURN(const auto copy, db::SqliteFile::Open(path));
  CROSSKEY_RETURN_IF_ERROR(copy->CheckFully());
  CROSSKEY_RETURN_IF_ERROR(events::Pairing::CheckOwner(copy->connection(), program.defaults.name));
  return db::CheckKnown(copy->connection(), program.schema);
}

absl::Status MigrateAndMark(const Call& call, const std::string& path, const Program& program) {
  telemetry::Metrics metrics(program.defaults.name, CROSSKEY_VERSION);
  db::DatabaseOptions options;
  options.url.path = path;
  options.pool_size = 1;
  db::Database copy(options, metrics);
  CROSSKEY_RETURN_IF_ERROR(db::Migrate(copy, call, program.schema));
  return copy.Transact(call, "restore", [](db::Tx& tx) { return events::History::MarkRestored(tx); });
}

absl::Status MakeReady(const Call& call, const std::string& path, const Program& program) {
  CROSSKEY_RETURN_IF_ERROR(CheckCopy(path, program));
  CROSSKEY_RETURN_IF_ERROR(MigrateAndMark(call, path, program));
  CROSSKEY_ASSIGN_OR_RETURN(const auto copy, db::SqliteFile::Open(path));
  return copy->Settle();
}

// NAME.before-restore-YYYYMMDDTHHMMSSZ. The second one of the same second has a number behind it.
std::string NameToKeep(const std::string& database) {
  const std::string name =
      absl::StrCat(database, ".before-restore-", absl::FormatTime("%Y%m%dT%H%M%SZ", absl::Now(), absl::UTCTimeZone()));
  std::string free = name;
  for (int number = 2; fs::exists(free) || fs::exists(free + "-wal") || fs::exists(free + "-journal"); ++number) {
    free = absl::StrCat(name, "-", number);
  }
  return free;
}

// SQLite would apply a log that lies beside the database to whatever file has that name. Only one that could not be
// settled is still there, and one whose database is gone. Each gets the name that belongs to `kept`.
absl::StatusOr<std::vector<std::string>> MoveLogs(const std::string& database, const std::string& kept) {
  std::vector<std::string> moved;
  std::error_code error;
  fs::remove(database + "-shm", error);
  for (const char* suffix : {"-wal", "-journal"}) {
    if (!fs::exists(database + suffix, error)) continue;
    fs::rename(database + suffix, kept + suffix, error);
    if (error) return absl::UnavailableError(absl::StrCat("cannot move ", database, suffix, ": ", error.message()));
    moved.push_back(kept + suffix);
  }
  CROSSKEY_RETURN_IF_ERROR(db::SyncFolderOf(database));
  return moved;
}

// The steps after which the copy is the database. Returns the names of what was moved.
absl::StatusOr<std::vector<std::string>> Place(db::NewFile& copy, const std::string& database, const std::string& kept,
                                               bool has_old) {
  CROSSKEY_RETURN_IF_ERROR(fault::Hit(fault::kRestoreReady));
  if (has_old) CROSSKEY_RETURN_IF_ERROR(db::AddName(database, kept));
  CROSSKEY_RETURN_IF_ERROR(fault::Hit(fault::kRestoreKept));
  CROSSKEY_ASSIGN_OR_RETURN(std::vector<std::string> moved, MoveLogs(database, kept));
  CROSSKEY_RETURN_IF_ERROR(fault::Hit(fault::kRestoreCleared));
  CROSSKEY_RETURN_IF_ERROR(has_old ? copy.Replace() : copy.Publish());
  CROSSKEY_RETURN_IF_ERROR(fault::Hit(fault::kRestorePlaced));
  if (has_old) moved.insert(moved.begin(), kept);
  return moved;
}

}  // namespace

absl::StatusOr<std::string> Restore(const process::Options& options, const Program& program) {
  CROSSKEY_RETURN_IF_ERROR(CheckIsSqlite(
      options, "restore a dump with mariadb or mysql, as deploy/README.md says under \"Backup and restore\""));
  const std::string database = FileOf(options.db);
  CROSSKEY_RETURN_IF_ERROR(CheckFile(options.file, database));
  Call call;
  call.cancelled = process::HasStopSignal;
  const bool has_old = fs::exists(database);
  std::unique_ptr<db::SqliteLock> lock;
  if (has_old) {
    CROSSKEY_ASSIGN_OR_RETURN(lock, db::SqliteLock::Take(database));
  }
  CROSSKEY_ASSIGN_OR_RETURN(const auto copy, db::NewFile::Beside(database));
  CROSSKEY_RETURN_IF_ERROR(copy->CopyFrom(call, options.file));
  CROSSKEY_RETURN_IF_ERROR(About(options.file, MakeReady(call, copy->path(), program)));
  if (has_old) CROSSKEY_RETURN_IF_ERROR(copy->LookLike(database));
  CROSSKEY_RETURN_IF_ERROR(call.Check());

  const std::string kept = NameToKeep(database);
  const absl::StatusOr<std::vector<std::string>> moved = Place(*copy, database, kept, has_old);
  if (!moved.ok()) {
    std::error_code error;  // the second name is not needed if the database still has the first one
    if (fs::equivalent(database, kept, error)) fs::remove(kept, error);
    return moved.status();
  }
  std::string lines = absl::StrCat("restored ", database, " from ", options.file, "\n");
  for (const std::string& path : *moved) absl::StrAppend(&lines, "kept what was there before as ", path, "\n");
  return lines;
}

}  // namespace crosskey::server
