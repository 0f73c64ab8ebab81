#include "common/db/statements.h"

#include <soci/mysql/soci-mysql.h>
#include <soci/soci.h>
#include <soci/sqlite3/soci-sqlite3.h>

#include "common/db/mysql_statements.h"
#include "common/db/sqlite_statements.h"

namespace crosskey::db {

std::unique_ptr<Statements> Statements::Of(soci::session& session, Dialect dialect) {
  if (dialect == Dialect::kSqlite) {
    return std::make_unique<SqliteStatements>(
        static_cast<soci::sqlite3_session_backend*>(session.get_backend())->conn_);
  }
  return std::make_unique<MysqlStatements>(static_cast<soci::mysql_session_backend*>(session.get_backend())->conn_);
}

}  // namespace crosskey::db
