// What a child service has seen of the rows of a parent.
#pragma once

#include "absl/status/statusor.h"
#include "common/db/connection.h"
#include "common/events/feed.h"
#include "common/relation/child/reference_sql.h"
#include "common/relation/child/reference_table.h"

namespace crosskey::relation {

// The latest of what was seen, as a witness for the parent's service. Lookups and releases run ahead of events, so it
// covers what the id of the last consumed event does not. What was removed here had its event consumed before.
absl::StatusOr<events::Seen> LatestSeen(db::Connection& connection, const ReferenceTable& table,
                                        const ReferenceSql& sql);

// The same, with the highest deletion id that any reference row has met, refusals included. Reads the whole table.
absl::StatusOr<events::Seen> HighestSeen(db::Connection& connection, const ReferenceTable& table,
                                         const ReferenceSql& sql);

}  // namespace crosskey::relation
