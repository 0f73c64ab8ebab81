// Makes the calls of one client of a workload: picks the replica and the deadline, and sends a write again if its
// outcome is unknown.
#pragma once

#include <algorithm>
#include <chrono>
#include <functional>
#include <thread>
#include <type_traits>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "common/events/uuid.h"
#include "tests/support/cluster.h"
#include "tests/support/status_matchers.h"
#include "tests/workload/history.h"
#include "tests/workload/population.h"

namespace crosskey::testing {

template <typename Stub, typename Request, typename Response>
using Method = grpc::Status (Stub::*)(grpc::ClientContext*, const Request&, Response*);

template <typename Request, typename = void>
inline constexpr bool kHasRequestId = false;
template <typename Request>
inline constexpr bool kHasRequestId<Request, std::void_t<decltype(std::declval<Request>().request_id())>> = true;

// Gives every write a request_id of its own, and sends some writes again under it, through any replica: most of those
// whose outcome is unknown, some at the same time as the first call, and some that were done, later. For one thread;
// everything that the constructor takes must outlive it.
class Caller {
 public:
  Caller(Cluster& cluster, bool faults, Random& random, History& history)
      : cluster_(cluster), faults_(faults), random_(random), history_(history) {}

  // Makes the call, and adds it to the history with its outcome. The caller fills in what the response says.
  template <typename Stub, typename Request, typename Response>
  Entry& Call(Entry entry, Method<Stub, Request, Response> method, Request request, Response* response) {
    if constexpr (kHasRequestId<Request>) request.set_request_id(NewUuid());
    bool lost = false;
    entry.begin = Now();
    for (;; ++entry.sends) {
      const bool twice = kHasRequestId<Request> && entry.sends == 1 && Chance(4);
      const grpc::Status status = twice ? SendTwice(method, request, response, entry) : Send(method, request, response);
      entry.end = Now();
      entry.code = status.error_code();
      entry.reason = ReasonOf(status);
      entry.outcome = OutcomeOf(entry.op, entry.code, entry.reason);
      // An undocumented error is not sent again: the next answer would replace it, and the checker would not see it.
      const bool again = kHasRequestId<Request> && entry.outcome == Outcome::kUnknown && entry.sends < kMaxSends &&
                         IsDocumented(entry.op, entry.code, entry.reason, faults_) && Chance(70);
      if (!again) break;
      lost = true;
    }
    // The services do not store errors. So a call that was lost may still take effect after this refusal of the same
    // write.
    if (lost && entry.outcome == Outcome::kFailed) entry.outcome = Outcome::kUnknown;
    history_.push_back(std::move(entry));
    if constexpr (kHasRequestId<Request>) {
      const bool keep = history_.back().outcome == Outcome::kOk && done_.size() < kMaxDone && Chance(10);
      if (keep) Keep(method, std::move(request), *response);
    }
    return history_.back();
  }

  // Sends again one of the writes that were done, if any has been kept for that.
  void Repeat() {
    if (done_.empty()) return;
    const auto picked = done_.begin() + Between(random_, 0, static_cast<int64_t>(done_.size()) - 1);
    picked->second(history_[picked->first]);
    done_.erase(picked);
  }
  void RepeatAll() {
    while (!done_.empty()) Repeat();
  }

 private:
  static constexpr std::chrono::milliseconds kDeadline{5000};
  static constexpr int kMaxSends = 4;
  static constexpr size_t kMaxDone = 8;

  static int64_t Now() { return std::chrono::steady_clock::now().time_since_epoch() / std::chrono::nanoseconds(1); }
  bool Chance(int percent) { return Between(random_, 1, 100) <= percent; }

  template <typename Stub>
  Stub& AnyReplica() {
    const int replica = static_cast<int>(Between(random_, 0, cluster_.replicas() - 1));
    if constexpr (std::is_same_v<Stub, user::v1::UserService::Stub>) {
      return cluster_.users(replica);
    } else {
      return cluster_.posts(replica);
    }
  }

  template <typename Stub, typename Request, typename Response>
  static grpc::Status SendTo(Stub& stub, Method<Stub, Request, Response> method, std::chrono::milliseconds time,
                             const Request& request, Response* response) {
    grpc::ClientContext context;
    context.set_deadline(std::chrono::system_clock::now() + time);
    response->Clear();
    return (stub.*method)(&context, request, response);
  }

  // Sends the request twice at the same time. One of the two calls has an effect, and its answer is the only OK there
  // is. Returns OK if one of the two got it, else an error that leaves the outcome unknown if there is one, else a
  // refusal.
  template <typename Stub, typename Request, typename Response>
  grpc::Status SendTwice(Method<Stub, Request, Response> method, const Request& request, Response* response,
                         Entry& entry) {
    Response other_response;
    grpc::Status other;
    std::thread twin(
        [&, &stub = AnyReplica<Stub>()] { other = SendTo(stub, method, kDeadline, request, &other_response); });
    const grpc::Status status = Send(method, request, response);
    twin.join();
    ++entry.repeats;
    // Only one of the two statuses goes into the history, so an undocumented one is noted here.
    for (const grpc::Status& one : {status, other}) {
      if (IsDocumented(entry.op, one.error_code(), ReasonOf(one), faults_)) continue;
      entry.another_answer = absl::StrCat(static_cast<int>(one.error_code()), " ", ReasonOf(one));
    }
    if (other.ok()) {
      if (!status.ok()) *response = other_response;
      if (!IsSame(*response, other_response)) entry.another_answer = other_response.ShortDebugString();
      return other;
    }
    // A refusal decides nothing while the other call's outcome is unknown: that call may have taken effect after it.
    const bool other_unknown = OutcomeOf(entry.op, other.error_code(), ReasonOf(other)) == Outcome::kUnknown;
    return !status.ok() && other_unknown ? other : status;
  }

  template <typename Stub, typename Request, typename Response>
  grpc::Status Send(Method<Stub, Request, Response> method, const Request& request, Response* response) {
    const bool hasty = faults_ && Chance(1);
    const auto time = hasty ? std::chrono::milliseconds(Between(random_, 1, 20)) : kDeadline;
    const grpc::Status status = SendTo(AnyReplica<Stub>(), method, time, request, response);
    // A call to a replica that is away ends at once, so without a pause there would be thousands of them.
    in_a_row_ = status.error_code() == grpc::StatusCode::UNAVAILABLE ? std::min(in_a_row_ + 1, 10) : 0;
    std::this_thread::sleep_for(std::chrono::milliseconds(20) * in_a_row_);
    return status;
  }

  template <typename Stub, typename Request, typename Response>
  void Keep(Method<Stub, Request, Response> method, Request request, Response first) {
    auto repeat = [this, method, request = std::move(request), first = std::move(first)](Entry& entry) {
      Response answer;
      grpc::Status status;
      // The write only has to read its stored answer. That can meet a conflict too, but not for long.
      for (int i = 0; i == 0 || (i < 3 && ReasonOf(status) == "CONFLICT"); ++i) status = Send(method, request, &answer);
      ++entry.repeats;
      if (status.ok()) {
        if (!IsSame(first, answer)) entry.another_answer = answer.ShortDebugString();
      } else if (!AsksToTryAgain(status)) {
        entry.another_answer = absl::StrCat(static_cast<int>(status.error_code()), " ", ReasonOf(status));
      }
    };
    done_.emplace_back(history_.size() - 1, std::move(repeat));
  }

  // Whether the error is about the state of the service and not about the request, so that the call may be made again.
  bool AsksToTryAgain(const grpc::Status& status) const {
    const std::string reason = ReasonOf(status);
    return reason == "OVERLOADED" || (faults_ && IsFault(status.error_code(), reason));
  }

  template <typename Response>
  static bool IsSame(const Response& first, const Response& second) {
    return first.SerializeAsString() == second.SerializeAsString();
  }
  // Only the id is compared, because the deletion may have gone on since the first answer.
  static bool IsSame(const user::v1::DeleteUserResponse& first, const user::v1::DeleteUserResponse& second) {
    return first.deletion().deletion_id() == second.deletion().deletion_id();
  }

  Cluster& cluster_;
  const bool faults_;
  Random& random_;
  History& history_;
  int in_a_row_ = 0;  // the latest calls that ended in UNAVAILABLE, at most 10
  std::vector<std::pair<size_t, std::function<void(Entry&)>>> done_;  // by index in the history: sends that write again
};

}  // namespace crosskey::testing
