// The schema of post-service: the components of the libraries, and the tables of its own.
#pragma once

#include "common/db/migrations.h"

namespace crosskey::posts {

// The tables of storage/migrations/*.sql. Databases store the checksums of the migrations that were applied. So a file
// that a release has had is never changed; a change is a new file.
db::Component Tables();

db::Schema Schema();

}  // namespace crosskey::posts
