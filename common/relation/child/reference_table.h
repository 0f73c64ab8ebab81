// How a service that refers to another one's rows registers its tables.
#pragma once

#include <functional>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "common/db/connection.h"
#include "common/relation/declarations.h"
#include "common/relation/row.h"

namespace crosskey::relation {

// The state of a reference row, as stored. Readers see the rows of ACTIVE references only.
enum class ReferenceState {
  kActive = 1,
  kReleased = 2,    // a tombstone: whatever refers to it is deleted for every reader
  kReclaiming = 3,  // the same, and the parent's deletion event has been consumed: the hidden rows may be destroyed
};

// What a relationship needs besides its declaration. All of it may be left out.
struct ChildOptions {
  // Where the rows are, if not in the table that is named after their type. It has a column `id`, and the declared column has
  // a real foreign key (NO ACTION) to the reference table and an index.
  std::string table = {};
  // What else must hold, in SQL, for a row to be there for readers: one that is hidden for another reason than this
  // reference neither refuses a deletion nor counts in its preview. Empty: nothing.
  std::string visible_if = {};
  // Before rows are removed, in the same transaction: adjusts what is derived from them. Empty: nothing is.
  std::function<absl::Status(db::Tx&, const std::vector<RowId>& ids)> before_removal = nullptr;
};

// One relationship, where the child service stores it.
struct ChildTable {
  Declaration declaration;
  std::string table;  // "posts"
  // The rows are referred to in turn, and have a column `state` (ReferenceState): what the reclaim does to them is what
  // their own deletion does, it hides them (RECLAIMING), and HiddenRows removes them. Only ACTIVE ones count.
  bool is_parent = false;
  RowEvents events;  // of the child's type: what the removal of rows, or of their reference, publishes
  ChildOptions options;
};

// The local shadow of another service's type: one row for each parent that is, or was, referred to.
struct ReferenceTable {
  std::string parent_type;  // "user.v1.User"
  std::string table;        // "user_refs"
  std::string feed;         // the checkpoint of the parent's feed, "user-service"
  std::vector<ChildTable> children;
  RowEvents events;  // of the parent's type

  // `feed`: the service that publishes the parent's events. Then one Add for each relationship; the reclaim goes by their order.
  static ReferenceTable To(const Declarations& declarations, const std::string& parent_type, const std::string& feed);
  // NOT_FOUND: it is not declared. INVALID_ARGUMENT: it is declared for another type, or for an action that this cannot carry out.
  absl::Status Add(const Declarations& declarations, const std::string& relationship, ChildOptions options = {});
};

// A relationship between two tables of one service: the parent row is its own reference row. `column` has a real foreign key (NO
// ACTION) to the parent table and an index.
struct LocalChild {
  Declaration declaration;
  std::string table;  // "likes"
};

// A table of this service whose rows are referred to, from here and from other services, and are deleted without asking. It has
// the columns `id` and `state` (ReferenceState) and an index on them. A row is deleted by making it RECLAIMING: every read and
// every write of it or of its children sees ACTIVE ones only.
struct LocalParent {
  std::string type;   // "post.v1.Post"
  std::string table;  // "posts"
  RowEvents events;
  std::vector<LocalChild> children;

  // With all declared relationships to the type that are stored in this service, which are those of its package.
  // INVALID_ARGUMENT: one of them does not declare CASCADE, or one of another service declares RESTRICT: nobody asks it.
  static absl::StatusOr<LocalParent> Of(const Declarations& declarations, const std::string& type);
};

}  // namespace crosskey::relation
