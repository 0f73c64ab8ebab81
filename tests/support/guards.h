// The guards of the protocol that are SQL: leaving one out is a change of a statement's text, made here on its way to the database.
// A guard whose absence no test notices is not proven to be needed. Guards that are control flow are left out by the patches in
// tests/fault/mutants; tests/fault/README.md says for each guard what breaks and which test shows it.
#pragma once

#include <string>

#include "common/db/sql.h"

namespace crosskey::testing {

// From now on this process runs without that guard. A name that is not known ends the process with a message.
void LeaveOut(const std::string& guard);

// Changes the text of the statement of this name as the missing guards say. Where a guard is not found in the text, the process
// ends with a message: the statement has changed, and the guard would be left in.
void LeaveOutGuards(db::Dialect dialect, const std::string& statement, std::string& text);

}  // namespace crosskey::testing
