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
//  MySQL:  utf8mb4, READ COMMITTED, lock waits of 5 s, TCP. A server without strict mode is refused
//          (SqlError::kRefused). So is one with NO_BACKSLASH_ESCAPES or ANSI_QUOTES. In these modes a quoted text in a
//          statement means something else, and SOCI escapes with backslashes what it pastes in.
// On an error the session is closed and must not be used.
absl::Status OpenSession(soci::session& session, const Url& url, const std::string& password,
                         absl::Duration statement_timeout);

}  // namespace crosskey::db
