// How a service registers its tables that refer to rows of another service, and its own tables that are referred to.
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

// What a declaration does not say about a relationship. All of it may be left out.
struct ChildOptions {
  // The table of the rows. Empty: the table that is named after their type. It has a column `id`, and the declared
  // column has a real foreign key (NO ACTION) to the reference table and an index.
  std::string table = {};
  // A condition in SQL that must hold as well for readers to see a row. A row that is hidden for another reason than
  // this reference must neither refuse a deletion nor count in its preview. Empty: no condition.
  std::string visible_if = {};
  // Adjusts what is derived from the rows. The reclaim calls it before it removes them, in the same transaction. Empty:
  // nothing is derived.
  std::function<absl::Status(db::Tx&, const std::vector<RowId>& ids)> before_removal = nullptr;
};

// A relationship between two tables of one service: the parent row is its own reference row. The declared column has a
// real foreign key (NO ACTION) to the parent table and an index.
struct LocalChild {
  Declaration declaration;
  std::string table;  // "likes"
};

// One relationship, and the table in which the child service stores it.
struct ChildTable {
  Declaration declaration;
  std::string table;  // "posts"
  // Other rows refer to these rows in turn, so the table has a column `state` (ReferenceState). The reclaim does what
  // their own deletion would do. It removes those that no row of this service refers to, hides the others (RECLAIMING),
  // and HiddenRows removes these later. Counts include only ACTIVE ones. Always false with SET NULL, because the rows
  // stay.
  bool is_parent = false;
  std::vector<LocalChild> children;  // the tables of this service that refer to these rows, if is_parent
  RowEvents events;  // of the child's type: the reclaim publishes `deleted` or, with SET NULL, `updated`
  ChildOptions options;
};

// The local shadow of another service's type: one row for each parent that this service knows of.
struct ReferenceTable {
  std::string parent_type;  // "user.v1.User"
  std::string table;        // "user_refs"
  std::string feed;         // names the checkpoint of the parent's feed, "user-service"
  std::vector<ChildTable> children;
  RowEvents events;  // of the parent's type

  // `feed` is the service that publishes the parent's events. The result has no relationships yet: call Add for each.
  static ReferenceTable To(const Declarations& declarations, const std::string& parent_type, const std::string& feed);
  // Registers a relationship. The reclaim removes rows in the order in which their relationships were added. NOT_FOUND:
  // it is not declared. INVALID_ARGUMENT: it is declared for another type, or no `deleted` event of the parent's type
  // is declared, without which nobody here would hear of a deletion.
  absl::Status Add(const Declarations& declarations, const std::string& relationship, ChildOptions options = {});
};

// A table of this service whose rows are referred to, from here and from other services, and are deleted without asking
// anybody. It has the columns `id` and `state` (ReferenceState) and an index on them. A row is deleted by making it
// RECLAIMING: every read and every write of it or of its children takes only ACTIVE rows for existing.
struct LocalParent {
  std::string type;   // "post.v1.Post"
  std::string table;  // "posts"
  RowEvents events;
  std::vector<LocalChild> children;

  // Registers all declared relationships to the type whose child types are in the same package, so that this service
  // stores them. INVALID_ARGUMENT: one of them does not declare CASCADE, or a relationship of another service declares
  // RESTRICT, which would have no effect because nobody asks that service.
  static absl::StatusOr<LocalParent> Of(const Declarations& declarations, const std::string& type);
};

}  // namespace crosskey::relation
