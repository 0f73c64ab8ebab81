// All that a child service needs for its relationships to one type of another service.
#pragma once

#include <functional>
#include <utility>

#include "common/relation/child/guard.h"
#include "common/relation/child/parent_events.h"
#include "common/relation/child/reclaim.h"
#include "common/relation/child/reference_sql.h"
#include "common/relation/child/reference_table.h"
#include "common/relation/child/references.h"
#include "common/relation/child/release.h"
#include "common/relation/child/seen.h"

namespace crosskey::relation {

// Thread-safe.
struct Child {
  // What is passed by reference must outlive it. `has_calls`: see Pace.
  Child(ReferenceTable registered, events::Outbox& outbox, Peer& peer, telemetry::Metrics& metrics,
        std::function<bool()> has_calls = nullptr)
      : table(std::move(registered)),
        sql(table),
        guard(table, sql, outbox, peer),
        release(table, sql, outbox),
        reclaim(table, sql, outbox, metrics, std::move(has_calls)),
        references(table, sql, outbox.database()),
        events(table, sql) {}
  Child(const Child&) = delete;
  Child& operator=(const Child&) = delete;

  const ReferenceTable table;
  const ReferenceSql sql;
  Guard guard;
  Release release;
  Reclaim reclaim;
  References references;
  const ParentEvents events;
};

}  // namespace crosskey::relation
