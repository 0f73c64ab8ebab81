// The relationships of user-service: which rows refer to users, and what users refer to. The actions come from the
// protos. A further relationship is registered here.
#pragma once

#include "absl/status/statusor.h"
#include "common/relation/child/reference_table.h"
#include "common/relation/parent/parent_table.h"

namespace crosskey::users {

struct Relationships {
  relation::Declarations declarations;
  relation::ParentTable users;     // posts and likes refer to them
  relation::ReferenceTable posts;  // users pin them

  // INVALID_ARGUMENT or NOT_FOUND, with the name: the linked protos do not declare what is registered here or what it
  // needs, or they declare an action that cannot be carried out.
  static absl::StatusOr<Relationships> Read();
};

}  // namespace crosskey::users
