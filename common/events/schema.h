// The tables of the event log.
#pragma once

#include <string>
#include <vector>

#include "common/db/migrations.h"

namespace crosskey::events {

// outbox, feed and checkpoints: what a service publishes, and how far it has consumed what others publish. For each of `feeds`,
// which are those that the service consumes, there is a component that begins its checkpoint.
std::vector<db::Component> Schema(const std::vector<std::string>& feeds);

}  // namespace crosskey::events
