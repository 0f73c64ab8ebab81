// The commands `backup` and `restore`, for SQLite. A server of databases has tools of its own for that.
#pragma once

#include <string>

#include "absl/status/statusor.h"
#include "common/process/options.h"
#include "common/server/command.h"

namespace crosskey::server {

// Both return the lines to print. Errors say what to do about them. INVALID_ARGUMENT: the database is not SQLite.
// CANCELLED: SIGTERM or SIGINT came meanwhile.

// Copies the database into the new file options.file, also while the service runs and writes: one consistent state, in
// one file, which has its name only once it is whole, checked and durable. ALREADY_EXISTS: there is such a file.
// FAILED_PRECONDITION: it is no database of this service.
absl::StatusOr<std::string> Backup(const process::Options& options, const Program& program);

// Puts a checked copy of options.file in the place of the database, which is kept under another name. Whenever the
// process is killed, the database is the one or the other, and whole. FAILED_PRECONDITION: the file is no database of
// this service, it is one of a newer release, or a process has the present database open. DATA_LOSS: the file is
// damaged. On each error the database is as it was.
absl::StatusOr<std::string> Restore(const process::Options& options, const Program& program);

// An error that says which file is meant.
absl::Status About(const std::string& file, const absl::Status& status);

// What every command on a database file needs to be told of it: OK, or INVALID_ARGUMENT with what to do instead.
absl::Status CheckIsSqlite(const process::Options& options, const std::string& instead);

}  // namespace crosskey::server
