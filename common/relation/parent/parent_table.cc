#include "common/relation/parent/parent_table.h"

#include "common/status/macros.h"

namespace crosskey::relation {

absl::StatusOr<ParentTable> ParentTable::Of(const Declarations& declarations, const std::string& type,
                                            const std::string& overridable, std::vector<std::string> peers) {
  CROSSKEY_ASSIGN_OR_RETURN(const Declaration first, declarations.Find(overridable));
  if (first.parent_type != type) return absl::InvalidArgumentError(overridable + " does not refer to " + type);
  if (peers.size() != 1) {
    return absl::InvalidArgumentError(type + " is referred to by other than one service, which is not supported");
  }
  ParentTable table{type,
                    TableOf(type),
                    DeletionsTableOf(type),
                    IdColumnOf(type),
                    std::move(peers),
                    {first},
                    declarations.EventsOf(type)};
  if (table.events.deleted == nullptr) {
    return absl::InvalidArgumentError("no event is declared for the deletion of " + type);
  }
  for (const Declaration& declaration : declarations.To(type)) {
    if (declaration.relationship != overridable) table.references.push_back(declaration);
  }
  return table;
}

}  // namespace crosskey::relation
