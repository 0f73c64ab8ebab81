#include "common/relation/child/reference_table.h"

#include "common/status/macros.h"

namespace crosskey::relation {
namespace {

// A service stores the types of one package.
bool IsLocal(const Declaration& declaration) {
  return PackageOf(declaration.child_type) == PackageOf(declaration.parent_type);
}

std::vector<LocalChild> LocalChildren(const Declarations& declarations, const std::string& type) {
  std::vector<LocalChild> children;
  for (const Declaration& declaration : declarations.To(type)) {
    if (IsLocal(declaration)) children.push_back({declaration, TableOf(declaration.child_type)});
  }
  return children;
}

}  // namespace

ReferenceTable ReferenceTable::To(const Declarations& declarations, const std::string& parent_type,
                                  const std::string& feed) {
  return {parent_type, ReferenceTableOf(parent_type), feed, {}, declarations.EventsOf(parent_type)};
}

absl::Status ReferenceTable::Add(const Declarations& declarations, const std::string& relationship,
                                 ChildOptions options) {
  CROSSKEY_ASSIGN_OR_RETURN(const Declaration declaration, declarations.Find(relationship));
  if (declaration.parent_type != parent_type) {
    return absl::InvalidArgumentError(relationship + " does not refer to " + parent_type);
  }
  if (events.deleted == nullptr) {
    return absl::InvalidArgumentError("no event is declared for the deletion of " + parent_type);
  }
  ChildTable child;
  child.table = options.table.empty() ? TableOf(declaration.child_type) : options.table;
  child.is_parent = declarations.IsParent(declaration.child_type) && declaration.on_delete != Action::kSetNull;
  if (child.is_parent) child.children = LocalChildren(declarations, declaration.child_type);
  child.events = declarations.EventsOf(declaration.child_type);
  child.declaration = declaration;
  child.options = std::move(options);
  children.push_back(std::move(child));
  return absl::OkStatus();
}

absl::StatusOr<LocalParent> LocalParent::Of(const Declarations& declarations, const std::string& type) {
  for (const Declaration& declaration : declarations.To(type)) {
    if (!IsLocal(declaration) && declaration.on_delete == Action::kRestrict) {
      return absl::InvalidArgumentError(
          declaration.relationship + " must not declare RESTRICT: its parent is deleted without asking other services");
    }
    if (IsLocal(declaration) && declaration.on_delete != Action::kCascade) {
      return absl::InvalidArgumentError(declaration.relationship +
                                        " stays within one service: it must declare CASCADE");
    }
  }
  return LocalParent{type, TableOf(type), declarations.EventsOf(type), LocalChildren(declarations, type)};
}

}  // namespace crosskey::relation
