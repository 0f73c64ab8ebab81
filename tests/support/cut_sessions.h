// Ends the sessions of a database.
#pragma once

#include "tests/support/test_database.h"

namespace crosskey::testing {

// Ends all sessions of a database on MariaDB, as an administrator or a proxy does.
inline void CutSessions(const TestDatabase& database) {
  database.Run(
      "BEGIN NOT ATOMIC DECLARE CONTINUE HANDLER FOR SQLEXCEPTION BEGIN END; FOR s IN (SELECT id FROM "
      "information_schema.processlist WHERE db = DATABASE() AND id <> CONNECTION_ID()) DO KILL CONNECTION s.id; END "
      "FOR; END");
}

}  // namespace crosskey::testing
