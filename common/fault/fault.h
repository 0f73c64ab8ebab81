// Places where a test can let a service die, fail or wait. The product only names them: it links none.cc, where nothing
// happens, and the programs of the tests link tests/support/faults.cc instead.
#pragma once

#include "absl/status/status.h"
#include "common/fault/points.h"

namespace crosskey::fault {

// The process is at this point of points.h. An error stands for a peer or a database that is away.
absl::Status Hit(const char* point);

// The same for the two points of a write transaction; one that points.h does not list has none. An error here means that the
// answer to the COMMIT is lost, before or after it took effect.
absl::Status BeforeCommit(const char* transaction);
absl::Status AfterCommit(const char* transaction);

}  // namespace crosskey::fault
