// What a test can change in a service. Empty in production.
#pragma once

#include <functional>
#include <string>

#include "absl/time/time.h"
#include "common/db/statement_seam.h"

namespace crosskey::server {

struct Hooks {
  db::StatementSeam seam;
  std::function<absl::Time()> now;                    // the clock for the age of deletions, events and stored answers
  std::function<bool(const std::string& task)> hold;  // while it returns true, the background task rests
  bool migrate = false;                               // MySQL is migrated when it is first reachable, as SQLite is
  bool no_drain_grace = false;                        // stop as soon as no call is in flight
  absl::Duration deaf_for = absl::Seconds(30);        // a listener that serves no new connection ends the process
};

}  // namespace crosskey::server
