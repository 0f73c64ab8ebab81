// The lines in which calls wait for a thread.
#pragma once

#include <functional>
#include <memory>

#include "common/batch/line.h"
#include "common/rpc/pending_call.h"

namespace crosskey::rpc {

// Which calls hold each other up.
enum class Waits {
  kReads,   // for the database alone
  kWrites,  // for locks and, on SQLite, for the turn to write
  // As kWrites, on a line of their own. What has to be asked of the other service is asked between two attempts
  // (Attempt in common/status/call.h), so no thread of the line waits for it.
  kMayAsk,
  kPeer,            // for the other service
  kInternal,        // what the other service asks; as kReads, but reads cannot take all threads from it
  kInternalWrites,  // the same, as kWrites
  kPreviews,        // for a count of many rows, here or at the other service: nobody else should wait for that
};

// Runs `body`. An exception, which only comes if memory runs out, becomes INTERNAL.
absl::Status Guarded(const std::function<absl::Status(const Call&)>& body, const Call& call);

// A call that is done on its own, from top to bottom, by one thread. So there are few of them at a time, and each kind
// has threads of its own: calls that wait for locks or for the other service must not hold up those that need neither.
class CallLines {
 public:
  using Body = std::function<absl::Status(const Call&)>;

  // `workers` must outlive it, and have been stopped when it is destroyed.
  explicit CallLines(batch::Workers& workers);

  // Runs `body` and answers with what it returns. With kMayAsk it may run several times.
  void Add(Waits waits, PendingCall* call, Body body);
  // Runs `step`, which has to end the call or to hand it on to another line. It must not throw.
  void AddStep(Waits waits, PendingCall* call, std::function<void(PendingCall*)> step);

  batch::Workers& workers() { return workers_; }

  // How many threads there have to be for a pool of so many database sessions.
  static int Threads(int sessions);

 private:
  struct Item {
    PendingCall* call;
    std::function<void(PendingCall*)> step;

    absl::Status Waiting() const { return call->Waiting(); }
    void Refuse(const absl::Status& status) { call->End(status); }
  };

  static void Run(std::vector<Item> items);
  void Try(PendingCall* call, Body body, std::shared_ptr<Attempt> attempt);

  batch::Workers& workers_;
  batch::Line<Item> reads_;
  batch::Line<Item> writes_;
  batch::Line<Item> may_ask_;
  batch::Line<Item> peer_;
  batch::Line<Item> internal_;
  batch::Line<Item> internal_writes_;
  batch::Line<Item> previews_;
};

}  // namespace crosskey::rpc
