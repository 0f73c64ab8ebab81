// Numbered changes of the schema, applied once each, in order, under a lock. Every library ships the tables that it needs, as a
// component with numbers of its own; a service puts its components together and adds its own tables.
#pragma once

#include <string>
#include <vector>

#include "absl/status/status.h"
#include "common/db/database.h"

namespace crosskey::db {

// One text for both kinds of database: see schema_text.h.
struct Migration {
  int number;        // 1, 2, 3 and so on
  std::string name;  // for messages: "0001_initial"
  std::string text;  // statements, each ending with a semicolon at the end of its line; `--` begins a comment line
};

struct Component {
  std::string name;  // "events"
  std::vector<Migration> migrations;
};

// Databases that were made before there were components have their migrations in the table `schema_migrations`, one list a
// service. That table stays, for processes of the older release that still run. `Migrate` adopts such a database: it records the
// first migration of each component that is there already, and `text` turns what was stored in another way into the new one.
struct Adoption {
  int last = 0;                                // the number of the last migration that it must have
  std::string sqlite_checksum;                 // of the checksums of all of them, see ChecksumOfAll
  std::string mysql_checksum;                  //
  std::vector<std::string> there;              // components whose first migration it has
  Migration migration{1, "0001_adopted", ""};  // applied after everything else
};

// In the order in which the components are applied: one that refers to another one's tables comes after it.
struct Schema {
  std::vector<Component> components;
  Adoption adoption;

  void Add(const std::vector<Component>& more);
};

// Applies what is missing. Safe to call from several processes at once: the others wait, at most until the call's deadline. On
// SQLite all of it is one transaction. On MySQL every DDL statement commits by itself, so a migration must be one that can be
// begun again; the error names it. FAILED_PRECONDITION: an applied migration is not the one known here (its checksum differs), or
// the database was made by a release that is too old to be adopted; nothing was done.
absl::Status Migrate(Database& database, const Call& call, const Schema& schema);

// OK if the database has at least these migrations, unchanged. FAILED_PRECONDITION says which one is missing or another. Later
// migrations than the known ones are fine: during an upgrade the schema goes first.
absl::Status CheckSchema(Database& database, const Call& call, const Schema& schema);

// SHA-256 over "number checksum" lines, in hexadecimal.
std::string ChecksumOfAll(const std::vector<std::pair<int64_t, std::string>>& checksums);

}  // namespace crosskey::db
