// Holds a history against the state before and after it: does what clients saw agree with the invariants I1 to I8 of
// common/relation/README.md?
//
// It reports only what no order of events could explain, given that a write takes effect between its begin and its end if it
// was acknowledged, never if it was refused, and at any time after its begin, or never, if its outcome is unknown.
#pragma once

#include <string>
#include <vector>

#include "tests/workload/history.h"
#include "tests/workload/snapshot.h"

namespace crosskey::testing {

enum class Broken {
  kUndocumented,  // an error that the API does not document for the call
  kFalseRefusal,  // a reference refused to a user or a post that nobody has tried to delete, or to a post that nobody has
                  // pinned
  kOrphan,        // I1: a row that refers to nobody, or a reference row of nobody
  kPostLost,      // I2: an acknowledged post is not there
  kUserLost,      // I2: an acknowledged user is not there
  kChangeLost,    // I2: an older title or user than an acknowledged change made
  kDeletedPostShown,  // I2: a post after its acknowledged deletion
  kLikeLost,          // I2: an acknowledged like is not there, or one that was taken back, or never given, is
  kPinLost,           // I2: another pin than acknowledged changes and deletions leave
  kPinnedTwice,       // one post, by two users
  kCount,             // a post's like_count is not the number of its likes
  kRestrictTookPost,  // I3: RESTRICT deleted a user that had a post
  kWriteAfterDelete,  // I4: a write accepted after the user's posts had gone
  kReadAfterDelete,   // I4: a post shown after that
  kPartial,           // I4: some of the posts of a user, and not all
  kUserCameBack,      // I5: a user after its acknowledged deletion
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

// The state alone: no orphans, and every deletion at its end.
std::vector<Violation> CheckState(const Snapshot& before, const Snapshot& after);

// The events of both feeds between the two states. Rows that have been trimmed from the front may be missing: what cannot be
// told without them is not checked.
std::vector<Violation> CheckEvents(const Snapshot& before, const Snapshot& after, const EventLog& users,
                                   const EventLog& posts);

}  // namespace crosskey::testing
