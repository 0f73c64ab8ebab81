// The parts of CheckHistory that look at the state after a history.
#pragma once

#include <vector>

#include "tests/workload/checker.h"
#include "tests/workload/facts.h"

namespace crosskey::testing {

// Whether a field can have had this value at some time between `begin` and `end`: the value was written, and no
// acknowledged change lies wholly between that write and `begin`.
bool CouldBe(const std::vector<Change>& changes, int64_t value, int64_t begin, int64_t end);

void CheckFinalPosts(const Facts& facts, const Snapshot& after, std::vector<Violation>& violations);
void CheckFinalUsers(const Facts& facts, const Snapshot& after, std::vector<Violation>& violations);
void CheckFinalLikes(const Facts& facts, const Snapshot& after, std::vector<Violation>& violations);
void CheckFinalPins(const Facts& facts, const Snapshot& after, std::vector<Violation>& violations);
void CheckDeletions(const Snapshot& before, const History& history, const Snapshot& after,
                    std::vector<Violation>& violations);

}  // namespace crosskey::testing
