// Places where a test can let a service die, fail or wait. The product only names them: it links none.cc, where nothing
// happens, and the programs of the tests link tests/support/faults.cc instead.
#pragma once

#include "absl/status/status.h"
#include "common/fault/points.h"

namespace crosskey::fault {

// To be called where the process reaches this point of points.h. On an error the caller acts as if the peer or the
// database were away.
absl::Status Hit(const char* point);

// The same for the two points of a write transaction. A transaction that points.h does not list has no points, and
// these return OK. On an error the caller acts as if the answer to the COMMIT were lost, before or after it took
// effect.
absl::Status BeforeCommit(const char* transaction);
absl::Status AfterCommit(const char* transaction);

}  // namespace crosskey::fault
