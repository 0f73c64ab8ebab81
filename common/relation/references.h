// A child service's side of the relationships to one type of another service, whole.
#pragma once

#include <utility>

#include "common/relation/guard.h"
#include "common/relation/parent_events.h"
#include "common/relation/reclaim.h"
#include "common/relation/reference_sql.h"
#include "common/relation/reference_table.h"
#include "common/relation/release.h"

namespace crosskey::relation {

// Thread-safe.
struct References {
  // All must outlive it.
  References(ReferenceTable registered, events::Outbox& outbox, Peer& peer, telemetry::Metrics& metrics)
      : table(std::move(registered)),
        sql(table),
        guard(table, sql, outbox, peer),
        release(table, sql, outbox),
        reclaim(table, sql, outbox, metrics),
        events(table, sql) {}
  References(const References&) = delete;
  References& operator=(const References&) = delete;

  const ReferenceTable table;
  const ReferenceSql sql;
  Guard guard;
  Release release;
  Reclaim reclaim;
  ParentEvents events;
};

}  // namespace crosskey::relation
