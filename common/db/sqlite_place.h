// Where the file of an SQLite database lies. SQLite would make a new and empty one in the place of one that is gone.
#pragma once

#include <mutex>
#include <optional>
#include <string>

#include <sys/types.h>

#include "absl/status/status.h"
#include "absl/status/statusor.h"

namespace crosskey::db {

// Thread-safe. The errors say what is wrong with the file.
class SqlitePlace {
 public:
  struct File {
    dev_t device;
    ino_t number;
  };

  explicit SqlitePlace(std::string path) : path_(std::move(path)) {}

  // Before a session is opened: the file to open. As long as no session has been opened, makes an empty one, for this
  // user alone, if there is none. SQLite gives what it lays beside the file the same mode.
  absl::StatusOr<File> Find();
  // After a session was opened on `file`: it is still there, and from now on no other file is taken.
  absl::Status Keep(const File& file);
  // Whether the file that the sessions have open still has its name. Else what they write would be lost with it.
  absl::Status Check() const;

 private:
  absl::Status Make() const;
  absl::StatusOr<File> Look() const;
  absl::Status Expect(const File& file) const;

  const std::string path_;
  mutable std::mutex mutex_;
  std::optional<File> kept_;
};

// A mark beside a database file says that there is one, so that a later process makes no empty one in its place.
// MarkDatabase does nothing if the mark is there. CheckMark: FAILED_PRECONDITION: there is a mark, and no file.
absl::Status MarkDatabase(const std::string& path);
absl::Status CheckMark(const std::string& path);

}  // namespace crosskey::db
