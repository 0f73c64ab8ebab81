// What the environment says about a random run.
#pragma once

#include <cstdint>

namespace crosskey::testing {

// The seed in CROSSKEY_SEED, or a new one in each run; it is printed. The same seed makes the same choices, but how the
// threads interleave remains chance.
uint64_t SeedOfRun();
// The seed in CROSSKEY_SEED, or else `otherwise`; it is printed.
uint64_t SeedOfRun(uint64_t otherwise);
// How many rounds a race has: 40, or the number in CROSSKEY_TEST_ROUNDS.
int RoundsOfRun();

}  // namespace crosskey::testing
