#include "user-service/rpc/convert.h"

#include "common/relation/row_events.h"
#include "common/rpc/etag.h"
#include "common/rpc/field_mask.h"
#include "common/rpc/text.h"
#include "common/rpc/timestamp.h"

namespace crosskey::users {
namespace {

const rpc::TextRule kUsername{1, 50, 0, false, true};

}  // namespace

void ToWire(const User& user, user::v1::User* out) {
  out->set_id(Value(user.id));
  out->set_uid(user.uid);
  out->set_username(user.username);
  if (user.pinned_post.has_value()) out->set_pinned_post_id(Value(*user.pinned_post));
  out->set_state(user.state == relation::ParentState::kDeleting ? user::v1::USER_STATE_DELETING
                                                                : user::v1::USER_STATE_ACTIVE);
  rpc::SetTimestamp(user.create_time, out->mutable_create_time());
  rpc::SetTimestamp(user.update_time, out->mutable_update_time());
  out->set_etag(rpc::EtagOf(user.version));
}

void ToWire(const relation::Deletion& deletion, user::v1::UserDeletion* out) {
  out->set_deletion_id(Value(deletion.deletion_id));
  out->set_user_id(Value(deletion.parent.id));
  out->set_user_uid(deletion.parent.uid);
  out->set_on_delete(static_cast<::relation::v1::ReferentialAction>(deletion.action));
  out->set_state(static_cast<user::v1::DeletionState>(deletion.state));
  relation::SetRows(deletion.rows, *out);
  out->set_blocked_reason(deletion.blocked_reason);
  out->set_requested_by(deletion.requested_by);
  if (deletion.create_time > 0) rpc::SetTimestamp(deletion.create_time, out->mutable_create_time());
  if (deletion.complete_time.has_value()) rpc::SetTimestamp(*deletion.complete_time, out->mutable_complete_time());
}

absl::Status CheckCreate(const user::v1::CreateUserRequest& request) {
  rpc::FieldErrors errors;
  rpc::CheckText("username", request.username(), kUsername, errors);
  errors.CheckRequestId("request_id", request.request_id());
  return errors.status();
}

absl::StatusOr<UserChange> FromWire(const user::v1::UpdateUserRequest& request) {
  rpc::FieldErrors errors;
  errors.RequireId("user.id", request.user().id());
  errors.CheckRequestId("request_id", request.request_id());
  const auto fields = rpc::FieldsToUpdate(request.has_update_mask() ? &request.update_mask() : nullptr, request.user(),
                                          {"username", "pinned_post_id"}, errors);
  UserChange change;
  change.id = RowId{request.user().id()};
  change.version = rpc::VersionOf(request.user().etag());
  if (fields.count("username") > 0) {
    rpc::CheckText("user.username", request.user().username(), kUsername, errors);
    change.username = request.user().username();
  }
  change.changes_pin = fields.count("pinned_post_id") > 0;
  if (change.changes_pin && request.user().has_pinned_post_id()) {
    errors.RequireId("user.pinned_post_id", request.user().pinned_post_id());
    change.pinned_post = RowId{request.user().pinned_post_id()};
  }
  CROSSKEY_RETURN_IF_ERROR(errors.status());
  return change;
}

absl::StatusOr<relation::DeleteRequest> FromWire(const user::v1::DeleteUserRequest& request) {
  rpc::FieldErrors errors;
  errors.RequireId("id", request.id());
  errors.CheckRequestId("request_id", request.request_id());
  relation::DeleteRequest out{RowId{request.id()}, std::nullopt, rpc::VersionOf(request.etag()),
                              request.allow_missing(), request.validate_only()};
  switch (request.on_delete()) {
    case ::relation::v1::REFERENTIAL_ACTION_UNSPECIFIED:
      break;
    case ::relation::v1::REFERENTIAL_ACTION_RESTRICT:
    case ::relation::v1::REFERENTIAL_ACTION_CASCADE:
      out.action = static_cast<relation::Action>(request.on_delete());
      break;
    case ::relation::v1::REFERENTIAL_ACTION_SET_NULL:
      errors.Add("on_delete", "must not be SET_NULL: a post must have a user");
      break;
    default:
      errors.Add("on_delete", "is not a known action");
  }
  CROSSKEY_RETURN_IF_ERROR(errors.status());
  return out;
}

}  // namespace crosskey::users
