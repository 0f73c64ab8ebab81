#include "common/files/read_file.h"

#include <cerrno>
#include <system_error>

#include <fcntl.h>
#include <unistd.h>

#include "absl/strings/str_cat.h"

namespace crosskey::files {
namespace {

int64_t Nanoseconds(const timespec& time) { return int64_t{time.tv_sec} * 1'000'000'000 + time.tv_nsec; }

FileVersion VersionOf(const struct stat& state) {
  return {state.st_dev, state.st_ino, state.st_size, Nanoseconds(state.st_mtim), Nanoseconds(state.st_ctim)};
}

// What can go wrong while the file is open; empty: nothing.
std::string ReadOpen(int file, size_t max_bytes, std::string* text, FileVersion* version) {
  struct stat before = {}, after = {};
  if (fstat(file, &before) != 0) return "cannot be read: " + std::generic_category().message(errno);
  if (!S_ISREG(before.st_mode)) return "is not a regular file";
  text->resize(max_bytes + 1);
  size_t size = 0;
  ssize_t got = 1;
  while (got > 0 && size < text->size()) {
    got = read(file, &(*text)[size], text->size() - size);
    if (got > 0) size += static_cast<size_t>(got);
    if (got < 0 && errno == EINTR) got = 1;
  }
  if (got < 0) return "cannot be read: " + std::generic_category().message(errno);
  if (size > max_bytes) return absl::StrCat("has more than ", max_bytes, " bytes");
  text->resize(size);
  if (fstat(file, &after) != 0 || !(VersionOf(before) == VersionOf(after))) return "changes while it is read";
  *version = VersionOf(after);
  return "";
}

absl::Status Wrong(const std::string& path, const std::string& why) {
  return absl::InvalidArgumentError(absl::StrCat(path, ": ", why));
}

}  // namespace

FileVersion VersionOf(const std::string& path) {
  struct stat state = {};
  return stat(path.c_str(), &state) == 0 ? VersionOf(state) : FileVersion();
}

absl::StatusOr<std::string> ReadFile(const std::string& path, size_t max_bytes, FileVersion* version) {
  // A pipe that nobody writes to would be waited for without O_NONBLOCK.
  const int file = open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK);
  if (file < 0) return Wrong(path, "cannot be read: " + std::generic_category().message(errno));
  std::string text;
  FileVersion ignored;
  const std::string why = ReadOpen(file, max_bytes, &text, version == nullptr ? &ignored : version);
  close(file);
  if (!why.empty()) return Wrong(path, why);
  return text;
}

}  // namespace crosskey::files
