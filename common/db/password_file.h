// The file with the password of a database.
#pragma once

#include <string>

#include "absl/status/statusor.h"

namespace crosskey::db {

// Returns what is in the file, without the ends of lines at its end. Errors name the file and never have anything of
// what is in it: it cannot be read, is no regular file, is empty, or is longer than limits::kPasswordFileBytes.
absl::StatusOr<std::string> ReadPasswordFile(const std::string& path);

}  // namespace crosskey::db
