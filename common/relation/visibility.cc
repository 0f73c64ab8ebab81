#include "common/relation/visibility.h"

#include <cstdlib>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "absl/strings/strip.h"
#include "common/telemetry/log.h"

namespace crosskey::relation {
namespace {

constexpr char kToken[] = "{visible ";

std::string IsActive(const std::string& alias) {
  return absl::StrCat(alias, ".state = ", static_cast<int>(ReferenceState::kActive));
}

[[noreturn]] void Die(const std::string& what) {
  log::Error("a statement asks for the visible rows of what is not registered", {{"what", what}});
  std::abort();
}

}  // namespace

Visibility::Visibility(const std::vector<const ReferenceTable*>& references,
                       const std::vector<const LocalParent*>& locals) {
  for (const ReferenceTable* table : references) {
    for (const ChildTable& child : table->children) {
      links_[child.table].push_back(
          {child.declaration.column, table->table, child.declaration.on_delete == Action::kSetNull});
    }
  }
  for (const LocalParent* parent : locals) {
    has_state_[parent->table] = true;
    for (const LocalChild& child : parent->children) {
      links_[child.table].push_back({child.declaration.column, parent->table, false});
    }
  }
}

std::string Visibility::Joins(const std::string& table, const std::string& alias) const {
  std::string joins;
  const auto links = links_.find(table);
  if (links == links_.end()) return joins;
  for (const Link& link : links->second) {
    if (link.sets_null) continue;
    const std::string parent = absl::StrCat(alias, "_", absl::StripSuffix(link.column, "_id"));
    absl::StrAppend(&joins, " JOIN ", link.parent_table, " ", parent, " {by_id} ON ", parent, ".id = ", alias, ".",
                    link.column, " AND ", IsActive(parent), Joins(link.parent_table, parent));
  }
  return joins;
}

std::string Visibility::Nullable(const std::string& table, const std::string& column, const std::string& alias) const {
  const auto links = links_.find(table);
  if (links != links_.end()) {
    for (const Link& link : links->second) {
      if (link.column != column || !link.sets_null) continue;
      const std::string parent = absl::StrCat(alias, "_", absl::StripSuffix(column, "_id"));
      return absl::StrCat("(SELECT ", parent, ".id FROM ", link.parent_table, " ", parent, " {by_id} WHERE ", parent,
                          ".id = ", alias, ".", column, " AND ", IsActive(parent), ")");
    }
  }
  Die(table + "." + column);
}

std::string Visibility::ExpandText(const std::string& text) const {
  std::string out;
  size_t done = 0;
  for (size_t begin = text.find(kToken); begin != std::string::npos; begin = text.find(kToken, done)) {
    const size_t end = text.find('}', begin);
    const size_t words_begin = begin + sizeof(kToken) - 1;
    const std::vector<std::string> words = absl::StrSplit(text.substr(words_begin, end - words_begin), ' ');
    const bool by_id = words.size() == 3 && words[2] == "by_id";
    if (end == std::string::npos || (words.size() != 2 && !by_id)) Die(text);
    const std::vector<std::string> place = absl::StrSplit(words[0], '.');
    const std::string& alias = words[1];
    out += text.substr(done, begin - done);
    done = end + 1;
    if (place.size() == 2) {
      out += Nullable(place[0], place[1], alias);
      continue;
    }
    const std::string joins = Joins(place[0], alias);
    const bool has_state = has_state_.count(place[0]) > 0;
    if (joins.empty() && !has_state) Die(place[0]);
    if (joins.empty()) {
      absl::StrAppend(&out, "(SELECT * FROM ", place[0], " WHERE ", IsActive(place[0]), ") ", alias);
      continue;
    }
    absl::StrAppend(&out, place[0], " ", alias, by_id ? " {by_id}" : "", joins);
    if (has_state) absl::StrAppend(&out, " AND ", IsActive(alias));
  }
  return out + text.substr(done);
}

db::Sql Visibility::Expand(const db::Sql& sql) const { return {sql.name, ExpandText(sql.text)}; }

}  // namespace crosskey::relation
