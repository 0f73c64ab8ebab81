#include "common/db/migrations.h"

#include <algorithm>
#include <map>
#include <set>

#include <openssl/sha.h>

#include "absl/functional/function_ref.h"
#include "absl/random/random.h"
#include "absl/strings/escaping.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "absl/time/clock.h"
#include "common/db/schema_text.h"
#include "common/db/sql_error.h"
#include "common/db/tables.h"
#include "common/status/limits.h"
#include "common/status/macros.h"
#include "common/telemetry/log.h"

namespace crosskey::db {
namespace {

constexpr absl::Duration kTurnPause = absl::Milliseconds(200);
constexpr char kAdoption[] = "adoption";  // the component under which Adoption::migration is recorded

const Sql kApplied{"migrations.applied",
                   "SELECT component, number, checksum FROM schema_components ORDER BY component, number LIMIT 10000"};
const Sql kRecord{
    "migrations.record",
    "INSERT INTO schema_components (component, number, name, checksum, apply_time) VALUES (?, ?, ?, ?, ?)"};
const Sql kOfOlder{"migrations.of_older",
                   "SELECT number, name, checksum FROM schema_migrations ORDER BY number LIMIT 10000"};
const Sql kLock{"migrations.lock", "SELECT GET_LOCK('crosskey_migrations', ?)"};
const Sql kUnlock{"migrations.unlock", "SELECT RELEASE_LOCK('crosskey_migrations')"};

// On a cluster GET_LOCK is known to one server alone. There the turn is a row, for a minute at most.
constexpr char kCreateTurn[] =
    "CREATE TABLE IF NOT EXISTS schema_turn (name VARCHAR(40) NOT NULL PRIMARY KEY, owner VARCHAR(40) NOT NULL, "
    "until_time BIGINT NOT NULL)";
const Sql kAddTurn{"migrations.add_turn",
                   "INSERT INTO schema_turn (name, owner, until_time) VALUES ('migrate', '', 0) {keep_named}"};
const Sql kTakeTurn{"migrations.take_turn",
                    "UPDATE schema_turn SET owner = ?, until_time = {now_us} + 60000000 WHERE name = 'migrate' AND "
                    "(owner IN ('', ?) OR until_time < {now_us})"};
const Sql kEndTurn{"migrations.end_turn", "UPDATE schema_turn SET owner = '' WHERE name = 'migrate' AND owner = ?"};

constexpr char kCreateTable[] =
    "CREATE TABLE IF NOT EXISTS schema_components (component VARCHAR(100) NOT NULL, number BIGINT NOT NULL, "
    "name VARCHAR(200) NOT NULL, checksum VARCHAR(64) NOT NULL, apply_time BIGINT NOT NULL, "
    "PRIMARY KEY (component, number))";

std::string Sha256(const std::string& text) {
  unsigned char digest[SHA256_DIGEST_LENGTH];
  SHA256(reinterpret_cast<const unsigned char*>(text.data()), text.size(), digest);
  return absl::BytesToHexString(std::string(reinterpret_cast<const char*>(digest), sizeof(digest)));
}

using Applied = std::map<std::pair<std::string, int64_t>, std::string>;  // checksums, by component and number

// One migration of a component.
struct Step {
  std::string component;
  const Migration* migration;

  bool IsIn(const Applied& applied) const { return applied.count({component, migration->number}) > 0; }
};

// All migrations of a schema, in the order in which they are applied.
std::vector<Step> StepsOf(const Schema& schema) {
  std::vector<Step> steps;
  for (const Component& component : schema.components) {
    for (const Migration& migration : component.migrations) steps.push_back({component.name, &migration});
  }
  if (schema.adoption.last > 0) steps.push_back({kAdoption, &schema.adoption.migration});
  return steps;
}

absl::StatusOr<Applied> ReadApplied(Connection& connection) {
  CROSSKEY_ASSIGN_OR_RETURN(const auto rows, (connection.Query<std::string, int64_t, std::string>(kApplied)));
  Applied applied;
  for (const auto& [component, number, checksum] : rows) applied[{component, number}] = checksum;
  return applied;
}

absl::Status CheckUnchanged(const Applied& applied, const Step& step) {
  const auto found = applied.find({step.component, step.migration->number});
  if (found == applied.end() || found->second == Sha256(step.migration->text)) return absl::OkStatus();
  return absl::FailedPreconditionError(absl::StrCat("the applied migration ", step.migration->name, " of ",
                                                    step.component, " is not the known one: its checksum differs"));
}

// Records the steps as applied. One statement does it, so that either all of them are recorded or none.
absl::Status Record(Connection& connection, const std::vector<Step>& steps) {
  if (steps.empty()) return absl::OkStatus();
  std::vector<std::vector<Argument>> rows;
  for (const Step& step : steps) {
    rows.push_back({step.component, step.migration->number, step.migration->name, Sha256(step.migration->text),
                    absl::ToUnixMicros(absl::Now())});
  }
  return connection.ExecuteRows(kRecord, rows).status();
}

absl::Status Run(Connection& connection, const Step& step) {
  CROSSKEY_ASSIGN_OR_RETURN(const auto statements, SchemaStatements(step.migration->text, connection.dialect()));
  const std::string name = absl::StrCat(step.component, "/", step.migration->name);
  for (const std::string& statement : statements) CROSSKEY_RETURN_IF_ERROR(connection.Command(name, statement));
  CROSSKEY_RETURN_IF_ERROR(Record(connection, {step}));
  log::Info("applied migration", {{"component", step.component}, {"migration", step.migration->name}});
  return absl::OkStatus();
}

// Returns the steps that have to be recorded but not run in a database without any recorded component: in an older
// database those whose tables are there already, in a new one only the adoption, because there is nothing to adopt.
absl::StatusOr<std::vector<Step>> FindOlder(Connection& connection, const Schema& schema) {
  const Adoption& adoption = schema.adoption;
  CROSSKEY_ASSIGN_OR_RETURN(const bool is_older, HasTable(connection, "schema_migrations"));
  if (!is_older) return std::vector<Step>{{kAdoption, &adoption.migration}};
  CROSSKEY_ASSIGN_OR_RETURN(const auto rows, (connection.Query<int64_t, std::string, std::string>(kOfOlder)));
  std::vector<std::pair<int64_t, std::string>> checksums;
  for (const auto& [number, name, checksum] : rows) checksums.emplace_back(number, checksum);
  const bool sqlite = connection.dialect() == Dialect::kSqlite;
  if (ChecksumOfAll(checksums) != (sqlite ? adoption.sqlite_checksum : adoption.mysql_checksum)) {
    return absl::FailedPreconditionError(
        absl::StrCat("the database was made by another release: the last of its ", rows.size(), " migrations is ",
                     rows.empty() ? "none" : std::get<1>(rows.back()), ", and exactly the ", adoption.last,
                     " of the release before this one can be adopted; run `migrate` of that release first"));
  }
  std::vector<Step> there;
  for (const Step& step : StepsOf(schema)) {
    const bool is_there =
        std::find(adoption.there.begin(), adoption.there.end(), step.component) != adoption.there.end();
    if (is_there && step.migration->number == 1) there.push_back(step);
  }
  log::Info("adopted a database of the release before", {{"migrations", static_cast<int64_t>(rows.size())}});
  return there;
}

// A CREATE TABLE IF NOT EXISTS takes a table that is there already for its own, so such a table must be one that
// Migrate has made. FAILED_PRECONDITION: there is another one that a step would create. `there` are steps that are
// about to be recorded. `has_begun`: Migrate has been at work here before.
absl::Status CheckTablesAreOwn(Connection& connection, const std::vector<Step>& steps, const Applied& applied,
                               const std::vector<Step>& there, bool has_begun) {
  std::set<std::pair<std::string, int64_t>> recorded;
  for (const auto& [key, checksum] : applied) recorded.insert(key);
  for (const Step& step : there) recorded.insert({step.component, step.migration->number});
  // Where DDL commits by itself, the first step that is not recorded may have been run in part.
  bool may_be_begun = has_begun && connection.dialect() == Dialect::kMysql;
  std::set<std::string> own, created;
  for (const Step& step : steps) {
    CROSSKEY_ASSIGN_OR_RETURN(const auto statements, SchemaStatements(step.migration->text, connection.dialect()));
    const std::vector<std::string> tables = CreatedTables(statements);
    const bool is_recorded = recorded.count({step.component, step.migration->number}) > 0;
    (is_recorded || may_be_begun ? own : created).insert(tables.begin(), tables.end());
    if (!is_recorded) may_be_begun = false;
  }
  std::vector<std::string> names;
  std::set_difference(created.begin(), created.end(), own.begin(), own.end(), std::back_inserter(names));
  CROSSKEY_ASSIGN_OR_RETURN(const std::vector<std::string> strange, TablesAmong(connection, names));
  if (strange.empty()) return absl::OkStatus();
  return absl::FailedPreconditionError(absl::StrCat(
      "the database has tables that this schema would create, but no migration that did it is recorded: ",
      absl::StrJoin(strange, ", "),
      "; they are another application's, or a backup was restored without the table schema_components: take an empty "
      "database, or restore all tables of the backup"));
}

// `may_go_on` is asked before each step.
absl::Status Apply(
    Connection& connection, const Schema& schema,
    absl::FunctionRef<absl::Status()> may_go_on = [] { return absl::OkStatus(); }) {
  CROSSKEY_ASSIGN_OR_RETURN(const bool has_table, HasTable(connection, "schema_components"));
  Applied applied;
  if (has_table) {
    CROSSKEY_ASSIGN_OR_RETURN(applied, ReadApplied(connection));
  }
  std::vector<Step> there;
  // Check this before anything is created, because a database that is refused must stay as it is.
  if (applied.empty() && schema.adoption.last > 0) {
    CROSSKEY_ASSIGN_OR_RETURN(there, FindOlder(connection, schema));
  }
  const std::vector<Step> steps = StepsOf(schema);
  CROSSKEY_RETURN_IF_ERROR(CheckTablesAreOwn(connection, steps, applied, there, has_table));
  CROSSKEY_RETURN_IF_ERROR(connection.Command("migrations.table", kCreateTable));
  CROSSKEY_RETURN_IF_ERROR(Record(connection, there));
  CROSSKEY_ASSIGN_OR_RETURN(applied, ReadApplied(connection));
  for (const Step& step : steps) CROSSKEY_RETURN_IF_ERROR(CheckUnchanged(applied, step));
  for (const Step& step : steps) {
    if (step.IsIn(applied)) continue;
    CROSSKEY_RETURN_IF_ERROR(may_go_on());
    CROSSKEY_RETURN_IF_ERROR(Run(connection, step));
  }
  return absl::OkStatus();
}

absl::Status OthersAreAtIt() { return absl::DeadlineExceededError("another process is migrating this database"); }

// Whether the turn is ours, for a minute from now.
absl::StatusOr<bool> TakeTurn(Connection& connection, const std::string& owner) {
  const absl::StatusOr<int64_t> taken = connection.Execute(kTakeTurn, owner, owner);
  // Somebody has written the row at the same time, on another server.
  if (SqlErrorOf(taken.status()) == SqlError::kRetry) return false;
  return taken.ok() ? absl::StatusOr<bool>(*taken == 1) : taken.status();
}

// The same for a turn that is ours already. Another server's statement may have ended this one, which says nothing.
absl::StatusOr<bool> KeepTurn(Connection& connection, const std::string& owner) {
  for (int tries = 0; tries < limits::kClusterRetries; ++tries) {
    CROSSKEY_ASSIGN_OR_RETURN(const bool is_ours, TakeTurn(connection, owner));
    if (is_ours) return true;
    absl::SleepFor(kTurnPause / 4);
  }
  return false;
}

absl::Status ApplyInCluster(Connection& connection, const Call& call, const Schema& schema) {
  absl::BitGen random;
  const std::string owner = absl::StrCat(absl::Hex(absl::Uniform<uint64_t>(random)));
  CROSSKEY_RETURN_IF_ERROR(connection.Command("migrations.turn", kCreateTurn));
  CROSSKEY_RETURN_IF_ERROR(connection.Execute(kAddTurn).status());
  while (true) {
    CROSSKEY_ASSIGN_OR_RETURN(const bool is_ours, TakeTurn(connection, owner));
    if (is_ours) break;
    if (call.Remaining() < absl::Seconds(1)) return OthersAreAtIt();
    CROSSKEY_RETURN_IF_ERROR(call.Check());
    absl::SleepFor(kTurnPause);
  }
  const absl::Status status = Apply(connection, schema, [&]() -> absl::Status {
    // After a step that took longer than a minute another process may have begun. It takes the same steps.
    CROSSKEY_ASSIGN_OR_RETURN(const bool is_ours, KeepTurn(connection, owner));
    return is_ours ? absl::OkStatus() : OthersAreAtIt();
  });
  const absl::Status ended = connection.Execute(kEndTurn, owner).status();
  return status.ok() ? ended : status;
}

}  // namespace

std::string ChecksumOfAll(const std::vector<std::pair<int64_t, std::string>>& checksums) {
  std::string lines;
  for (const auto& [number, checksum] : checksums) absl::StrAppend(&lines, number, " ", checksum, "\n");
  return Sha256(lines);
}

void Schema::Add(const std::vector<Component>& more) { components.insert(components.end(), more.begin(), more.end()); }

absl::Status Migrate(Database& database, const Call& call, const Schema& schema) {
  if (database.dialect() == Dialect::kSqlite) {
    return database.Transact(call, "migrate", [&](Tx& tx) { return Apply(tx, schema); });
  }
  return database.Read(call, [&](Connection& connection) -> absl::Status {
    if (connection.in_cluster()) return ApplyInCluster(connection, call, schema);
    const int64_t wait = std::max<int64_t>(1, absl::ToInt64Seconds(std::min(call.Remaining(), absl::Minutes(10))));
    CROSSKEY_ASSIGN_OR_RETURN(const auto locked, connection.QueryOne<int64_t>(kLock, wait));
    if (!locked.has_value() || std::get<0>(*locked) != 1) {
      return OthersAreAtIt();
    }
    const absl::Status status = Apply(connection, schema);
    const absl::Status unlocked = connection.QueryOne<int64_t>(kUnlock).status();
    return status.ok() ? unlocked : status;
  });
}

absl::Status CheckSchema(Database& database, const Call& call, const Schema& schema) {
  CROSSKEY_ASSIGN_OR_RETURN(
      const Applied applied, database.Read(call, [](Connection& connection) -> absl::StatusOr<Applied> {
        CROSSKEY_ASSIGN_OR_RETURN(const bool is_there, HasTable(connection, "schema_components"));
        if (is_there) return ReadApplied(connection);
        CROSSKEY_ASSIGN_OR_RETURN(const bool is_older, HasTable(connection, "schema_migrations"));
        return absl::FailedPreconditionError(is_older ? "the database was made by an older release: run `migrate`"
                                                      : "the database has no schema yet: run `migrate`");
      }));
  for (const Step& step : StepsOf(schema)) {
    CROSSKEY_RETURN_IF_ERROR(CheckUnchanged(applied, step));
    if (!step.IsIn(applied)) {
      return absl::FailedPreconditionError(
          absl::StrCat("the migration ", step.migration->name, " of ", step.component, " is missing: run `migrate`"));
    }
  }
  return absl::OkStatus();
}

absl::Status CheckKnown(Connection& connection, const Schema& schema) {
  CROSSKEY_ASSIGN_OR_RETURN(const bool is_there, HasTable(connection, "schema_components"));
  if (!is_there) return absl::FailedPreconditionError("it has no record of migrations, the table schema_components");
  CROSSKEY_ASSIGN_OR_RETURN(Applied applied, ReadApplied(connection));
  if (applied.empty()) return absl::FailedPreconditionError("its table schema_components is empty");
  for (const Step& step : StepsOf(schema)) {
    CROSSKEY_RETURN_IF_ERROR(CheckUnchanged(applied, step));
    applied.erase({step.component, step.migration->number});
  }
  if (applied.empty()) return absl::OkStatus();
  const auto& [component, number] = applied.begin()->first;
  return absl::FailedPreconditionError(absl::StrCat("it has the migration ", number, " of ", component,
                                                    ", which this release does not know: a newer one has made it"));
}

}  // namespace crosskey::db
