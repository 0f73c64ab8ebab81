#include "tests/workload/settings.h"

#include <cstdio>
#include <cstdlib>

#include "absl/time/clock.h"

namespace crosskey::testing {

uint64_t SeedOfRun() { return SeedOfRun(static_cast<uint64_t>(absl::ToUnixMillis(absl::Now()))); }

uint64_t SeedOfRun(uint64_t otherwise) {
  const char* given = std::getenv("CROSSKEY_SEED");
  const uint64_t seed = given != nullptr ? std::strtoull(given, nullptr, 10) : otherwise;
  std::printf("CROSSKEY_SEED=%llu\n", static_cast<unsigned long long>(seed));
  return seed;
}

int RoundsOfRun() {
  const char* given = std::getenv("CROSSKEY_TEST_ROUNDS");
  return given != nullptr ? std::atoi(given) : 40;
}

}  // namespace crosskey::testing
