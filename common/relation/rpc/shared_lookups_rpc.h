// Lookups of concurrent calls that share what they ask.
#pragma once

#include <functional>
#include <set>
#include <string>
#include <vector>

#include "common/batch/line.h"
#include "common/relation/peer.h"

namespace crosskey::relation {

// A peer whose lookups hold no thread of the calls that need them. An attempt that needs an answer ends, the lookups
// that wait become one call to the other service, and then each call is attempted again with its part of the answer
// (Attempt in common/status/call.h). So however long the other service takes, two threads wait for it, and no call
// waits for more than two such calls. Whoever has no Attempt, a background task for example, asks by itself.
// Thread-safe.
class SharedLookups final : public Peer {
 public:
  // `peer` and `workers` must outlive it.
  SharedLookups(Peer& peer, batch::Workers& workers);

  // With an Attempt also ABORTED CONFLICT, if it has asked limits::kConsistencyRounds times already.
  absl::StatusOr<LookupAnswer> Lookup(const Call& call, const std::string& type,
                                      const std::vector<RowId>& ids) override;
  absl::StatusOr<ReleaseAnswer> Release(const Call& call, const ReleaseRequest& request) override {
    return peer_.Release(call, request);
  }

 private:
  // What an attempt wants to know and, as its Attempt::answer, what it has been told.
  struct Question {
    std::string type;
    std::vector<RowId> ids;
  };
  struct Told {
    Question question;
    absl::StatusOr<LookupAnswer> answer;
  };
  struct Item {
    Call call;
    Question question;
    std::set<RowId> ids;  // of the question
    std::function<void()> again;

    const Call& Asker() const { return call; }
    const std::set<RowId>& Ids() const { return ids; }
    absl::Status Waiting() const;
    void Refuse(const absl::Status& status) { Tell(status); }
    void Tell(absl::StatusOr<LookupAnswer> answer);
  };

  void Run(std::vector<Item> items);
  void AskTogether(const std::string& type, std::vector<Item> items);

  Peer& peer_;
  batch::Line<Item> line_;
};

}  // namespace crosskey::relation
