// Makes what a service knows of another one's rows true again: list, then watch.
#pragma once

#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "common/relation/repair/sides.h"

namespace crosskey::relation {

// The one remedy when a history does not go on: a database was restored or emptied, events in between are no longer
// kept, or an event cannot be applied. It reads the truth of the other service anew, as Kubernetes' informers do
// (list, then watch):
//
//   1. It stores that it is going on. The consumer rests, and no release is carried out.
//   2. The other service gives its feed a new name, raises the ids that were seen here, and says its head
//      (RepairPoints).
//   3. The fence: the new name and the head become those of the checkpoint. So no answer of before can add a row behind
//      the list's back.
//   4. The list: each reference row is compared with the owner's answer. One whose row is gone, or has another uid, is
//      given up, and its child rows are removed like those of a deletion. A tombstone whose row lives becomes ACTIVE.
//   5. Own deletions that are over at the other service become COMPLETED.
//   6. What was given up is removed. Then the deletions that are open and whose events have a place up to the head take
//      effect as their events would, because these are skipped.
//   7. The checkpoint is set to the head, and the consumer goes on.
//
// Each step is one or a few bounded transactions. After a crash, or if another repair has begun, it begins again with
// step 1; whatever it has done stays right. Both services may serve meanwhile. common/relation/model/repair.pml has
// these steps, and says what happens without each of them.
class Repair {
 public:
  struct Done {
    int64_t references = 0;
    int64_t given_up = 0;
    int64_t returned = 0;
    int64_t completed = 0;   // own deletions
    int64_t taken_over = 0;  // deletions of the other service
  };

  explicit Repair(const Sides& sides) : sides_(sides) {}

  // ABORTED: another repair has begun meanwhile. UNAVAILABLE PEER_UNAVAILABLE: the other service does not answer; the
  // next repair goes on. Other errors are those of RepairPeer and of the database.
  // FAILED_PRECONDITION: the other service does not consume this one's events, so it has to be repaired first.
  absl::StatusOr<Done> Run();

 private:
  absl::Status Begin();
  absl::StatusOr<RepairPoint> AskForPoint();
  absl::Status SetFence(const RepairPoint& point);
  absl::Status List(const Child& child, const RepairPoint& point, Done& done);
  absl::Status CompleteOwn(Done& done);
  absl::Status Remove();
  absl::Status TakeOver(const RepairPoint& point, Done& done);
  absl::Status End(const RepairPoint& point);
  // Locks the checkpoint (shared). ABORTED: the repair with this point does not go on any more.
  absl::Status LockCheckpoint(events::Tx& tx, const RepairPoint& point);

  const Sides& sides_;
  std::string begun_in_;  // the history that was known when this repair began
};

}  // namespace crosskey::relation
