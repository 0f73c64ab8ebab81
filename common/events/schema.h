// The tables of the event log.
#pragma once

#include <string>
#include <vector>

#include "common/db/migrations.h"

namespace crosskey::events {

// The tables outbox and feed hold what the service publishes, checkpoints how far it has consumed what others publish.
// `feeds` names the feeds that the service consumes. For each there is a component whose migration inserts the
// checkpoint. The start of the service does not insert it, because a checkpoint that has vanished must not begin anew
// by itself.
std::vector<db::Component> Schema(const std::vector<std::string>& feeds);

}  // namespace crosskey::events
