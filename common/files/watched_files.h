// Files that may be replaced while the process runs: a policy, tokens, keys, certificates.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include <sys/types.h>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "common/telemetry/metrics.h"

namespace crosskey::access {

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

// INVALID_ARGUMENT "PATH: why": it cannot be read, is no regular file, is longer than `max_bytes`, or changes while it
// is read.
absl::StatusOr<std::string> ReadFile(const std::string& path, size_t max_bytes, FileVersion* version = nullptr);

// Each call of Look compares the files with what has been read. One thread at a time.
class WatchedFiles {
 public:
  // Gets the contents of all files that belong together, in their order. Takes them whole and returns OK, or takes
  // nothing and returns what is wrong.
  using Take = std::function<absl::Status(const std::vector<std::string>& contents)>;

  explicit WatchedFiles(telemetry::Metrics& metrics) : metrics_(metrics) {}

  // Files that belong together, such as a certificate and its key: if one has changed, all are read. Reads them and
  // gives them to `take`. Watches them only if that is OK; the error is INVALID_ARGUMENT "PATHS: why". `name`, such as
  // "policy", is the label of `crosskey_credentials_problem{file}`.
  absl::Status Add(const std::string& name, std::vector<std::string> paths, size_t max_bytes, Take take);

  // Reads what has changed. What cannot be read or taken is tried again each time: until then what was taken before
  // stays, the metric is 1, and the log has one warning for each reason that differs from the last.
  void Look();

 private:
  struct Group {
    std::string name;
    std::vector<std::string> paths;
    size_t max_bytes;
    Take take;
    std::vector<FileVersion> versions;
    absl::Status problem;
    prometheus::Gauge* has_problem;
  };

  static absl::Status ReadAndTake(Group& group);
  static bool HasChanged(const Group& group);

  telemetry::Metrics& metrics_;
  std::vector<Group> groups_;
};

}  // namespace crosskey::access
