#include "user-service/domain/errors.h"

#include <string>

#include "common/status/errors.h"
#include "user-service/domain/user.h"

namespace crosskey::users {

using errors::AttachResource;
using errors::Make;

absl::Status AlreadyPinned(RowId post) {
  const std::string name = errors::ResourceName(kPostType, post);
  absl::Status status =
      Make(absl::StatusCode::kAlreadyExists, "ALREADY_PINNED", name + " is pinned already (" + kUserPin + ")",
           {{"relationship", kUserPin}, {"resource", name}});
  AttachResource(status, kPostType, name, "is pinned already");
  return status;
}

}  // namespace crosskey::users
