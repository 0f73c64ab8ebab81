#include "post-service/peers/user_directory.h"

#include "common/rpc/channel.h"
#include "common/status/errors.h"
#include "common/telemetry/log.h"

namespace crosskey::posts {

absl::Status UserDirectory::Fetch(const Call& call, const std::set<int64_t>& ids,
                                  google::protobuf::Map<int64_t, user::v1::User>& users) const {
  if (ids.empty()) return absl::OkStatus();
  grpc::ClientContext context;
  rpc::Prepare(context, call, *channel_);
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
  return absl::OkStatus();
}

}  // namespace crosskey::posts
