// What a reader may see: rows whose parents are all there. The SQL for that follows from the registrations, and a statement names
// it by a token.
#pragma once

#include <map>
#include <string>
#include <vector>

#include "common/db/sql.h"
#include "common/relation/child/reference_table.h"

namespace crosskey::relation {

// Expands these tokens, of which the alias is part of every name that it makes:
//   {visible posts p}                 in FROM: the table with this alias, joined so that it has only rows that are not hidden
//                                     themselves, and whose parents, and theirs, are not deleted
//   {visible users.pinned_post_id u}  a value: the column of this alias, null while its parent is deleted (SET NULL)
// That is what makes a deletion visible to all readers at one instant. Immutable.
class Visibility {
 public:
  Visibility(const std::vector<const ReferenceTable*>& references, const std::vector<const LocalParent*>& locals);

  // The statement with its tokens expanded. Ends the process if a table or column is not registered: that is a mistake in the
  // program.
  db::Sql Expand(const db::Sql& sql) const;
  std::string ExpandText(const std::string& text) const;

 private:
  // How a column refers to a parent.
  struct Link {
    std::string column;
    std::string parent_table;
    bool sets_null;
  };

  std::string Joins(const std::string& table, const std::string& alias) const;
  std::string Nullable(const std::string& table, const std::string& column, const std::string& alias) const;

  std::map<std::string, std::vector<Link>> links_;  // by table
  std::map<std::string, bool> has_state_;           // tables whose rows can be hidden themselves
};

}  // namespace crosskey::relation
