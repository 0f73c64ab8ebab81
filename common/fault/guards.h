// The guards of the protocol, which a test build can leave out one at a time: a guard whose absence no test notices is not
// proven to be needed. tests/fault/README.md says for each what breaks and which test shows it.
#pragma once

namespace crosskey::fault {

enum class Guard {
  kSharedLock,        // a child write locks its reference rows
  kOldReference,      // a child that moves locks the reference that it leaves, too
  kExclusiveLock,     // a release locks the reference row before it looks at it
  kStateCheck,        // a child write refuses a reference that is not ACTIVE
  kAddOnlyIfAbsent,   // what a lookup brings never overwrites a reference row
  kFence,             // nor is it used after a later deletion has been consumed
  kRefusedThrough,    // a late duplicate of a refused release is refused again
  kCheckpointFirst,   // the checkpoint is the first statement of a consuming transaction
  kCheckpointWithin,  // and belongs to the transaction of the effects
  kSequencer,         // events are numbered once they are committed, not by their ids
  kIntentFirst,       // the intent is stored before the release is sent
  kIntentOnly,        // an answer decides only what is undecided
  kHeadFirst,         // the head of the feed is read before what it dates
  kVisibilityJoin,    // reads show only children of ACTIVE parents
  kRetry,             // a transaction that lost a deadlock runs again
  kReclaimAfterDrop,  // hidden rows are removed only after the parent's drop has been consumed
  kPostLock,          // a write to an existing post, and a like of it, locks the post
  kLikeCount,         // a count of likes leaves out those of deleted users
  kAnswerWithin,      // the answer to a request_id belongs to the transaction of the effect
};

struct GuardName {
  Guard guard;
  const char* name;  // as the flag --without and the variable CROSSKEY_WITHOUT take it
};

inline constexpr GuardName kGuards[] = {
    {Guard::kSharedLock, "shared_lock"},
    {Guard::kOldReference, "old_reference"},
    {Guard::kExclusiveLock, "exclusive_lock"},
    {Guard::kStateCheck, "state_check"},
    {Guard::kAddOnlyIfAbsent, "add_only_if_absent"},
    {Guard::kFence, "fence"},
    {Guard::kRefusedThrough, "refused_through"},
    {Guard::kCheckpointFirst, "checkpoint_first"},
    {Guard::kCheckpointWithin, "checkpoint_within"},
    {Guard::kSequencer, "sequencer"},
    {Guard::kIntentFirst, "intent_first"},
    {Guard::kIntentOnly, "intent_only"},
    {Guard::kHeadFirst, "head_first"},
    {Guard::kVisibilityJoin, "visibility_join"},
    {Guard::kRetry, "retry"},
    {Guard::kReclaimAfterDrop, "reclaim_after_drop"},
    {Guard::kPostLock, "post_lock"},
    {Guard::kLikeCount, "like_count"},
    {Guard::kAnswerWithin, "answer_within"},
};

}  // namespace crosskey::fault
