// Leaves out guards of the protocol that are SQL, by changing the text of a statement on its way to the database. This
// is for tests/mutants: a guard whose absence no test notices is not proven to be needed. Guards that are control flow
// are left out by the patches in tests/fault/mutants. tests/fault/README.md says for each guard what breaks and which
// test shows it.
#pragma once

#include <string>

#include "common/db/sql.h"

namespace crosskey::testing {

// From now on this process runs without that guard. A name that is not known ends the process with a message.
void LeaveOut(const std::string& guard);

// Takes the guards that are left out from the text of the statement of this name. If the text no longer has such a
// guard, the process ends with a message: otherwise the guard, written in another way, would stay in force unnoticed.
void LeaveOutGuards(db::Dialect dialect, const std::string& statement, std::string& text);

}  // namespace crosskey::testing
