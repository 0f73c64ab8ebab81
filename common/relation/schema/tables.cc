#include "common/relation/schema/tables.h"

#include "absl/strings/str_cat.h"
#include "absl/strings/substitute.h"
#include "common/relation/declarations.h"

namespace crosskey::relation {
namespace {

// What reclaims that are not over have removed so far: one row for each parent and relationship.
constexpr char kReclaimedRows[] = R"(
CREATE TABLE IF NOT EXISTS reclaimed_rows (
  parent_id BIGINT NOT NULL,
  relationship {ascii 200} NOT NULL,
  removed BIGINT NOT NULL,
  PRIMARY KEY (parent_id, relationship)
) {table};
)";

// $0: the reference table
constexpr char kReferences[] = R"(
-- The local shadow of the rows of another service that are, or were, referred to. state: 1 active, 2 released, 3 reclaiming.
-- traceparent: of the call that began the deletion; its events and calls carry it, whoever goes on with it.
CREATE TABLE IF NOT EXISTS $0 (
  id {row_id},
  uid {uuid} NOT NULL,
  state TINYINT NOT NULL,
  refused_through BIGINT NOT NULL DEFAULT 0,
  deletion_id BIGINT NOT NULL DEFAULT 0,
  traceparent {ascii 64} NOT NULL DEFAULT '',
  {index $0_by_state (state, id)}
) {table};
)";

// What finished deletions have removed, by relationship.
constexpr char kDeletionRows[] = R"(
CREATE TABLE IF NOT EXISTS deletion_rows (
  deletion_id BIGINT NOT NULL,
  relationship {ascii 200} NOT NULL,
  removed BIGINT NOT NULL,
  PRIMARY KEY (deletion_id, relationship)
) {table};
)";

// $0: the table of deletions, $1: its column with the id of the deleted row
constexpr char kDeletions[] = R"(
-- One row for each run of the protocol. The counter is kept over restarts, so a deletion_id is never used again.
CREATE TABLE IF NOT EXISTS $0 (
  deletion_id {counter},
  $1 BIGINT NOT NULL,
  uid {uuid} NOT NULL,
  action TINYINT NOT NULL,
  state TINYINT NOT NULL,
  blocked_reason {text 200} NOT NULL,
  create_time BIGINT NOT NULL,
  complete_time BIGINT,
  traceparent {ascii 64} NOT NULL DEFAULT '',
  {index $0_by_parent ($1, deletion_id)},
  {index $0_by_age (state, create_time)},
  {index $0_by_end (state, complete_time)}
) {table};
)";

// Who has asked for a deletion, where that was asked. $0: the table of deletions
constexpr char kDeletionCallers[] = R"(
CREATE TABLE IF NOT EXISTS $0_callers (
  deletion_id BIGINT NOT NULL PRIMARY KEY,
  principal {text 1000} NOT NULL
) {table};
)";

}  // namespace

std::vector<db::Component> ChildSchema(const std::vector<std::string>& parent_types) {
  std::vector<db::Component> components = {{"relation.child", {{1, "0001_reclaimed_rows", kReclaimedRows}}}};
  for (const std::string& type : parent_types) {
    const std::string table = ReferenceTableOf(type);
    components.push_back(
        {absl::StrCat("relation.", table), {{1, "0001_initial", absl::Substitute(kReferences, table)}}});
  }
  return components;
}

std::vector<db::Component> ParentSchema(const std::vector<std::string>& types) {
  std::vector<db::Component> components = {{"relation.parent", {{1, "0001_deletion_rows", kDeletionRows}}}};
  for (const std::string& type : types) {
    const std::string table = DeletionsTableOf(type);
    components.push_back({absl::StrCat("relation.", table),
                          {{1, "0001_initial", absl::Substitute(kDeletions, table, IdColumnOf(type))},
                           {2, "0002_callers", absl::Substitute(kDeletionCallers, table)}}});
  }
  return components;
}

}  // namespace crosskey::relation
