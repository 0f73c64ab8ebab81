// The schema of user-service, from storage/migrations/*/*.sql. An applied file is never changed; a change is a new
// file.
#pragma once

#include <vector>

#include "common/db/migrations.h"

namespace crosskey::users {

const std::vector<db::Migration>& Migrations(db::Dialect dialect);

}  // namespace crosskey::users
