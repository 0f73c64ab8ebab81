#include "common/db/password_file.h"

#include <cerrno>
#include <system_error>

#include <fcntl.h>
#include <unistd.h>

#include "absl/strings/str_cat.h"
#include "common/status/limits.h"

namespace crosskey::db {
namespace {

absl::Status Bad(const std::string& path, const std::string& why) {
  return absl::UnavailableError(absl::StrCat("the password file ", path, " ", why));
}

}  // namespace

absl::StatusOr<std::string> ReadPasswordFile(const std::string& path) {
  // A pipe that nobody writes to would be waited for without O_NONBLOCK.
  const int file = open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK);
  std::string text(limits::kPasswordFileBytes + 1, '\0');
  size_t size = 0;
  ssize_t got = file < 0 ? -1 : 1;
  while (got > 0 && size < text.size()) {
    got = read(file, &text[size], text.size() - size);
    if (got > 0) size += static_cast<size_t>(got);
    if (got < 0 && errno == EINTR) got = 1;
  }
  const int error = errno;
  if (file >= 0) close(file);
  if (got < 0) return Bad(path, "cannot be read: " + std::generic_category().message(error));
  if (size == text.size()) return Bad(path, absl::StrCat("has more than ", limits::kPasswordFileBytes, " bytes"));
  text.resize(size);
  while (!text.empty() && (text.back() == '\n' || text.back() == '\r')) text.pop_back();
  if (text.empty()) return Bad(path, "is empty");
  return text;
}

}  // namespace crosskey::db
