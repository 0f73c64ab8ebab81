// Makes the SQL by which readers see only rows whose parents are not deleted. It is built from the registrations, and a
// statement asks for it by a token.
#pragma once

#include <map>
#include <string>
#include <vector>

#include "common/db/sql.h"
#include "common/relation/child/reference_table.h"

namespace crosskey::relation {

// Expands these tokens:
//   {visible posts p}                 in FROM: the table with this alias, joined with its parents and their parents.
//                                     Only rows are left that are not hidden themselves and whose parents are all
//                                     ACTIVE. Parents by SET NULL are not joined: a row stays when they are deleted.
//   {visible posts p by_id}           the same for rows that are found by their ids
//   {visible users.pinned_post_id u}  a value: the column of this alias, null while its parent is deleted (SET NULL)
// The names of the joined tables begin with the alias, so one statement can have several tokens.
//
// As every read looks at the state of the parent, the one commit that changes that state hides all child rows from all
// readers at once. Immutable.
class Visibility {
 public:
  Visibility(const std::vector<const ReferenceTable*>& references, const std::vector<const LocalParent*>& locals);

  // Returns the statement with its tokens expanded. Ends the process if a table or column is not registered, because
  // that is a mistake in the program.
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
