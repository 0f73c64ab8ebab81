#include "common/db/sqlite_place.h"

#include <cerrno>
#include <system_error>

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "common/status/macros.h"
#include "common/telemetry/log.h"

namespace crosskey::db {
namespace {

constexpr mode_t kOwnerOnly = 0600;
constexpr mode_t kOthersWrite = 0022;

absl::Status Bad(const std::string& text) { return absl::UnavailableError(text); }

absl::Status Failed(const std::string& what, const std::string& path) {
  const int error = errno;
  return Bad(absl::StrCat("cannot ", what, " ", path, ": ", std::generic_category().message(error)));
}

bool HasContent(const std::string& path) {
  struct stat found = {};
  return stat(path.c_str(), &found) == 0 && found.st_size > 0;
}

std::string MarkOf(const std::string& path) { return path + ".exists"; }

absl::Status MakeEmpty(const std::string& path) {
  const int file = open(path.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, kOwnerOnly);
  if (file < 0) return Failed("create", path);
  close(file);
  return absl::OkStatus();
}

}  // namespace

absl::StatusOr<SqlitePlace::File> SqlitePlace::Look() const {
  struct stat found = {};
  if (stat(path_.c_str(), &found) != 0) return Failed("find the database file", path_);
  return File{found.st_dev, found.st_ino};
}

// Nothing is opened here that is there already: to close it would end the locks of this process's sessions.
absl::Status SqlitePlace::Make() const {
  struct stat found = {};
  if (stat(path_.c_str(), &found) == 0 || errno != ENOENT) return absl::OkStatus();
  for (const char* suffix : {"-wal", "-journal"}) {
    if (!HasContent(path_ + suffix)) continue;
    return Bad(absl::StrCat(path_, " is missing, but ", path_, suffix, " is there: it has a part of the database"));
  }
  return MakeEmpty(path_);
}

absl::Status SqlitePlace::Expect(const File& file) const {
  CROSSKEY_ASSIGN_OR_RETURN(const File found, Look());
  if (found.device == file.device && found.number == file.number) return absl::OkStatus();
  return Bad(absl::StrCat(path_, " is another file than this process has opened: stop it before you replace the file"));
}

absl::StatusOr<SqlitePlace::File> SqlitePlace::Find() {
  std::lock_guard lock(mutex_);
  if (!kept_.has_value()) {
    CROSSKEY_RETURN_IF_ERROR(Make());
    return Look();
  }
  CROSSKEY_RETURN_IF_ERROR(Expect(*kept_));
  return *kept_;
}

absl::Status SqlitePlace::Keep(const File& file) {
  std::lock_guard lock(mutex_);
  CROSSKEY_RETURN_IF_ERROR(Expect(kept_.value_or(file)));
  if (kept_.has_value()) return absl::OkStatus();
  kept_ = file;
  struct stat found = {};
  if (stat(path_.c_str(), &found) == 0 && (found.st_mode & kOthersWrite) != 0) {
    log::Warning("others may write the database file",
                 {{"path", path_}, {"mode", absl::StrFormat("%04o", found.st_mode & 07777)}});
  }
  return absl::OkStatus();
}

absl::Status SqlitePlace::Check() const {
  std::lock_guard lock(mutex_);
  return kept_.has_value() ? Expect(*kept_) : absl::OkStatus();
}

absl::Status MarkDatabase(const std::string& path) {
  const absl::Status made = MakeEmpty(MarkOf(path));
  return access(MarkOf(path).c_str(), F_OK) == 0 ? absl::OkStatus() : made;
}

absl::Status CheckMark(const std::string& path) {
  const bool is_missing = access(path.c_str(), F_OK) != 0 && errno == ENOENT;
  if (!is_missing || access(MarkOf(path).c_str(), F_OK) != 0) return absl::OkStatus();
  return absl::FailedPreconditionError(
      absl::StrCat(path, " is missing, and has been there: ", MarkOf(path),
                   " says so. Restore a backup, or remove that mark to begin with an empty database"));
}

}  // namespace crosskey::db
