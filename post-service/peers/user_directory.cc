#include "post-service/peers/user_directory.h"

#include "common/status/errors.h"
#include "common/telemetry/log.h"

namespace crosskey::posts {

absl::StatusOr<UserDirectory::Users> UserDirectory::Fetch(const Call& call, const std::set<int64_t>& ids) const {
  Users users;
  if (ids.empty()) return users;
  grpc::ClientContext context;
  if (!channel_.Prepare(context, call).ok()) return errors::PeerUnavailable("user-service");
  user::v1::BatchGetUsersRequest request;
  request.mutable_ids()->Add(ids.begin(), ids.end());
  user::v1::BatchGetUsersResponse response;
  const grpc::Status status = stub_->BatchGetUsers(&context, request, &response);
  if (!status.ok()) {
    log::Warning("a peer's answer is missing", {{"peer", "user-service"},
                                                {"method", "BatchGetUsers"},
                                                {"code", static_cast<int64_t>(status.error_code())},
                                                {"error", status.error_message()}});
    return errors::PeerUnavailable("user-service");
  }
  for (auto& user : *response.mutable_users()) {
    const int64_t id = user.id();
    users[id] = std::move(user);
  }
  return users;
}

}  // namespace crosskey::posts
