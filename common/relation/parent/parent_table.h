// How a service registers a type whose rows other services refer to.
#pragma once

#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "common/relation/declarations.h"

namespace crosskey::relation {

// The state of a referenced row, as stored.
enum class ParentState {
  kActive = 1,
  kDeleting = 2,  // a deletion has begun and is undecided
};

// A type that other services refer to. They may refuse the deletion of a row. Its table has the columns id, uid, state
// and version.
struct ParentTable {
  std::string type;             // "user.v1.User"
  std::string table;            // "users"
  std::string deletions_table;  // "user_deletions"
  std::string id_column;        // of the deletions table: "user_id"
  // The services that refer to the type. For now exactly one.
  std::vector<std::string> peers;
  // All relationships that refer to the type. A deletion can override the action of the first one.
  std::vector<Declaration> references;
  RowEvents events;

  // Registers all declared relationships to the type. A deletion can override the action of `overridable`. NOT_FOUND:
  // `overridable` is not declared. INVALID_ARGUMENT: it does not refer to the type, `peers` is not exactly one service,
  // or no event is declared that says that rows of the type were deleted.
  static absl::StatusOr<ParentTable> Of(const Declarations& declarations, const std::string& type,
                                        const std::string& overridable, std::vector<std::string> peers);
};

}  // namespace crosskey::relation
