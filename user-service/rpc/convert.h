// Checks requests, and converts between the messages of the wire and the types of the domain.
#pragma once

#include "absl/status/statusor.h"
#include "common/relation/parent/deletions.h"
#include "user-service/domain/users.h"
#include "user/v1/user_service.pb.h"

namespace crosskey::users {

void ToWire(const User& user, user::v1::User* out);
void ToWire(const relation::Deletion& deletion, user::v1::UserDeletion* out);

// These functions check a request, and FromWire also converts it. INVALID_ARGUMENT INVALID_FIELD, with every bad field.
absl::Status CheckCreate(const user::v1::CreateUserRequest& request);
absl::StatusOr<UserChange> FromWire(const user::v1::UpdateUserRequest& request);
absl::StatusOr<relation::DeleteRequest> FromWire(const user::v1::DeleteUserRequest& request);

}  // namespace crosskey::users
