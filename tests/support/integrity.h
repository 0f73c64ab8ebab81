// Looks at both databases directly, without the services.
#pragma once

#include <cstdint>
#include <string>

#include "tests/support/test_database.h"

namespace crosskey::testing {

// Whether each service has taken in every event of the other.
bool AllConsumed(const TestDatabase& user_db, const TestDatabase& post_db);

// True once each service has taken in every event of the other and nothing is left to reclaim; false if that takes
// longer than Patience() (wait.h).
bool AwaitQuiet(const TestDatabase& user_db, const TestDatabase& post_db);

// Counts the rows that violate I1 (posts, likes and pins that refer to what does not exist), hidden rows, and posts
// that count their likes wrong. For databases at rest: before that, some of these are normal.
int64_t Orphans(const TestDatabase& user_db, const TestDatabase& post_db);

}  // namespace crosskey::testing
