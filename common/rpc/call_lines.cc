#include "common/rpc/call_lines.h"

#include <algorithm>

namespace crosskey::rpc {
namespace {

constexpr int kWriteThreads = 4;
constexpr int kPeerThreads = 4;
constexpr int kReservedForInternal = 2;
constexpr int kFewestThreads = kWriteThreads + kPeerThreads + kReservedForInternal + 2;

}  // namespace

int CallLines::Threads(int sessions) { return std::max(sessions, kFewestThreads); }

CallLines::CallLines(batch::Workers& workers)
    : workers_(workers),
      reads_(workers, {"reads", 1, std::max(1, workers.threads() - kReservedForInternal)}, Run),
      writes_(workers, {"writes", 1, kWriteThreads}, Run),
      peer_(workers, {"peer", 1, kPeerThreads}, Run),
      internal_(workers, {"internal", 1, workers.threads()}, Run) {}

void CallLines::Add(Waits waits, PendingCall* call, Body body) {
  Item item{call, std::move(body)};
  switch (waits) {
    case Waits::kReads:
      return reads_.Add(std::move(item));
    case Waits::kWrites:
      return writes_.Add(std::move(item));
    case Waits::kPeer:
      return peer_.Add(std::move(item));
    case Waits::kInternal:
      return internal_.Add(std::move(item));
  }
}

void CallLines::Run(std::vector<Item> items) {
  for (Item& item : items) {
    absl::Status status = item.call->call().Check();
    if (status.ok()) {
      try {
        status = item.body(item.call->call());
      } catch (const std::exception&) {
        status = absl::InternalError("an exception reached the call wrapper");
      }
    }
    item.call->End(status);
  }
}

}  // namespace crosskey::rpc
