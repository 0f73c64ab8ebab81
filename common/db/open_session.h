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

// Opens `session` (closing what it was before) and prepares it:
//  SQLite: WAL, synchronous=FULL, foreign keys enforced, 5 s of waiting for another process.
//  MySQL:  utf8mb4, READ COMMITTED, lock waits of 5 s, TCP. Refused (SqlError::kRefused) are servers without strict mode
//          and those with NO_BACKSLASH_ESCAPES or ANSI_QUOTES: the driver escapes values on the client with backslashes,
//          so a value could end its quotes there.
// On an error the session is closed and must not be used.
absl::Status OpenSession(soci::session& session, const Url& url, const std::string& password,
                         absl::Duration statement_timeout);

}  // namespace crosskey::db
