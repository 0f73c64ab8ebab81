#include "user-service/events/user_events.h"

#include "common/status/errors.h"
#include "user-service/domain/user.h"
#include "user/v1/user_events.pb.h"

namespace crosskey::users {
namespace {

template <typename Payload>
events::Draft AboutUser(const Payload& payload) {
  return {payload.GetTypeName(), errors::ResourceName(kUserType, payload.id()), payload.SerializeAsString()};
}

}  // namespace

events::Draft UserCreated(int64_t id, const std::string& uid) {
  user::v1::UserCreated payload;
  payload.set_id(id);
  payload.set_uid(uid);
  return AboutUser(payload);
}

events::Draft UserUpdated(int64_t id, const std::string& uid, const std::vector<std::string>& paths) {
  user::v1::UserUpdated payload;
  payload.set_id(id);
  payload.set_uid(uid);
  for (const std::string& path : paths) payload.add_paths(path);
  return AboutUser(payload);
}

events::Draft UserDeleted(int64_t id, const std::string& uid, int64_t deletion_id) {
  user::v1::UserDeleted payload;
  payload.set_id(id);
  payload.set_uid(uid);
  payload.set_deletion_id(deletion_id);
  return AboutUser(payload);
}

}  // namespace crosskey::users
