#include "common/relation/repair/check.h"

#include <algorithm>
#include <optional>

#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"
#include "common/events/events_sql.h"
#include "common/status/errors.h"
#include "common/status/limits.h"

namespace crosskey::relation {
namespace {

constexpr int kPage = 500;
constexpr size_t kSuspects = 10000;  // that are looked at again at a time
// Longer than the sequencer rests after a numbering that failed.
constexpr absl::Duration kSettle = absl::Milliseconds(1500);
constexpr absl::Duration kPatience = absl::Seconds(5);  // without any progress of the consumer
constexpr absl::Duration kLongest = absl::Minutes(5);
constexpr absl::Duration kLook = absl::Milliseconds(50);
constexpr absl::Duration kLongestRest = absl::Milliseconds(100);

Call Step() { return Call::Background(limits::kDefaultDeadline); }

}  // namespace

void Report::Add(const std::string& problem, const std::string& resource, const std::string& uid) {
  if (++problems[problem] <= static_cast<int64_t>(kExamples)) examples.push_back({problem, resource, uid});
}

const char* ProblemOf(const Row& reference, ReferenceState state, const Found* owner) {
  if (owner == nullptr) return state == ReferenceState::kReclaiming ? nullptr : kLostParent;
  if (owner->row.uid != reference.uid) return state == ReferenceState::kReclaiming ? nullptr : kOtherParent;
  return state != ReferenceState::kActive && !owner->deleting ? kHiddenParent : nullptr;
}

absl::StatusOr<Report> Check::Run() {
  Report report;
  suspects_.clear();
  CROSSKEY_RETURN_IF_ERROR(CompareHistories(report));
  for (const Child* child : sides_.children) {
    RowId after{};
    for (bool more = true; more;) {
      const absl::Time begin = absl::Now();
      CROSSKEY_RETURN_IF_ERROR(Page(*child, after, more, report));
      // The calls of others come first, so both services have half of the time without it.
      if (more) absl::SleepFor(std::min(absl::Now() - begin, kLongestRest));
      if (suspects_[child].size() >= kSuspects) CROSSKEY_RETURN_IF_ERROR(LookAgain(report));
    }
  }
  CROSSKEY_RETURN_IF_ERROR(LookAgain(report));
  if (sides_.parent != nullptr) CROSSKEY_RETURN_IF_ERROR(CheckDeletions(report));
  return report;
}

absl::Status Check::CompareHistories(Report& report) {
  CROSSKEY_RETURN_IF_ERROR(sides_.history.Refresh(Step()));
  report.history = sides_.history.Problem();
  CROSSKEY_ASSIGN_OR_RETURN(const events::PeerInfo peer, sides_.transport.Info(Step()));
  report.needs_repair =
      sides_.history.peer_state() != events::HistoryState::kGoesOn || peer.state == events::HistoryState::kMismatch;
  if (!report.history.empty()) return absl::OkStatus();
  if (peer.state == events::HistoryState::kMismatch) report.history = sides_.peer + " has lost something";
  if (peer.state == events::HistoryState::kRestored) report.history = sides_.peer + " was restored, and not compared";
  if (report.history.empty()) {
    CROSSKEY_ASSIGN_OR_RETURN(const bool consumed, AwaitConsumed(peer.feed.head));
    if (!consumed) {
      report.needs_repair = true;
      report.history =
          absl::StrCat("the events of ", sides_.peer, " up to ", Value(peer.feed.head),
                       " have not been consumed in time: one cannot be applied, or ", sides_.own, " does not run");
    }
  }
  for (const events::FeedPosition& position : peer.positions) {
    if (position.feed != sides_.own || !report.history.empty()) continue;
    CROSSKEY_ASSIGN_OR_RETURN(report.history, sides_.history.WhyNot(Step(), position));
    if (position.state == events::HistoryState::kMismatch && report.history.empty()) {
      report.history = sides_.peer + " does not consume the events of " + sides_.own + " any more";
    }
  }
  return absl::OkStatus();
}

absl::Status Check::Page(const Child& child, RowId& after, bool& more, Report& report) {
  CROSSKEY_ASSIGN_OR_RETURN(const auto rows, sides_.outbox.database().Read(Step(), [&](db::Connection& connection) {
    return connection.Query<RowId, std::string, ReferenceState, DeletionId>(child.sql.page, after, kPage);
  }));
  more = static_cast<int>(rows.size()) == kPage;
  if (rows.empty()) return absl::OkStatus();
  after = std::get<0>(rows.back());
  report.references += static_cast<int64_t>(rows.size());
  std::vector<RowId> ids;
  for (const auto& [id, uid, state, refused_through] : rows) ids.push_back(id);
  CROSSKEY_ASSIGN_OR_RETURN(const LookupAnswer answer, sides_.repairs.Examine(Step(), child.table.parent_type, ids));
  std::map<RowId, const Found*> owners;
  for (const Found& found : answer.found) owners[found.row.id] = &found;
  for (const auto& [id, uid, state, refused_through] : rows) {
    const auto owner = owners.find(id);
    const char* problem = ProblemOf({id, uid}, state, owner == owners.end() ? nullptr : owner->second);
    if (problem != nullptr) suspects_[&child].push_back(id);
  }
  return absl::OkStatus();
}

absl::Status Check::LookAgain(Report& report) {
  for (auto& [child, ids] : suspects_) {
    if (ids.empty()) continue;
    // The events of what the first answer did not show any more have numbers by then.
    absl::SleepFor(kSettle);
    for (size_t begin = 0; begin < ids.size(); begin += kPage) {
      const size_t end = std::min(ids.size(), begin + kPage);
      CROSSKEY_RETURN_IF_ERROR(LookAgain(*child, {ids.begin() + begin, ids.begin() + end}, report));
    }
    ids.clear();
  }
  return absl::OkStatus();
}

absl::Status Check::LookAgain(const Child& child, const std::vector<RowId>& ids, Report& report) {
  const std::string& type = child.table.parent_type;
  CROSSKEY_ASSIGN_OR_RETURN(const LookupAnswer answer, sides_.repairs.Examine(Step(), type, ids));
  CROSSKEY_ASSIGN_OR_RETURN(const bool consumed, AwaitConsumed(answer.as_of_sequence));
  std::map<RowId, const Found*> owners;
  for (const Found& found : answer.found) owners[found.row.id] = &found;
  CROSSKEY_ASSIGN_OR_RETURN(const auto rows, sides_.outbox.database().Read(Step(), [&](db::Connection& connection) {
    return connection.Query<RowId, std::string, ReferenceState>(child.sql.look_all, ids);
  }));
  for (const auto& [id, uid, state] : rows) {
    const auto owner = owners.find(id);
    const char* problem = ProblemOf({id, uid}, state, owner == owners.end() ? nullptr : owner->second);
    // Without its events nothing can be said, unless a mismatch says why they are not consumed.
    if (problem != nullptr && !consumed && report.history.empty()) problem = kUndecided;
    if (problem != nullptr) report.Add(problem, errors::ResourceName(type, id), uid);
  }
  return absl::OkStatus();
}

absl::StatusOr<bool> Check::AwaitConsumed(Sequence sequence) {
  const absl::Time begin = absl::Now();
  absl::Time moved = begin;
  for (Sequence before{};;) {
    CROSSKEY_ASSIGN_OR_RETURN(const auto row, sides_.outbox.database().Read(Step(), [&](db::Connection& connection) {
      return connection.QueryOne<std::string, Sequence, events::HistoryState>(events::sql::kConsumed, sides_.peer);
    }));
    if (!row.has_value()) return absl::InternalError("no checkpoint row for the feed " + sides_.peer);
    const auto& [feed_id, last, state] = *row;
    if (state != events::HistoryState::kGoesOn) return false;
    if (last >= sequence) return true;
    const absl::Time now = absl::Now();
    if (last > before) moved = now;
    before = last;
    if (now - moved > kPatience || now - begin > kLongest) return false;
    absl::SleepFor(kLook);
  }
}

// A deletion is wrong if the peer has consumed its event, refers to the row no more, and its report does not come.
absl::Status Check::CheckDeletions(Report& report) {
  Deletions& deletions = sides_.parent->deletions();
  const std::string& type = sides_.parent->table().type;
  // Those that begin meanwhile are none of its business, so it ends with a page that is not full.
  DeletionId after{};
  for (bool more = true; more;) {
    CROSSKEY_ASSIGN_OR_RETURN(const std::vector<OpenDeletion> open, deletions.Open(Step(), after, kPage));
    if (open.empty()) break;
    more = open.size() == kPage;
    after = open.back().deletion_id;
    report.open_deletions += static_cast<int64_t>(open.size());
    CROSSKEY_ASSIGN_OR_RETURN(const auto over, deletions.AwaitOver(sides_.repairs, open, kPatience));
    if (!over.has_value()) {
      if (!report.history.empty()) return absl::OkStatus();
      report.history = sides_.peer + " does not consume the events of " + sides_.own;
      return absl::OkStatus();
    }
    if (over->empty()) continue;
    // The reports were published before the peer said that nothing is left.
    absl::SleepFor(kSettle);
    CROSSKEY_ASSIGN_OR_RETURN(const events::PeerInfo peer, sides_.transport.Info(Step()));
    CROSSKEY_ASSIGN_OR_RETURN(const bool consumed, AwaitConsumed(peer.feed.head));
    for (const OpenDeletion& deletion : *over) {
      CROSSKEY_ASSIGN_OR_RETURN(const bool is_open, deletions.IsOpen(Step(), deletion.deletion_id));
      if (!is_open) continue;
      const bool known = consumed || !report.history.empty();
      report.Add(known ? kUnreported : kUndecided, errors::ResourceName(type, deletion.row.id), deletion.row.uid);
    }
  }
  return absl::OkStatus();
}

}  // namespace crosskey::relation
