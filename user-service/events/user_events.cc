#include "user-service/events/user_events.h"

#include "common/status/errors.h"
#include "user-service/domain/user.h"
#include "user/v1/user_events.pb.h"

namespace crosskey::users {
namespace {

template <typename Payload>
Payload About(RowId id, const std::string& uid) {
  Payload payload;
  payload.set_id(Value(id));
  payload.set_uid(uid);
  return payload;
}

}  // namespace

events::Draft UserCreated(RowId id, const std::string& uid) {
  return events::DraftOf(errors::ResourceName(kUserType, id), About<user::v1::UserCreated>(id, uid));
}

events::Draft UserUpdated(RowId id, const std::string& uid, const std::vector<std::string>& paths) {
  auto payload = About<user::v1::UserUpdated>(id, uid);
  for (const std::string& path : paths) payload.add_paths(path);
  return events::DraftOf(errors::ResourceName(kUserType, id), payload);
}

}  // namespace crosskey::users
