#include "common/rpc/call_lines.h"

#include <algorithm>

namespace crosskey::rpc {
namespace {

constexpr int kWriteThreads = 3;
constexpr int kPeerThreads = 4;
constexpr int kInternalWriteThreads = 3;
constexpr int kPreviewThreads = 1;
constexpr int kReservedForInternal = 2;
constexpr int kFewestThreads = 12;
// The background tasks need sessions as well.
constexpr int kSessionsOfOthers = 4;

}  // namespace

absl::Status Guarded(const std::function<absl::Status(const Call&)>& body, const Call& call) {
  try {
    return body(call);
  } catch (const std::exception&) {
    return absl::InternalError("an exception reached the call wrapper");
  }
}

int CallLines::Threads(int sessions) { return std::max(sessions - kSessionsOfOthers, kFewestThreads); }

CallLines::CallLines(batch::Workers& workers)
    : workers_(workers),
      reads_(workers, {"reads", 1, std::max(1, workers.threads() - kReservedForInternal)}, Run),
      writes_(workers, {"writes", 1, kWriteThreads, absl::ZeroDuration(), true}, Run),
      may_ask_(workers, {"may_ask", 1, kWriteThreads, absl::ZeroDuration(), true}, Run),
      peer_(workers, {"peer", 1, kPeerThreads, absl::ZeroDuration(), true}, Run),
      internal_(workers, {"internal", 1, workers.threads()}, Run),
      internal_writes_(workers, {"internal_writes", 1, kInternalWriteThreads, absl::ZeroDuration(), true}, Run),
      previews_(workers, {"previews", 1, kPreviewThreads, absl::ZeroDuration(), true}, Run) {}

void CallLines::Add(Waits waits, PendingCall* call, Body body) {
  if (waits == Waits::kMayAsk) return Try(call, std::move(body), std::make_shared<Attempt>());
  AddStep(waits, call, [body = std::move(body)](PendingCall* same) { same->End(Guarded(body, same->call())); });
}

void CallLines::Try(PendingCall* call, Body body, std::shared_ptr<Attempt> attempt) {
  AddStep(Waits::kMayAsk, call, [this, body = std::move(body), attempt = std::move(attempt)](PendingCall* same) {
    Call own = same->call();
    own.attempt = attempt.get();
    const absl::Status status = Guarded(body, own);
    if (!IsNeedsPeer(status)) return same->End(status);
    // The next attempt may set `ask` while this one still runs.
    const auto ask = std::move(attempt->ask);
    ask([this, same, body, attempt] { Try(same, body, attempt); });
  });
}

void CallLines::AddStep(Waits waits, PendingCall* call, std::function<void(PendingCall*)> step) {
  Item item{call, std::move(step)};
  switch (waits) {
    case Waits::kReads:
      return reads_.Add(std::move(item));
    case Waits::kWrites:
      return writes_.Add(std::move(item));
    case Waits::kMayAsk:
      return may_ask_.Add(std::move(item));
    case Waits::kPeer:
      return peer_.Add(std::move(item));
    case Waits::kInternal:
      return internal_.Add(std::move(item));
    case Waits::kInternalWrites:
      return internal_writes_.Add(std::move(item));
    case Waits::kPreviews:
      return previews_.Add(std::move(item));
  }
}

void CallLines::Run(std::vector<Item> items) {
  for (Item& item : items) {
    const absl::Status status = item.call->call().Check();
    status.ok() ? item.step(item.call) : item.call->End(status);
  }
}

}  // namespace crosskey::rpc
