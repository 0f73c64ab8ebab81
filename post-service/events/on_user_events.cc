#include "post-service/events/on_user_events.h"

#include "user/v1/user_events.pb.h"

namespace crosskey::posts {

absl::Status OnUserCreated(events::Tx& tx, const events::Event& event, const relation::ParentEvents& references) {
  user::v1::UserCreated payload;
  if (!payload.ParseFromString(event.payload)) return absl::InvalidArgumentError("undecodable UserCreated");
  return references.OnCreated(tx, payload.id(), payload.uid());
}

absl::Status OnUserDeleted(events::Tx& tx, const events::Event& event, const relation::ParentEvents& references) {
  user::v1::UserDeleted payload;
  if (!payload.ParseFromString(event.payload)) return absl::InvalidArgumentError("undecodable UserDeleted");
  return references.OnDeleted(tx, {{payload.id(), payload.uid()}}, payload.deletion_id());
}

}  // namespace crosskey::posts
