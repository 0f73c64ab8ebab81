// Fault points and removable guards. They exist only in the libraries that are built for the tests (NAME_for_tests, with
// CROSSKEY_TEST_BUILD); in the services that are shipped every call here is a constant, and what stands behind it is not compiled.
//
// A program of the tests takes, as often as wanted:
//   --fault POINT=ACTION[@N]     at the N-th time (1) that POINT is reached; * for N: every time
//   --without GUARD              runs without that guard
// and the test programs read CROSSKEY_WITHOUT=GUARD. ACTION is
//   die         as by kill -9
//   fail        an error as if the peer or the database were away; at a commit point the answer to the COMMIT is lost
//   wait:PATH   until the file PATH exists; "fault point POINT reached" is written to stderr before
//   1213, 1205  for POINT sql:NAME, the statement of that name: the server itself reports a deadlock or a lock timeout; on
//               SQLite the file is locked by another process
#pragma once

#include <string>

#include "absl/status/status.h"
#include "common/fault/guards.h"
#include "common/fault/points.h"

namespace crosskey::fault {

#ifdef CROSSKEY_TEST_BUILD

// Ends the process with a message if `point` is not listed in points.h.
absl::Status Hit(const std::string& point);
// The same for the points of a transaction; one that is not listed has none.
absl::Status BeforeCommit(const char* transaction);
absl::Status AfterCommit(const char* transaction);
// The error that the next run of this statement is to have: 0, 1213 or 1205.
int StatementError(const std::string& statement);
bool Without(Guard guard);
// Takes the flags above out of the command line. A mistake ends the process with a message.
void TakeFlags(int& argc, char** argv);

// For tests in the same process; thread-safe. `spec` is POINT=ACTION[@N], counted from now on.
void Set(const std::string& spec);
void Remove(Guard guard);
// Forgets all faults, and the counts; puts no guard back.
void Clear();
int TimesReached(const std::string& point);

#else

inline absl::Status Hit(const char*) { return absl::OkStatus(); }
inline absl::Status BeforeCommit(const char*) { return absl::OkStatus(); }
inline absl::Status AfterCommit(const char*) { return absl::OkStatus(); }
inline int StatementError(const std::string&) { return 0; }
constexpr bool Without(Guard) { return false; }
inline void TakeFlags(int&, char**) {}

#endif

}  // namespace crosskey::fault
