// Opening a session so that it is safe to use.
#pragma once

#include <string>

#include "absl/status/status.h"
#include "absl/time/time.h"
#include "common/db/url.h"

namespace soci {
class session;
}

namespace crosskey::db {

// Opens `session`, after closing it if it was open, and prepares it:
//  SQLite: WAL, synchronous=FULL, foreign keys enforced, waits up to 5 s for another process.
//  MySQL:  utf8mb4, READ COMMITTED, lock waits of 5 s, TCP, and whatever else a server or its init_connect may have
//          chosen otherwise: autocommit, a strict sql_mode, checks on, no limits of rows. A server that does not take
//          utf8mb4, or packets of 16 MiB, is refused (SqlError::kRefused).
// On an error the session is closed and must not be used.
absl::Status OpenSession(soci::session& session, const Url& url, const std::string& password,
                         absl::Duration statement_timeout);

}  // namespace crosskey::db
