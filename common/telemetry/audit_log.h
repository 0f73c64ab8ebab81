// The record of who has changed what, and of who was refused: one line of JSON for each, in a log of its own.
#pragma once

#include <cstdint>
#include <memory>
#include <mutex>
#include <string>
#include <vector>

#include <sys/stat.h>

#include "absl/status/statusor.h"
#include "common/telemetry/metrics.h"

namespace crosskey::telemetry {

// A line is written when the call ends, after its transaction. A process that is killed in between leaves a change
// without a line; of a deletion, its row says who asked for it all the same. If a line cannot be written, because a
// disk is full for example, the call goes on, crosskey_audit_failures_total counts it, and the log says so.
// Thread-safe.
class AuditLog {
 public:
  // What a line says. Empty texts and lists are left out.
  struct Entry {
    std::string principal;               // empty: nobody, who has not said who it is
    std::string address;                 // the other end of the connection, which may be a proxy
    std::string method;                  // "/user.v1.UserService/DeleteUser", or a command: "repair"
    std::vector<std::string> resources;  // "users/7"; of a batch the first 10
    int64_t more_resources = 0;          // how many are left out
    int64_t deletion_id = 0;
    std::string traceparent;
    std::string outcome;  // the code: "OK", "PermissionDenied"
    std::string reason;   // of an error: "PERMISSION_DENIED"
    bool is_refusal = false;
  };

  // `path`: "-" is stdout. A new file is for this account alone. INVALID_ARGUMENT: it cannot be opened.
  static absl::StatusOr<std::unique_ptr<AuditLog>> Open(const std::string& path, std::string service, Metrics& metrics);
  ~AuditLog();
  AuditLog(const AuditLog&) = delete;
  AuditLog& operator=(const AuditLog&) = delete;

  // Refusals cost their callers nothing, so there are at most limits::kRefusalLines of them in a second. The next line
  // says how many were left out.
  void Write(const Entry& entry);
  // To be called every second or so: a file that has been moved away is opened again, so it can be rotated.
  void Look();

 private:
  AuditLog(std::string path, std::string service, Metrics& metrics);

  absl::Status OpenFile();
  bool IsTooMuch();
  bool IsStdout() const { return path_ == "-"; }

  const std::string path_;
  const std::string service_;
  prometheus::Counter& failures_;
  std::mutex mutex_;  // guards what follows
  int file_ = -1;
  struct stat opened_ {};
  bool failing_ = false;
  int64_t second_ = 0;  // since 1970, of the last refusal
  int refusals_ = 0;    // in that second
  int64_t left_out_ = 0;
};

}  // namespace crosskey::telemetry
