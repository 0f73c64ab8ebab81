#include "common/relation/schema/check.h"

#include <algorithm>
#include <map>
#include <set>
#include <string>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "common/db/tables.h"
#include "common/status/macros.h"

namespace crosskey::relation {
namespace {

absl::Status Difference(const std::string& what) {
  return absl::FailedPreconditionError("the tables are not what is declared: " + what);
}

// Reads what tables the database has, and compares them with what is needed.
class Tables {
 public:
  explicit Tables(db::Connection& connection) : connection_(connection) {}

  absl::Status Read() {
    CROSSKEY_ASSIGN_OR_RETURN(keys_, db::ForeignKeys(connection_));
    return absl::OkStatus();
  }

  // `why` says in the error why the column is needed.
  absl::Status NeedColumn(const std::string& table, const std::string& column, bool is_number, const std::string& why) {
    auto columns = columns_.find(table);
    if (columns == columns_.end()) {
      CROSSKEY_ASSIGN_OR_RETURN(auto read, db::ColumnsOf(connection_, table));
      columns = columns_.emplace(table, std::move(read)).first;
    }
    if (columns->second.empty()) return Difference(absl::StrCat(why, ", but there is no table ", table));
    const auto found = columns->second.find(column);
    const std::string name = absl::StrCat(table, ".", column);
    if (found == columns->second.end()) return Difference(absl::StrCat(why, ", but there is no column ", name));
    const std::string& type = found->second;
    if (is_number && type != "bigint" && type != "integer") {
      return Difference(absl::StrCat(why, ", but ", name, " is ", type, " and not bigint"));
    }
    return absl::OkStatus();
  }

  absl::Status NeedKey(const std::string& table, const std::string& column, const std::string& parent,
                       const std::string& why) {
    const auto key = std::find_if(keys_.begin(), keys_.end(), [&](const db::ForeignKey& each) {
      return each.table == table && each.column == column && each.parent_table == parent;
    });
    const std::string name = absl::StrCat(table, ".", column);
    if (key == keys_.end()) return Difference(absl::StrCat(why, ", but ", name, " has no foreign key to ", parent));
    if (key->on_delete != "NO ACTION" && key->on_delete != "RESTRICT") {
      return Difference(absl::StrCat("the foreign key of ", name, " does ", key->on_delete, " by itself"));
    }
    CROSSKEY_ASSIGN_OR_RETURN(const auto indexed, db::IndexedColumns(connection_, table));
    if (std::find(indexed.begin(), indexed.end(), column) != indexed.end()) return absl::OkStatus();
    return Difference(absl::StrCat("no index begins with ", name));
  }

  // Checks that no columns but the `known` ones, each "table.column", refer to the table `parent`.
  absl::Status NoOtherKeys(const std::string& parent, const std::set<std::string>& known) const {
    for (const db::ForeignKey& key : keys_) {
      const std::string name = absl::StrCat(key.table, ".", key.column);
      // SQLite ignores the case of a table's name, so a key can write it in another one.
      if (!absl::EqualsIgnoreCase(key.parent_table, parent) || known.count(name) > 0) continue;
      return Difference(absl::StrCat(name, " refers to ", parent, ", but no relationship is declared for it"));
    }
    return absl::OkStatus();
  }

 private:
  db::Connection& connection_;
  std::vector<db::ForeignKey> keys_;
  std::map<std::string, std::map<std::string, std::string>> columns_;  // by table
};

absl::Status CheckChild(Tables& tables, const Declaration& declaration, const std::string& table,
                        const std::string& parent, bool has_state) {
  const std::string why = declaration.relationship + " is declared";
  CROSSKEY_RETURN_IF_ERROR(tables.NeedColumn(table, "id", true, why));
  CROSSKEY_RETURN_IF_ERROR(tables.NeedColumn(table, declaration.column, true, why));
  if (declaration.has_uid) CROSSKEY_RETURN_IF_ERROR(tables.NeedColumn(table, "uid", false, why));
  if (has_state) CROSSKEY_RETURN_IF_ERROR(tables.NeedColumn(table, "state", false, why));
  return tables.NeedKey(table, declaration.column, parent, why);
}

absl::Status CheckReferences(Tables& tables, const ReferenceTable& references) {
  const std::string why = references.parent_type + " is referred to";
  for (const char* column : {"id", "refused_through", "deletion_id"}) {
    CROSSKEY_RETURN_IF_ERROR(tables.NeedColumn(references.table, column, true, why));
  }
  for (const char* column : {"uid", "state", "traceparent"}) {
    CROSSKEY_RETURN_IF_ERROR(tables.NeedColumn(references.table, column, false, why));
  }
  std::set<std::string> known;
  for (const ChildTable& child : references.children) {
    CROSSKEY_RETURN_IF_ERROR(CheckChild(tables, child.declaration, child.table, references.table, child.is_parent));
    known.insert(absl::StrCat(child.table, ".", child.declaration.column));
  }
  return tables.NoOtherKeys(references.table, known);
}

absl::Status CheckLocal(Tables& tables, const LocalParent& parent) {
  CROSSKEY_RETURN_IF_ERROR(tables.NeedColumn(parent.table, "state", false, parent.type + " is deleted by hiding"));
  std::set<std::string> known;
  for (const LocalChild& child : parent.children) {
    CROSSKEY_RETURN_IF_ERROR(CheckChild(tables, child.declaration, child.table, parent.table, false));
    known.insert(absl::StrCat(child.table, ".", child.declaration.column));
  }
  return tables.NoOtherKeys(parent.table, known);
}

absl::Status CheckParent(Tables& tables, const ParentTable& parent) {
  const std::string why = parent.type + " is a parent";
  for (const char* column : {"id", "version"}) {
    CROSSKEY_RETURN_IF_ERROR(tables.NeedColumn(parent.table, column, true, why));
  }
  for (const char* column : {"uid", "state"}) {
    CROSSKEY_RETURN_IF_ERROR(tables.NeedColumn(parent.table, column, false, why));
  }
  return tables.NeedColumn(parent.deletions_table, parent.id_column, true, why);
}

}  // namespace

absl::Status CheckRegistered(const Declarations& declarations, const Registered& registered) {
  std::set<std::string> parents;   // types of other services with a reference table here
  std::set<std::string> packages;  // of this service's own types
  std::set<std::string> relationships;
  for (const ReferenceTable* references : registered.references) {
    parents.insert(references->parent_type);
    for (const ChildTable& child : references->children) {
      packages.insert(PackageOf(child.declaration.child_type));
      relationships.insert(child.declaration.relationship);
    }
  }
  for (const LocalParent* parent : registered.locals) packages.insert(PackageOf(parent->type));
  for (const ParentTable* parent : registered.parents) packages.insert(PackageOf(parent->type));
  for (const Declaration& declaration : declarations.all()) {
    const std::string package = PackageOf(declaration.child_type);
    if (package == PackageOf(declaration.parent_type)) continue;
    const bool is_ours = parents.count(declaration.parent_type) > 0 || packages.count(package) > 0;
    if (is_ours && relationships.count(declaration.relationship) == 0) {
      return Difference(declaration.relationship + " is declared, but no table is registered for it");
    }
  }
  return absl::OkStatus();
}

absl::Status CheckTables(db::Connection& connection, const Registered& registered) {
  Tables tables(connection);
  CROSSKEY_RETURN_IF_ERROR(tables.Read());
  for (const ReferenceTable* references : registered.references) {
    CROSSKEY_RETURN_IF_ERROR(CheckReferences(tables, *references));
  }
  for (const LocalParent* parent : registered.locals) CROSSKEY_RETURN_IF_ERROR(CheckLocal(tables, *parent));
  for (const ParentTable* parent : registered.parents) CROSSKEY_RETURN_IF_ERROR(CheckParent(tables, *parent));
  return absl::OkStatus();
}

}  // namespace crosskey::relation
