#include "common/db/sqlite_file.h"

#include <utility>
#include <vector>

#include <fcntl.h>
#include <soci/soci.h>
#include <soci/sqlite3/soci-sqlite3.h>
#include <unistd.h>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "common/db/sql_error.h"

namespace crosskey::db {
namespace {

using namespace sqlite_api;  // SOCI includes sqlite3.h in this namespace

constexpr char kCopy[] = "file.copy";
constexpr int kPagesAtOnce = 256;  // between two looks whether the call is over
constexpr int kLockWaitSeconds = 5;

const Sql kAny{"file.any", "SELECT COUNT(*) FROM sqlite_master"};
const Sql kJournalMode{"file.journal_mode", "PRAGMA journal_mode"};
const Sql kSettle{"file.settle", "PRAGMA journal_mode = DELETE"};
const Sql kQuickCheck{"file.quick_check", "PRAGMA quick_check(5)"};
const Sql kFullCheck{"file.integrity_check", "PRAGMA integrity_check(5)"};
const Sql kForeignKeyCheck{"file.foreign_key_check",
                           "SELECT \"table\", rowid, parent FROM pragma_foreign_key_check LIMIT 5"};

bool IsBusy(const absl::Status& status) { return SqlErrorOf(status) == SqlError::kRetry; }

// Whether SQLite cannot read the file.
bool IsDamaged(const absl::Status& status) {
  const auto kind = SqlErrorOf(status);
  return kind == SqlError::kRefused || kind == SqlError::kOther;
}

absl::Status InUse(const std::string& path) {
  return absl::FailedPreconditionError(
      absl::StrCat("another process has ", path, " open: stop all processes of the service first"));
}

}  // namespace

struct SqliteFile::Session {
  sqlite3* raw() { return static_cast<soci::sqlite3_session_backend*>(session.get_backend())->conn_; }

  soci::session session;
  std::unique_ptr<Statements> statements;  // destroyed before the session
  StatementSeam seam;
  std::unique_ptr<Connection> connection;
};

SqliteFile::SqliteFile(std::unique_ptr<Session> session) : session_(std::move(session)) {}

SqliteFile::~SqliteFile() = default;

absl::StatusOr<std::unique_ptr<SqliteFile>> SqliteFile::Open(const std::string& path) {
  if (access(path.c_str(), F_OK) != 0) return absl::NotFoundError("there is no database " + path);
  auto session = std::make_unique<Session>();
  try {
    session->session.open(soci::sqlite3, absl::StrCat("dbname=\"", path, "\" timeout=", kLockWaitSeconds));
    sqlite3_extended_result_codes(session->raw(), 1);
    session->statements = Statements::Of(session->session, Dialect::kSqlite);
  } catch (...) {
    return StatusOfCurrentException("file.open");
  }
  session->connection =
      std::make_unique<Connection>(session->session, *session->statements, Dialect::kSqlite, session->seam, nullptr);
  return std::unique_ptr<SqliteFile>(new SqliteFile(std::move(session)));
}

Connection& SqliteFile::connection() { return *session_->connection; }

absl::Status SqliteFile::CopyTo(const Call& call, const std::string& to) {
  // What the transaction has read once stays as it is, whatever others write. Without it, each of their writes would
  // make SQLite begin the copy anew.
  CROSSKEY_RETURN_IF_ERROR(connection().Command("file.begin", "BEGIN"));
  absl::Status status = connection().Query<int64_t>(kAny).status();
  if (status.ok()) status = CopyPages(call, to);
  const absl::Status ended = connection().Command("file.end", "ROLLBACK");
  return status.ok() ? ended : status;
}

absl::Status SqliteFile::CopyPages(const Call& call, const std::string& to) {
  sqlite3* raw = nullptr;
  const int opened = sqlite3_open_v2(to.c_str(), &raw, SQLITE_OPEN_READWRITE, nullptr);
  const std::unique_ptr<sqlite3, int (*)(sqlite3*)> copy(raw, sqlite3_close);
  if (opened != SQLITE_OK) return SqliteError(opened, kCopy, sqlite3_errmsg(raw));
  // A copy that is not finished is thrown away, so it needs no journal.
  sqlite3_exec(raw, "PRAGMA journal_mode = OFF; PRAGMA synchronous = OFF", nullptr, nullptr, nullptr);
  sqlite3_backup* backup = sqlite3_backup_init(raw, "main", session_->raw(), "main");
  if (backup == nullptr) return SqliteError(sqlite3_errcode(raw), kCopy, sqlite3_errmsg(raw));
  absl::Status status;
  int step = SQLITE_OK;
  while (status.ok() && step == SQLITE_OK) {
    step = sqlite3_backup_step(backup, kPagesAtOnce);
    status = call.Check();
  }
  sqlite3_backup_finish(backup);
  if (!status.ok() || step == SQLITE_DONE) return status;
  return SqliteError(step, kCopy, sqlite3_errstr(step));
}

absl::Status SqliteFile::Settle() {
  CROSSKEY_ASSIGN_OR_RETURN(const auto mode, connection().QueryOne<std::string>(kSettle));
  if (mode.has_value() && std::get<0>(*mode) == "delete") return absl::OkStatus();
  return MakeSqlError(SqlError::kOther, kSettle.name, "the journal mode cannot be changed");
}

absl::Status SqliteFile::KeepOthersOut() {
  CROSSKEY_RETURN_IF_ERROR(connection().Command("file.timeout", "PRAGMA busy_timeout = 0"));
  // Fails while another process has the database open in the mode of the log, in which all sessions of a service are.
  CROSSKEY_RETURN_IF_ERROR(Settle());
  // In the other mode this lock keeps readers out, too.
  CROSSKEY_RETURN_IF_ERROR(connection().Command("file.lock", "BEGIN EXCLUSIVE"));
  CROSSKEY_ASSIGN_OR_RETURN(const auto mode, connection().QueryOne<std::string>(kJournalMode));
  if (mode.has_value() && std::get<0>(*mode) == "delete") return absl::OkStatus();
  return MakeSqlError(SqlError::kRetry, kJournalMode.name, "another process has changed the journal mode");
}

absl::Status SqliteFile::ExpectOk(const Sql& check) {
  const auto rows = connection().Query<std::string>(check);
  if (IsDamaged(rows.status())) {
    return absl::DataLossError(absl::StrCat("it is no SQLite database, or damaged: ", rows.status().message()));
  }
  CROSSKEY_RETURN_IF_ERROR(rows.status());
  std::vector<std::string> lines;
  for (const auto& [line] : *rows) lines.push_back(line);
  if (lines == std::vector<std::string>{"ok"}) return absl::OkStatus();
  return absl::DataLossError(absl::StrCat("it is damaged: ", absl::StrJoin(lines, "; ")));
}

absl::Status SqliteFile::CheckQuickly() { return ExpectOk(kQuickCheck); }

absl::Status SqliteFile::CheckFully() {
  CROSSKEY_RETURN_IF_ERROR(ExpectOk(kFullCheck));
  CROSSKEY_ASSIGN_OR_RETURN(const auto rows,
                            (connection().Query<std::string, std::optional<int64_t>, std::string>(kForeignKeyCheck)));
  if (rows.empty()) return absl::OkStatus();
  const auto& [table, row, parent] = rows.front();
  return absl::DataLossError(absl::StrCat("it is damaged: row ", row.value_or(0), " of ", table, " refers to a row of ",
                                          parent, " that does not exist"));
}

absl::StatusOr<std::unique_ptr<SqliteLock>> SqliteLock::Take(const std::string& path) {
  std::unique_ptr<SqliteLock> lock(new SqliteLock());
  CROSSKEY_ASSIGN_OR_RETURN(lock->file_, SqliteFile::Open(path));
  const absl::Status status = lock->file_->KeepOthersOut();
  if (status.ok()) return lock;
  if (IsBusy(status)) return InUse(path);
  if (!IsDamaged(status)) return status;
  // These are the bytes that it locks: a session in the mode of the log has some of them
  // locked for as long as it is open.
  lock->file_.reset();
  lock->damaged_ = open(path.c_str(), O_RDWR | O_CLOEXEC);
  struct flock bytes = {};
  bytes.l_type = F_WRLCK;
  bytes.l_whence = SEEK_SET;
  bytes.l_start = 0x40000000;
  bytes.l_len = 512;
  if (lock->damaged_ < 0 || fcntl(lock->damaged_, F_OFD_SETLK, &bytes) != 0) return InUse(path);
  return lock;
}

SqliteLock::~SqliteLock() {
  if (damaged_ >= 0) close(damaged_);
}

}  // namespace crosskey::db
