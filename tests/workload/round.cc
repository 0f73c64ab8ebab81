#include "tests/workload/round.h"

#include <sstream>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"
#include "tests/support/http_get.h"
#include "tests/support/integrity.h"
#include "tests/support/wait.h"

namespace crosskey::testing {
namespace {

// A line of the metrics is crosskey_calls_in_flight{grpc_service="user.v1.UserService"} 0. Event streams do not count,
// because some are always in flight.
bool IsIdle(int metrics_port) {
  const std::string metrics = HttpGet(metrics_port, "/metrics");
  if (!absl::StrContains(metrics, "crosskey_calls_in_flight{")) return false;
  std::istringstream lines(metrics);
  for (std::string line; std::getline(lines, line);) {
    const bool counts = absl::StartsWith(line, "crosskey_calls_in_flight{") && !absl::StrContains(line, "event.v1");
    if (counts && !absl::EndsWith(line, " 0")) return false;
  }
  return true;
}

void Append(std::vector<Violation>& all, std::vector<Violation> more) {
  all.insert(all.end(), std::make_move_iterator(more.begin()), std::make_move_iterator(more.end()));
}

}  // namespace

void Tally::Add(const Tally& other) {
  for (size_t op = 0; op < calls.size(); ++op) {
    for (size_t outcome = 0; outcome < 3; ++outcome) calls[op][outcome] += other.calls[op][outcome];
  }
  for (const auto& [error, count] : other.errors) errors[error] += count;
  sent_again += other.sent_again;
  repeated += other.repeated;
  events += other.events;
  seconds += other.seconds;
}

int64_t Tally::Sum() const {
  int64_t sum = 0;
  for (const auto& outcomes : calls) sum += outcomes[0] + outcomes[1] + outcomes[2];
  return sum;
}

Rounds::Rounds(Cluster& cluster, const Workload::Options& options, Nemesis* nemesis)
    : cluster_(cluster), nemesis_(nemesis), workload_(cluster, options) {
  before_ = TakeSnapshot(cluster.user_db(), cluster.post_db(), Snapshot{});
}

std::vector<Violation> Rounds::Run(absl::Duration time, const std::function<void()>& sample) {
  last_ = Tally{};
  const absl::Time begin = absl::Now();
  workload_.Start();
  while (absl::Now() < begin + time) {
    if (nemesis_ != nullptr) {
      nemesis_->Step();
    } else {
      absl::SleepFor(absl::Milliseconds(500));
    }
    if (sample) sample();
  }
  if (nemesis_ != nullptr) nemesis_->Heal();
  const History history = workload_.Stop();
  last_.seconds = absl::ToDoubleSeconds(absl::Now() - begin);
  for (const Entry& entry : history) {
    ++last_.calls[static_cast<size_t>(entry.op)][static_cast<size_t>(entry.outcome)];
    last_.sent_again += entry.sends - 1;
    last_.repeated += entry.repeats;
    if (entry.code != grpc::StatusCode::OK) {
      ++last_.errors[absl::StrCat(NameOf(entry.op), " ", static_cast<int>(entry.code), " ", entry.reason)];
    }
  }

  std::vector<Violation> violations;
  if (!AwaitRest()) violations.push_back({Broken::kDeletion, "something still goes on a minute after the last call"});
  Snapshot after = TakeSnapshot(cluster_.user_db(), cluster_.post_db(), before_);
  const EventLog users = ReadEvents(cluster_.user_db(), before_.user_head);
  const EventLog posts = ReadEvents(cluster_.post_db(), before_.post_head);
  last_.events = static_cast<int64_t>(users.events.size() + posts.events.size());
  Append(violations, CheckState(before_, after));
  Append(violations, CheckHistory(before_, history, after, nemesis_ != nullptr));
  Append(violations, CheckEvents(before_, after, users, posts));
  before_ = std::move(after);
  return violations;
}

bool Rounds::AwaitRest() {
  const bool idle = WaitFor([this] {
    for (const Side side : {Side::kUsers, Side::kPosts}) {
      for (int i = 0; i < cluster_.replicas(); ++i) {
        if (!IsIdle(cluster_.metrics_port(side, i))) return false;
      }
    }
    return true;
  });
  // 2 and 5: REFUSED, COMPLETED.
  const bool decided = WaitFor([this] {
    return cluster_.user_db().Number("SELECT COUNT(*) FROM user_deletions WHERE state NOT IN (2, 5)") == 0;
  });
  return idle && decided && AwaitQuiet(cluster_.user_db(), cluster_.post_db());
}

std::string Report(const std::vector<Violation>& violations, int of_each_kind) {
  std::map<Broken, int> counts;
  std::string text;
  for (const Violation& violation : violations) {
    if (++counts[violation.what] <= of_each_kind) {
      absl::StrAppend(&text, NameOf(violation.what), ": ", violation.text, "\n");
    }
  }
  for (const auto& [what, count] : counts) absl::StrAppend(&text, NameOf(what), ": ", count, " in all\n");
  return text;
}

}  // namespace crosskey::testing
