#include "common/access/watched_files.h"

#include <cerrno>
#include <system_error>
#include <utility>

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "common/telemetry/log.h"

namespace crosskey::access {
namespace {

int64_t Nanoseconds(const timespec& time) { return int64_t{time.tv_sec} * 1'000'000'000 + time.tv_nsec; }

FileVersion VersionOf(const struct stat& state) {
  return {state.st_dev, state.st_ino, state.st_size, Nanoseconds(state.st_mtim), Nanoseconds(state.st_ctim)};
}

absl::Status Wrong(const std::string& path, const std::string& why) {
  return absl::InvalidArgumentError(absl::StrCat(path, ": ", why));
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

}  // namespace

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
  if (!taken.ok()) return Wrong(absl::StrJoin(group.paths, ", "), std::string(taken.message()));
  group.versions = std::move(versions);
  return absl::OkStatus();
}

bool WatchedFiles::HasChanged(const Group& group) {
  for (size_t i = 0; i < group.paths.size(); ++i) {
    struct stat state = {};
    const bool there = stat(group.paths[i].c_str(), &state) == 0;
    if (!there || !(VersionOf(state) == group.versions[i])) return true;
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

}  // namespace crosskey::access
