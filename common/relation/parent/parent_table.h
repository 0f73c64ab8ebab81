// How a service whose rows are referred to registers them.
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

// A type that other services refer to, and may refuse to let go. Its table has the columns id, uid, state and version.
struct ParentTable {
  std::string type;             // "user.v1.User"
  std::string table;            // "users"
  std::string deletions_table;  // "user_deletions"
  std::string id_column;        // of the deletions table: "user_id"
  // The services that refer to it. For now exactly one.
  std::vector<std::string> peers;
  // All relationships that refer to the type. The first one's action can be overridden by a deletion.
  std::vector<Declaration> references;
  RowEvents events;

  // With all declared relationships to the type. INVALID_ARGUMENT or NOT_FOUND: `overridable` is not one of them, or no event
  // says that rows of the type were deleted.
  static absl::StatusOr<ParentTable> Of(const Declarations& declarations, const std::string& type,
                                        const std::string& overridable, std::vector<std::string> peers);
};

}  // namespace crosskey::relation
