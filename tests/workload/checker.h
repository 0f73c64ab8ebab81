// Compares a history with the state before and after it: does what clients saw agree with the invariants I1 to I8 of
// common/relation/README.md?
//
// A write takes effect between its begin and its end if it was acknowledged, never if it was refused, and at any time
// after its begin, or never, if its outcome is unknown. The checker reports only what no order of such effects could
// explain.
#pragma once

#include <string>
#include <vector>

#include "tests/workload/history.h"
#include "tests/workload/snapshot.h"

namespace crosskey::testing {

enum class Broken {
  kUndocumented,  // an error that the API does not document for the call
  kFalseRefusal,  // a reference was refused although nobody has tried to delete the user or the post, or ALREADY_PINNED
                  // was answered although nobody else had pinned the post
  kOrphan,        // I1: a row that refers to nobody, or a reference row or hidden post that should be gone
  kPostLost,      // I2: an acknowledged post is not there
  kUserLost,      // I2: an acknowledged user is not there
  kChangeLost,    // I2: a post has an older title or user than an acknowledged change gave it
  kDeletedPostShown,  // I2: a post is there after its acknowledged deletion
  kLikeLost,          // I2: an acknowledged like is not there, or one is that was taken back or never given
  kPinLost,           // I2: a user has another pin than acknowledged changes and deletions leave
  kPinnedTwice,       // two users have pinned one post
  kCount,             // a post's like_count is not the number of its likes
  kRestrictTookPost,  // I3: RESTRICT deleted a user that had a post
  kWriteAfterDelete,  // I4: a write accepted after the user's posts had gone
  kReadAfterDelete,   // I4: a post or like shown after the user's posts had gone
  kPartial,           // I4: some of the posts of a user have gone, and others have not
  kUserCameBack,      // I5: a user is there after its acknowledged deletion
  kIdReused,          // I5: an id or uid given twice
  kDeletion,          // a deletion that does not end, goes back, has vanished or is another than was asked for
  kEvents,            // I6: a gap, a duplicate, or events that do not add up to the state
  kRepeated,          // I7: a write sent again under its request_id took effect twice, or was answered otherwise
};
const char* NameOf(Broken broken);

struct Violation {
  Broken what;
  std::string text;
};

// `faults`: see IsDocumented.
std::vector<Violation> CheckHistory(const Snapshot& before, const History& history, const Snapshot& after, bool faults);

// Checks the state alone: no orphans, and every deletion at its end.
std::vector<Violation> CheckState(const Snapshot& before, const Snapshot& after);

// Checks the events of both feeds between the two states. If the oldest events have been trimmed, what cannot be told
// without them is not checked.
std::vector<Violation> CheckEvents(const Snapshot& before, const Snapshot& after, const EventLog& users,
                                   const EventLog& posts);

}  // namespace crosskey::testing
