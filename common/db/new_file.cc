#include "common/db/new_file.h"

#include <cerrno>
#include <cstdlib>
#include <filesystem>
#include <system_error>
#include <vector>

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "absl/strings/str_cat.h"
#include "common/status/macros.h"

namespace crosskey::db {
namespace {

constexpr size_t kBytesAtOnce = 1 << 20;

class Descriptor {
 public:
  Descriptor(const std::string& path, int flags) : fd_(open(path.c_str(), flags | O_CLOEXEC)) {}
  ~Descriptor() {
    if (fd_ >= 0) close(fd_);
  }
  Descriptor(const Descriptor&) = delete;
  Descriptor& operator=(const Descriptor&) = delete;

  int operator*() const { return fd_; }

 private:
  const int fd_;
};

// Says what has just failed.
absl::Status Failed(const std::string& what, const std::string& path) {
  const int error = errno;
  const std::string text = absl::StrCat("cannot ", what, " ", path, ": ", std::generic_category().message(error));
  return error == EEXIST ? absl::AlreadyExistsError(text) : absl::UnavailableError(text);
}

absl::Status Sync(const std::string& path, int flags) {
  const Descriptor file(path, flags);
  return *file >= 0 && fsync(*file) == 0 ? absl::OkStatus() : Failed("make durable", path);
}

absl::Status WriteAll(int to, const char* bytes, size_t size, const std::string& path) {
  while (size > 0) {
    const ssize_t written = write(to, bytes, size);
    if (written < 0 && errno != EINTR) return Failed("write", path);
    if (written < 0) continue;
    bytes += written;
    size -= static_cast<size_t>(written);
  }
  return absl::OkStatus();
}

}  // namespace

absl::StatusOr<std::unique_ptr<NewFile>> NewFile::Beside(const std::string& path) {
  std::string temporary = path + ".new-XXXXXX";
  const int fd = mkostemp(temporary.data(), O_CLOEXEC);  // with mode 0600
  if (fd < 0) return Failed("create", path);
  close(fd);
  return std::unique_ptr<NewFile>(new NewFile(path, std::move(temporary)));
}

NewFile::~NewFile() {
  for (const char* suffix : {"", "-wal", "-shm", "-journal"}) unlink((path_ + suffix).c_str());
}

absl::Status NewFile::CopyFrom(const Call& call, const std::string& file) {
  const Descriptor from(file, O_RDONLY), to(path_, O_WRONLY);
  if (*from < 0) return Failed("read", file);
  if (*to < 0) return Failed("write", path_);
  std::vector<char> bytes(kBytesAtOnce);
  while (true) {
    CROSSKEY_RETURN_IF_ERROR(call.Check());
    const ssize_t size = read(*from, bytes.data(), bytes.size());
    if (size == 0) return absl::OkStatus();
    if (size < 0 && errno != EINTR) return Failed("read", file);
    if (size > 0) CROSSKEY_RETURN_IF_ERROR(WriteAll(*to, bytes.data(), static_cast<size_t>(size), path_));
  }
}

absl::Status NewFile::LookLike(const std::string& file) {
  struct stat like = {}, own = {};
  if (stat(file.c_str(), &like) != 0) return Failed("look at", file);
  if (stat(path_.c_str(), &own) != 0) return Failed("look at", path_);
  const bool is_owned = own.st_uid == like.st_uid && own.st_gid == like.st_gid;
  if (!is_owned && chown(path_.c_str(), like.st_uid, like.st_gid) != 0) {
    return Failed("set the owner, which has to be that of the file before, of", path_);
  }
  return chmod(path_.c_str(), like.st_mode & 07777) == 0 ? absl::OkStatus() : Failed("set the mode of", path_);
}

absl::Status NewFile::Publish() {
  CROSSKEY_RETURN_IF_ERROR(Sync(path_, O_RDONLY));
  CROSSKEY_RETURN_IF_ERROR(AddName(path_, name_));
  unlink(path_.c_str());
  return SyncFolderOf(name_);
}

absl::Status NewFile::Replace() {
  CROSSKEY_RETURN_IF_ERROR(Sync(path_, O_RDONLY));
  if (rename(path_.c_str(), name_.c_str()) != 0) return Failed("replace", name_);
  return SyncFolderOf(name_);
}

absl::Status AddName(const std::string& path, const std::string& second) {
  // Unlike rename, link refuses a name that is taken.
  return link(path.c_str(), second.c_str()) == 0 ? SyncFolderOf(second) : Failed("create", second);
}

absl::Status SyncFolderOf(const std::string& path) {
  return Sync(std::filesystem::absolute(path).parent_path(), O_RDONLY | O_DIRECTORY);
}

}  // namespace crosskey::db
