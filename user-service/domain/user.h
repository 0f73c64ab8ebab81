#pragma once

#include <cstdint>
#include <string>

#include "common/relation/parent_table.h"

namespace crosskey::users {

// The full name of the resource, for errors and relationships.
inline constexpr char kUserType[] = "user.v1.User";

// A user as the service holds it.
struct User {
  int64_t id = 0;
  std::string uid;
  std::string username;
  relation::ParentState state = relation::ParentState::kActive;
  int64_t version = 0;      // the etag
  int64_t create_time = 0;  // microseconds since 1970
  int64_t update_time = 0;
};

}  // namespace crosskey::users
