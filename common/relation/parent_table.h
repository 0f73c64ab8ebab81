// How a service whose rows are referred to registers them.
#pragma once

#include <cstdint>
#include <functional>
#include <string>
#include <vector>

#include "common/events/event.h"
#include "common/relation/declarations.h"

namespace crosskey::relation {

// The state of a referenced row, as stored.
enum class ParentState {
  kActive = 1,
  kDeleting = 2,  // a deletion has begun and is undecided
};

// Where the removed rows of one relationship are recorded.
struct RemovedColumn {
  std::string relationship;  // "post.v1.Post.user_id"
  std::string column;        // of the deletions table, "posts"
};

// A type that other services refer to.
//   table: id PK, uid, state, version.
//   deletions_table: deletion_id PK (ascends, never reused), id_column, uid, action, state, blocked_reason,
//   create_time, complete_time (microseconds since 1970, null until the end), traceparent, the removed columns; indexes on
//   (id_column, deletion_id), (state, create_time) and (state, complete_time).
struct ParentTable {
  std::string type;             // "user.v1.User"
  std::string table;            // "users"
  std::string deletions_table;  // "user_deletions"
  std::string id_column;        // of the deletions table: "user_id"
  std::string peer;             // who refers to it, for messages: "post-service"
  // All relationships that refer to the type. The first one's action can be overridden by a deletion.
  std::vector<Declaration> references;
  std::vector<RemovedColumn> removed_columns;
  // Makes the event that announces a deletion.
  std::function<events::Draft(int64_t id, const std::string& uid, int64_t deletion_id)> deleted_event;
};

}  // namespace crosskey::relation
