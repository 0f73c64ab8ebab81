// Numbered changes of the schema, applied once each, in order, under a lock. Every library ships the tables that it
// needs, as a component with numbers of its own; a service puts its components together and adds its own tables.
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

// A database that was made before there were components has its migrations in the table `schema_migrations`, in one
// list for each service. `Migrate` adopts such a database: it records the first migration of each component in `there`
// as applied, and runs `migration`, which converts what the older release stored in another form. The table
// `schema_migrations` stays, because processes of the older release may still run.
struct Adoption {
  int last = 0;                                // number of the last migration it must have; 0: nothing can be adopted
  std::string sqlite_checksum;                 // ChecksumOfAll of its migrations if it is an SQLite database
  std::string mysql_checksum;                  // the same for a MySQL database
  std::vector<std::string> there;              // components whose first migration it has
  Migration migration{1, "0001_adopted", ""};  // applied after everything else
};

// Components are applied in the order of the list, so a component must come after those to whose tables it refers.
struct Schema {
  std::vector<Component> components;
  Adoption adoption;

  void Add(const std::vector<Component>& more);
};

// Applies the migrations that are missing. Safe to call from several processes at once: one applies them, the others
// wait, at most until the call's deadline (and on MySQL for at most 10 minutes). On SQLite everything is one
// transaction. On MySQL every DDL statement commits by itself, so a migration that failed may have been applied in
// part. It must be one that can be begun again; the error names it. FAILED_PRECONDITION: an applied migration is not
// the one known here (its checksum differs), the database was made by a release that cannot be adopted, or it has
// tables that a migration would create and none has: those of another application, or of a backup without the table
// `schema_components`; nothing was done.
absl::Status Migrate(Database& database, const Call& call, const Schema& schema);

// OK if the database has at least these migrations, unchanged. FAILED_PRECONDITION says which one is missing or
// differs. The database may have later migrations than these, because an upgrade migrates the schema first.
absl::Status CheckSchema(Database& database, const Call& call, const Schema& schema);

// OK if a database has no migrations but these, unchanged, whether all of them or not. FAILED_PRECONDITION: it has
// others, such as those of a newer release, or none at all.
absl::Status CheckKnown(Connection& connection, const Schema& schema);

// SHA-256 over "number checksum" lines, in hexadecimal.
std::string ChecksumOfAll(const std::vector<std::pair<int64_t, std::string>>& checksums);

}  // namespace crosskey::db
