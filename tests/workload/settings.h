// What the environment says about a random run.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

namespace crosskey::testing {

// CROSSKEY_SEED, or another one in each run; printed. The same seed makes the same choices; how the threads meet remains chance.
uint64_t SeedOfRun();

// Flags for a Cluster: with CROSSKEY_WITHOUT=GUARD its services run without that guard, which the checker should notice.
std::vector<std::string> GuardsLeftOut();

}  // namespace crosskey::testing
