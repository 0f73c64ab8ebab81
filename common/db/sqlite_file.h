// An SQLite database as a file: to be copied while others use it, to be checked, to be put away.
#pragma once

#include <memory>
#include <string>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "common/db/connection.h"
#include "common/status/call.h"

namespace crosskey::db {

// One session on a file, without the settings of open_session.h. For one thread.
class SqliteFile {
 public:
  // Opens a file that is there. Changes nothing, so a file of another application stays as it is. NOT_FOUND: there is
  // none.
  static absl::StatusOr<std::unique_ptr<SqliteFile>> Open(const std::string& path);
  ~SqliteFile();
  SqliteFile(const SqliteFile&) = delete;
  SqliteFile& operator=(const SqliteFile&) = delete;

  Connection& connection();

  // Copies the state of this moment to `to`, an empty file. Others go on writing: what they write is not in the copy,
  // and stays in the write-ahead log until the copy is done. The copy is not durable yet. CANCELLED: the call is over.
  absl::Status CopyTo(const Call& call, const std::string& to);

  // Takes in what is in the log beside the file, and removes the log: what is stored is in this one file then. ABORTED:
  // another process has the database open, even if it does nothing with it.
  absl::Status Settle();
  // Settle, and keeps everybody else out for as long as this session lives.
  absl::Status KeepOthersOut();

  // OK if the pages of the file fit together. The full check compares the indexes with their tables and looks for each
  // foreign key. DATA_LOSS says what does not fit.
  absl::Status CheckQuickly();
  absl::Status CheckFully();

 private:
  struct Session;
  explicit SqliteFile(std::unique_ptr<Session> session);

  absl::Status CopyPages(const Call& call, const std::string& to);
  absl::Status ExpectOk(const Sql& check);

  const std::unique_ptr<Session> session_;
};

// Keeps everybody else out of a database file, also of one that is damaged.
class SqliteLock {
 public:
  // Settles the database. FAILED_PRECONDITION: another process has it open, even if it does nothing with it.
  static absl::StatusOr<std::unique_ptr<SqliteLock>> Take(const std::string& path);
  ~SqliteLock();
  SqliteLock(const SqliteLock&) = delete;
  SqliteLock& operator=(const SqliteLock&) = delete;

 private:
  SqliteLock() = default;

  std::unique_ptr<SqliteFile> file_;
  int damaged_ = -1;  // the descriptor of a file that SQLite cannot read
};

}  // namespace crosskey::db
