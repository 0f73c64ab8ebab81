#include "common/files/watched_files.h"

#include <utility>

#include "absl/strings/str_join.h"
#include "common/telemetry/log.h"

namespace crosskey::files {

absl::Status WatchedFiles::Add(const std::string& name, std::vector<std::string> paths, size_t max_bytes, Take take) {
  Group group = {name, std::move(paths), max_bytes, std::move(take), {}, absl::OkStatus(), nullptr};
  const absl::Status taken = ReadAndTake(group);
  if (!taken.ok()) return taken;
  group.has_problem = &metrics_.Gauge("crosskey_credentials_problem",
                                      "1 while a file of credentials or rules cannot be taken and the last one stays",
                                      {{"file", name}});
  groups_.push_back(std::move(group));
  return absl::OkStatus();
}

absl::Status WatchedFiles::ReadAndTake(Group& group) {
  std::vector<std::string> contents;
  std::vector<FileVersion> versions;
  for (const std::string& path : group.paths) {
    absl::StatusOr<std::string> content = ReadFile(path, group.max_bytes, &versions.emplace_back());
    if (!content.ok()) return std::move(content).status();
    contents.push_back(*std::move(content));
  }
  const absl::Status taken = group.take(contents);
  if (taken.ok()) group.versions = std::move(versions);
  return taken;
}

bool WatchedFiles::HasChanged(const Group& group) {
  for (size_t i = 0; i < group.paths.size(); ++i) {
    if (!(VersionOf(group.paths[i]) == group.versions[i])) return true;
  }
  return false;
}

void WatchedFiles::Look() {
  for (Group& group : groups_) {
    if (group.problem.ok() && !HasChanged(group)) continue;
    const absl::Status taken = ReadAndTake(group);
    group.has_problem->Set(taken.ok() ? 0 : 1);
    if (taken.ok()) {
      log::Info("changed file taken", {{"file", group.name}, {"path", absl::StrJoin(group.paths, ", ")}});
    } else if (taken != group.problem) {
      log::Warning("changed file refused, what it had before stays", {{"file", group.name}, {"why", taken.message()}});
    }
    group.problem = taken;
  }
}

}  // namespace crosskey::files
