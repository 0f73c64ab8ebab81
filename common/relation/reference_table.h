// How a service that refers to another one's rows registers it.
#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <string>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "common/db/connection.h"
#include "common/events/event.h"
#include "common/relation/declarations.h"

namespace crosskey::relation {

// The state of a reference row, as stored. Readers see the rows of ACTIVE references only.
enum class ReferenceState {
  kActive = 1,
  kReleased = 2,    // a tombstone: whatever refers to it is deleted for every reader
  kReclaiming = 3,  // the same, and the parent's deletion event has been consumed: the hidden rows may be destroyed
};

// A removed row.
struct Removed {
  int64_t id;
  std::string uid;
};

// What a finished reclaim reports.
struct Reclaimed {
  int64_t deletion_id;
  int64_t parent_id;
  std::string parent_uid;
  std::map<std::string, int64_t> rows;  // by relationship
};

// One relationship, where the child service stores it. `table` has a column `id`, and `column` has a real foreign key (NO
// ACTION) to the reference table and an index.
struct ChildTable {
  Declaration declaration;
  std::string table;         // "posts"
  std::string column;        // "user_id"
  std::string count_column;  // of the reference table: how many rows the reclaim has removed, "posts_reclaimed"
  bool has_uid = true;       // the column `uid`; else Removed::uid is empty
  // The rows are referred to in turn, and have a column `state` (ReferenceState): what the reclaim does to them is what
  // their own deletion does, it hides them (RECLAIMING), and HiddenRows removes them. Only ACTIVE ones count.
  bool is_parent = false;
  // What else must hold, in SQL, for a row to be there for readers: one that is hidden for another reason than this
  // reference neither refuses a deletion nor counts in its preview. Empty: nothing.
  std::string visible_if;
  // Makes the events for a batch of removed rows, or of rows whose column is null now. Empty: none.
  std::function<std::vector<events::Draft>(const std::string& parent_name, const std::vector<Removed>&)> removed_events;
  // Before rows are removed, in the same transaction: adjusts what is derived from them. Empty: nothing is.
  std::function<absl::Status(db::Tx&, const std::vector<int64_t>& ids)> before_removal;
};

// The local shadow of another service's type: one row for each parent that is, or was, referred to.
//   id PK, uid, state, refused_through, deletion_id, traceparent, and a count column for each child; an index on (state, id).
struct ReferenceTable {
  std::string parent_type;  // "user.v1.User"
  std::string table;        // "user_refs"
  std::string feed;         // the checkpoint of the parent's feed, "user-service"
  std::vector<ChildTable> children;
  // Makes the event that tells the parent's service that nothing refers to the row any more. Empty: it does not ask.
  std::function<events::Draft(const Reclaimed&)> reclaimed_event;
};

// A relationship between two tables of one service: the parent row is its own reference row. `table` has a column `id`,
// and `column` has a real foreign key (NO ACTION) to the parent table and an index. Declared CASCADE.
struct LocalChild {
  Declaration declaration;
  std::string table;   // "likes"
  std::string column;  // "post_id"
};

// A table with the columns `id` and `state` (ReferenceState) and an index on them. A row is deleted by making it
// RECLAIMING: every read and every write of it or of its children sees ACTIVE ones only.
struct LocalParent {
  std::string table;  // "posts"
  std::vector<LocalChild> children;
};

}  // namespace crosskey::relation
