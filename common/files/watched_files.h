// Files that may be replaced while the process runs: a policy, tokens, keys, certificates.
#pragma once

#include <functional>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "common/files/read_file.h"
#include "common/telemetry/metrics.h"

namespace crosskey::files {

// Each call of Look compares the files with what has been read. One thread at a time.
class WatchedFiles {
 public:
  // Gets the contents of all files that belong together, in their order. Takes them whole and returns OK, or takes
  // nothing and returns what is wrong, and in which file.
  using Take = std::function<absl::Status(const std::vector<std::string>& contents)>;

  explicit WatchedFiles(telemetry::Metrics& metrics) : metrics_(metrics) {}

  // Files that belong together, such as a certificate and its key: if one has changed, all are read. Reads them and
  // gives them to `take`. Watches them only if that is OK; otherwise returns the error of ReadFile or of `take`.
  // `name`, such as "policy", is the label of `crosskey_credentials_problem{file}`.
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

}  // namespace crosskey::files
