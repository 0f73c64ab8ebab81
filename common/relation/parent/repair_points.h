// Gives another service a point at which it can begin anew with what it knows of this one.
#pragma once

#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "common/db/database.h"
#include "common/events/history.h"
#include "common/relation/parent/deletion_store.h"
#include "common/relation/parent/given_ids.h"
#include "common/relation/parent/parent_table.h"
#include "common/relation/repair_peer.h"

namespace crosskey::relation {

// Works on the local database alone. Thread-safe.
class RepairPoints {
 public:
  RepairPoints(db::Database& database, events::History& history) : database_(database), history_(history) {}

  // Before the first call: the types of this service that others refer to.
  void Add(GivenIds ids) { ids_.push_back(std::move(ids)); }
  void Add(const ParentTable& table);

  const std::vector<GivenIds>& ids() const { return ids_; }

  // Gives the own feed a new name, so that no number of before is compared with one of after. First sees to it that
  // nothing of `seen` is given again, and reads the deletions that are open. A history that was lost goes on from here.
  // The feed's row is locked meanwhile, so no event gets a number: the deletions are those that are open at the head.
  // RESOURCE_EXHAUSTED OVERLOADED: more than limits::kOpenDeletions are open.
  absl::StatusOr<RepairPoint> Begin(const Call& call, const std::vector<events::Seen>& seen);

 private:
  struct Deletions {
    std::string event;  // the name of their event
    DeletionStore store;
  };
  absl::StatusOr<RepairPoint> MakePoint(const Call& call);
  static absl::Status ReadOpen(db::Tx& tx, const Deletions& deletions, RepairPoint& point);

  db::Database& database_;
  events::History& history_;
  std::vector<GivenIds> ids_;
  std::vector<Deletions> deletions_;
};

}  // namespace crosskey::relation
