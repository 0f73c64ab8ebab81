// What the environment says about a random run.
#pragma once

#include <cstdint>

namespace crosskey::testing {

// CROSSKEY_SEED, or another one in each run; printed. The same seed makes the same choices; how the threads meet remains chance.
uint64_t SeedOfRun();
// CROSSKEY_SEED, or else this one; printed.
uint64_t SeedOfRun(uint64_t otherwise);

}  // namespace crosskey::testing
