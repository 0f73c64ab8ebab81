// Leases decide which process does a piece of background work where several processes share a database.
#pragma once

#include <chrono>
#include <map>
#include <mutex>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "common/db/database.h"
#include "common/db/migrations.h"
#include "common/status/limits.h"

namespace crosskey::db {

// Leases are for efficiency alone: they keep replicas from doing the same work side by side. They exclude nobody,
// because a slow holder works on after its lease has expired. So every task must be right with any number of workers;
// row locks and the checkpoint keep work from taking effect twice.
//
// A lease is a row of the table `leases`. It expires by the database's clock, so the clocks of the machines do not
// matter. (On a cluster it is the clock of the server that is asked, so those should not differ by seconds.) `holder`
// should name the place where the process runs, not the process: then a process that was killed gets its leases back as
// soon as it is started again at that place.
//
// Thread-safe.
class Leases {
 public:
  Leases(Database& database, std::string holder, absl::Duration term = limits::kLease)
      : Leases(database, std::move(holder), term, term / 3) {}
  // Hold renews a lease once `renewal` has passed since it was taken or renewed; until then Hold needs no statement.
  Leases(Database& database, std::string holder, absl::Duration term, absl::Duration renewal)
      : database_(database), holder_(std::move(holder)), term_(term), renewal_(renewal) {}

  // The table `leases`.
  static Component Schema();

  // Adds a row for each of these names that has none yet. To be called once at start.
  absl::Status Add(const Call& call, const std::vector<std::string>& names);

  // Takes or renews the lease, by one statement. False: another holder has it, or there is no row of this name.
  absl::StatusOr<bool> Hold(const Call& call, const std::string& name);

  // Gives back what Hold has taken, so that another replica need not wait until the lease expires.
  absl::Status Release(const Call& call, const std::string& name) { return Give(call, {name}); }
  absl::Status ReleaseAll(const Call& call);

 private:
  absl::Status Give(const Call& call, const std::vector<std::string>& names);
  using Clock = std::chrono::steady_clock;

  Database& database_;
  const std::string holder_;
  const absl::Duration term_;
  const absl::Duration renewal_;
  std::mutex mutex_;
  std::map<std::string, Clock::time_point> held_since_;  // by name: when the lease was last taken or renewed
};

}  // namespace crosskey::db
