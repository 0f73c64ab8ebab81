#include "common/db/migrations.h"

#include <map>

#include <openssl/sha.h>

#include "absl/strings/escaping.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "absl/strings/strip.h"
#include "common/db/sql_error.h"
#include "common/telemetry/log.h"

namespace crosskey::db {
namespace {

const Sql kApplied{"migrations.applied", "SELECT number, checksum FROM schema_migrations ORDER BY number LIMIT 10000"};
const Sql kRecord{"migrations.record",
                  "INSERT INTO schema_migrations (number, name, checksum, apply_time) VALUES (?, ?, ?, ?)"};
const Sql kLock{"migrations.lock", "SELECT GET_LOCK('crosskey_migrations', ?)"};
const Sql kUnlock{"migrations.unlock", "SELECT RELEASE_LOCK('crosskey_migrations')"};

constexpr char kCreateTable[] =
    "CREATE TABLE IF NOT EXISTS schema_migrations (number BIGINT NOT NULL PRIMARY KEY, name VARCHAR(200) NOT NULL, "
    "checksum VARCHAR(64) NOT NULL, apply_time BIGINT NOT NULL)";

std::string Checksum(const std::string& text) {
  unsigned char digest[SHA256_DIGEST_LENGTH];
  SHA256(reinterpret_cast<const unsigned char*>(text.data()), text.size(), digest);
  return absl::BytesToHexString(std::string(reinterpret_cast<const char*>(digest), sizeof(digest)));
}

absl::StatusOr<std::vector<std::string>> Statements(const std::string& text) {
  std::vector<std::string> statements(1);
  for (absl::string_view line : absl::StrSplit(text, '\n')) {
    line = absl::StripAsciiWhitespace(line);
    if (line.empty() || absl::StartsWith(line, "--")) continue;
    const bool last = absl::ConsumeSuffix(&line, ";");
    absl::StrAppend(&statements.back(), line, " ");
    if (last) statements.emplace_back();
  }
  if (!statements.back().empty()) return absl::InvalidArgumentError("the last statement has no semicolon");
  statements.pop_back();
  return statements;
}

using Applied = std::map<int64_t, std::string>;

absl::StatusOr<Applied> ReadApplied(Connection& connection) {
  CROSSKEY_ASSIGN_OR_RETURN(const auto rows, (connection.Query<int64_t, std::string>(kApplied)));
  Applied applied;
  for (const auto& [number, checksum] : rows) applied[number] = checksum;
  return applied;
}

absl::Status CheckUnchanged(const Applied& applied, const Migration& migration) {
  const auto found = applied.find(migration.number);
  if (found == applied.end() || found->second == Checksum(migration.text)) return absl::OkStatus();
  return absl::FailedPreconditionError(absl::StrCat("the applied migration ", migration.number,
                                                    " is not the known one: the checksum of ", migration.name,
                                                    " differs"));
}

absl::Status Apply(Connection& connection, const std::vector<Migration>& migrations) {
  CROSSKEY_RETURN_IF_ERROR(connection.Command("migrations.table", kCreateTable));
  CROSSKEY_ASSIGN_OR_RETURN(const Applied applied, ReadApplied(connection));
  for (const Migration& migration : migrations) CROSSKEY_RETURN_IF_ERROR(CheckUnchanged(applied, migration));
  for (const Migration& migration : migrations) {
    if (applied.count(migration.number) > 0) continue;
    CROSSKEY_ASSIGN_OR_RETURN(const auto statements, Statements(migration.text));
    for (const std::string& statement : statements) {
      CROSSKEY_RETURN_IF_ERROR(connection.Command(migration.name, statement));
    }
    CROSSKEY_RETURN_IF_ERROR(connection
                                 .Execute(kRecord, migration.number, migration.name, Checksum(migration.text),
                                          absl::ToUnixMicros(absl::Now()))
                                 .status());
    log::Info("applied migration", {{"migration", migration.name}});
  }
  return absl::OkStatus();
}

}  // namespace

absl::Status Migrate(Database& database, const Call& call, const std::vector<Migration>& migrations) {
  if (database.dialect() == Dialect::kSqlite) {
    return database.Transact(call, "migrate", [&](Tx& tx) { return Apply(tx, migrations); });
  }
  return database.Read(call, [&](Connection& connection) -> absl::Status {
    const int64_t wait = std::max<int64_t>(1, absl::ToInt64Seconds(std::min(call.Remaining(), absl::Minutes(10))));
    CROSSKEY_ASSIGN_OR_RETURN(const auto locked, connection.QueryOne<int64_t>(kLock, wait));
    if (!locked.has_value() || std::get<0>(*locked) != 1) {
      return absl::DeadlineExceededError("another process is migrating this database");
    }
    const absl::Status status = Apply(connection, migrations);
    const absl::Status unlocked = connection.QueryOne<int64_t>(kUnlock).status();
    return status.ok() ? unlocked : status;
  });
}

absl::Status CheckSchema(Database& database, const Call& call, const std::vector<Migration>& migrations) {
  Applied applied;
  const absl::Status status = database.Read(call, [&](Connection& connection) -> absl::Status {
    CROSSKEY_ASSIGN_OR_RETURN(applied, ReadApplied(connection));
    return absl::OkStatus();
  });
  if (SqlErrorOf(status) == SqlError::kOther) {
    return absl::FailedPreconditionError("the database has no schema yet: run `migrate`");
  }
  CROSSKEY_RETURN_IF_ERROR(status);
  for (const Migration& migration : migrations) {
    CROSSKEY_RETURN_IF_ERROR(CheckUnchanged(applied, migration));
    if (applied.count(migration.number) == 0) {
      return absl::FailedPreconditionError("the migration " + migration.name + " is missing: run `migrate`");
    }
  }
  return absl::OkStatus();
}

}  // namespace crosskey::db
