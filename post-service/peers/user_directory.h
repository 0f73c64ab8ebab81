// Reads users from user-service, to include them in answers.
#pragma once

#include <memory>
#include <set>

#include <google/protobuf/map.h>

#include "absl/status/statusor.h"
#include "common/rpc/channel.h"
#include "common/status/call.h"
#include "user/v1/user_service.grpc.pb.h"

namespace crosskey::posts {

// Thread-safe.
class UserDirectory {
 public:
  explicit UserDirectory(rpc::PeerChannel channel)
      : channel_(std::move(channel)), stub_(user::v1::UserService::NewStub(channel_.channel())) {}

  // By id.
  using Users = google::protobuf::Map<int64_t, user::v1::User>;

  // The users that exist, as user-service sends them. Makes one call, or none if `ids` is empty. At most 1,000 ids.
  // UNAVAILABLE PEER_UNAVAILABLE.
  absl::StatusOr<Users> Fetch(const Call& call, const std::set<int64_t>& ids) const;

 private:
  const rpc::PeerChannel channel_;
  const std::unique_ptr<user::v1::UserService::Stub> stub_;
};

}  // namespace crosskey::posts
