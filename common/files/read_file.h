// Reads a file that somebody else may replace at any time: a policy, tokens, keys, certificates, a password.
#pragma once

#include <cstdint>
#include <string>

#include <sys/stat.h>
#include <sys/types.h>

#include "absl/status/statusor.h"

namespace crosskey::files {

// Which state of which file has been read. A file that is written anew or replaced has another one, also if it is
// replaced by a link to another file, as Kubernetes does.
struct FileVersion {
  dev_t device = 0;
  ino_t inode = 0;
  int64_t size = -1;     // no file
  int64_t modified = 0;  // in ns
  int64_t changed = 0;   // in ns; differs even if the time of `modified` was put back

  friend bool operator==(const FileVersion& a, const FileVersion& b) {
    return a.device == b.device && a.inode == b.inode && a.size == b.size && a.modified == b.modified &&
           a.changed == b.changed;
  }
};

// Of the file that the path leads to now; that of no file if it cannot be looked at.
FileVersion VersionOf(const std::string& path);

// INVALID_ARGUMENT "PATH: why": it cannot be read, is no regular file, is longer than `max_bytes`, or changes while it
// is read. Never has anything of what is in the file. Does not wait for anybody.
absl::StatusOr<std::string> ReadFile(const std::string& path, size_t max_bytes, FileVersion* version = nullptr);

}  // namespace crosskey::files
