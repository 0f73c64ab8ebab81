// What a test makes happen at a fault point (common/fault/points.h) or at a statement. A test calls these functions for
// its own process; the services of the tests take the same as flags:
//   --fault POINT=ACTION[@N]     at the N-th time (1) that POINT is reached; * for N: every time
//   --without GUARD              runs without that guard of guards.h
// ACTION is
//   die         end as by kill -9
//   fail        an error, as if the peer or the database were away; at a commit point the answer to the COMMIT is lost
//   wait:PATH   wait until the file PATH exists; "fault point POINT reached" is written to stderr before
//   1213, 1205, 1290
//               for POINT sql:NAME, the statement of that name: the server itself reports a deadlock, a lock timeout,
//               or that it is read-only; on SQLite the error is made here
#pragma once

#include <functional>
#include <string>

#include "common/db/statement_seam.h"

namespace crosskey::testing {

// All of these are thread-safe. `spec` is POINT=ACTION[@N]; N counts from now on. A mistake ends the process with a
// message.
void SetFault(const std::string& spec);
// Forgets all faults and the counts.
void ClearFaults();
int TimesReached(const std::string& point);

// The seam that every database of a test has. Before each statement it takes out the guards to be left out, and makes
// the fault that is set for it; after each it calls `after`.
db::StatementSeam Seam(std::function<void(const db::Sql&, const db::Rendered&, int64_t rows)> after = nullptr);

// Takes the flags above out of a command line. A mistake ends the process with a message.
void TakeFaultFlags(int& argc, char** argv);

}  // namespace crosskey::testing
