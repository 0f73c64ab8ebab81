// The relationships of post-service: what its rows refer to. The actions come from the protos. A further relationship
// is registered here.
#pragma once

#include "absl/status/statusor.h"
#include "common/relation/child/reference_table.h"

namespace crosskey::posts {

struct Relationships {
  relation::Declarations declarations;
  relation::ReferenceTable users;  // posts and likes refer to them
  relation::LocalParent posts;     // likes refer to them, within this service

  // INVALID_ARGUMENT or NOT_FOUND, with the name: the linked protos do not declare what is registered here or what it
  // needs, or they declare an action that cannot be carried out.
  static absl::StatusOr<Relationships> Read();
};

}  // namespace crosskey::posts
