#include "common/db/write_health.h"

#include "common/telemetry/log.h"

namespace crosskey::db {
namespace {

constexpr char kFull[] = "full";
constexpr char kReadOnly[] = "read_only";
constexpr char kNotAllowed[] = "not_allowed";

prometheus::Gauge& GaugeOf(telemetry::Metrics& metrics, const char* problem) {
  return metrics.Gauge("crosskey_db_write_problem", "1 while the database takes no changes, for this reason.",
                       {{"problem", problem}});
}

}  // namespace

WriteHealth::WriteHealth(telemetry::Metrics& metrics)
    : full_(GaugeOf(metrics, kFull)),
      read_only_(GaugeOf(metrics, kReadOnly)),
      not_allowed_(GaugeOf(metrics, kNotAllowed)) {}

void WriteHealth::Failed(SqlError kind, const std::string& text, absl::Time now) {
  const char* const problem = kind == SqlError::kFull       ? kFull
                              : kind == SqlError::kReadOnly ? kReadOnly
                              : kind == SqlError::kRefused  ? kNotAllowed
                                                            : nullptr;
  if (problem == nullptr) return;
  std::lock_guard lock(mutex_);
  last_ = now;
  if (problem_ == problem) return;
  log::Error("the database takes no changes", {{"problem", problem}, {"error", text}});
  Set(problem);
}

void WriteHealth::Committed(absl::Time now) {
  if (!has_problem_) return;
  std::lock_guard lock(mutex_);
  if (problem_.empty() || (problem_ == kFull && now - last_ < kFullFor)) return;
  log::Info("the database takes changes again");
  Set("");
}

std::string WriteHealth::Problem() const {
  if (!has_problem_) return "";
  std::lock_guard lock(mutex_);
  return problem_;
}

void WriteHealth::Set(const std::string& problem) {
  problem_ = problem;
  has_problem_ = !problem.empty();
  full_.Set(problem == kFull ? 1 : 0);
  read_only_.Set(problem == kReadOnly ? 1 : 0);
  not_allowed_.Set(problem == kNotAllowed ? 1 : 0);
}

}  // namespace crosskey::db
