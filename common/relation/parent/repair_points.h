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

  // Whether rows of this type are this service's.
  bool Knows(const std::string& type) const;

  // Gives the own feed a new name, so that no number of before is compared with one of after. First sees to it that
  // nothing of `seen` is given again. A history that was lost goes on from here. The feed's row is locked meanwhile, so
  // no event gets a number.
  absl::StatusOr<RepairPoint> Begin(const Call& call, const std::vector<events::Seen>& seen);
  // A page of at most 500 deletions of rows of this type, by ascending id, behind `after`: those that were open at the
  // head, and are still. A deletion whose event has a later place is left out.
  absl::StatusOr<OpenPage> ListOpen(const Call& call, const std::string& type, DeletionId after, Sequence head);

 private:
  struct Deletions {
    std::string type;
    std::string event;  // the name of their event
    DeletionStore store;
  };
  absl::StatusOr<RepairPoint> MakePoint(const Call& call);
  // Those whose events have a place up to the head.
  static absl::StatusOr<std::vector<OpenDeletion>> UpTo(db::Connection& connection, Sequence head,
                                                        const Deletions& deletions,
                                                        const std::vector<OpenDeletion>& open);

  db::Database& database_;
  events::History& history_;
  std::vector<GivenIds> ids_;
  std::vector<Deletions> deletions_;
};

}  // namespace crosskey::relation
