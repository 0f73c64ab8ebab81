// The states that cases name, in words: "user ada", "post hello of ada", "ada likes hello". README.md lists them.
#pragma once

#include <string>
#include <vector>

#include "tests/contract/case.h"
#include "tests/contract/variables.h"
#include "tests/support/cluster.h"

namespace crosskey::contract {

// What a state demands besides data: the services are started or hindered for it.
enum class Environment {
  kNormal,
  kPeerAway,        // "post-service is away", "user-service is away"
  kDatabaseAway,    // "the database is away"
  kDatabaseBroken,  // "the database is broken": it answers, but tables are missing
  kOverloaded,      // "no further call is admitted"
  kDraining,        // "the service is shutting down"
  kConflict,        // "every transaction meets a conflict"
  kHistoryLost,     // "the history is lost"
  kReadOnly,        // "the database takes no changes"
  kNobody,          // "the caller does not say who it is"
  kStranger,        // "the policy gives the caller nothing"
  kUndecided,       // "the deletion of ada is undecided"
};

Environment EnvironmentOf(const std::vector<std::string>& state);

// Makes the data that a state names, through the services' own API where possible, and sets its variables. Names get a
// suffix, so that any number of cases can share the services.
void MakeState(const std::vector<std::string>& state, testing::Cluster& cluster, Variables& variables);

// Example values for the variables of a state, for a consumer that is tested without a provider. Their numbers begin
// behind `last`, so that any number of states can share a consumer.
Variables Examples(const std::vector<std::string>& state, int last = 0);

}  // namespace crosskey::contract
