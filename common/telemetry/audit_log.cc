#include "common/telemetry/audit_log.h"

#include <cerrno>
#include <cstring>
#include <utility>

#include <fcntl.h>
#include <nlohmann/json.hpp>
#include <unistd.h>

#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"
#include "absl/time/time.h"
#include "common/status/limits.h"
#include "common/telemetry/log.h"

namespace crosskey::telemetry {
namespace {

using nlohmann::ordered_json;

std::string LineOf(const AuditLog::Entry& entry, const std::string& service, int64_t left_out) {
  ordered_json line;
  line["time"] = absl::FormatTime("%Y-%m-%dT%H:%M:%E3SZ", absl::Now(), absl::UTCTimeZone());
  line["service"] = service;
  const auto add = [&line](const char* key, const std::string& text) {
    if (!text.empty()) line[key] = text;
  };
  add("principal", entry.principal);
  add("address", entry.address);
  line["method"] = entry.method;
  if (!entry.resources.empty()) line["resources"] = entry.resources;
  if (entry.more_resources > 0) line["more_resources"] = entry.more_resources;
  if (entry.deletion_id > 0) line["deletion_id"] = entry.deletion_id;
  add("traceparent", entry.traceparent);
  line["outcome"] = entry.outcome;
  add("reason", entry.reason);
  if (left_out > 0) line["refusals_left_out"] = left_out;
  return line.dump(-1, ' ', true, ordered_json::error_handler_t::replace) + "\n";
}

// Writes all of it, or says why not. A line is one write, so lines of several processes do not mix.
bool WriteAll(int file, const std::string& text) {
  size_t done = 0;
  while (done < text.size()) {
    const ssize_t written = write(file, text.data() + done, text.size() - done);
    if (written < 0 && errno == EINTR) continue;
    if (written <= 0) return false;
    done += static_cast<size_t>(written);
  }
  return true;
}

}  // namespace

AuditLog::AuditLog(std::string path, std::string service, Metrics& metrics)
    : path_(std::move(path)),
      service_(std::move(service)),
      failures_(
          metrics.Counter("crosskey_audit_failures_total", "Lines of the audit record that could not be written.")) {}

AuditLog::~AuditLog() {
  if (file_ >= 0 && !IsStdout()) close(file_);
}

absl::StatusOr<std::unique_ptr<AuditLog>> AuditLog::Open(const std::string& path, std::string service,
                                                         Metrics& metrics) {
  std::unique_ptr<AuditLog> log(new AuditLog(path, std::move(service), metrics));
  const absl::Status status = log->OpenFile();
  if (!status.ok()) return status;
  return log;
}

absl::Status AuditLog::OpenFile() {
  if (IsStdout()) {
    file_ = STDOUT_FILENO;
    return absl::OkStatus();
  }
  const int file = open(path_.c_str(), O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC, 0600);
  struct stat now {};
  if (file < 0 || fstat(file, &now) != 0) {
    const std::string why = std::strerror(errno);
    if (file >= 0) close(file);
    return absl::InvalidArgumentError(absl::StrCat("--audit-log: cannot write to '", path_, "': ", why));
  }
  if (file_ >= 0) close(file_);
  file_ = file;
  opened_ = now;
  return absl::OkStatus();
}

void AuditLog::Write(const Entry& entry) {
  std::lock_guard lock(mutex_);
  if (entry.is_refusal && IsTooMuch()) {
    ++left_out_;
    return;
  }
  const std::string line = LineOf(entry, service_, std::exchange(left_out_, 0));
  const bool written = WriteAll(file_, line);
  if (!written) failures_.Increment();
  if (written == !failing_) return;
  failing_ = !written;
  if (failing_) {
    log::Error("the audit record cannot be written", {{"path", path_}, {"error", std::strerror(errno)}});
  } else {
    log::Info("the audit record is written again", {{"path", path_}});
  }
}

bool AuditLog::IsTooMuch() {
  const int64_t second = absl::ToUnixSeconds(absl::Now());
  if (std::exchange(second_, second) != second) refusals_ = 0;
  return ++refusals_ > limits::kRefusalLines;
}

void AuditLog::Look() {
  std::lock_guard lock(mutex_);
  struct stat now {};
  const bool is_same = stat(path_.c_str(), &now) == 0 && now.st_ino == opened_.st_ino && now.st_dev == opened_.st_dev;
  if (IsStdout() || is_same) return;
  // Until it can be opened, the lines go on into the file that was moved.
  if (!OpenFile().ok()) failures_.Increment();
}

}  // namespace crosskey::telemetry
