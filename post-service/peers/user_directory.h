// Reads users from user-service, to include them in answers.
#pragma once

#include <memory>
#include <set>

#include <google/protobuf/map.h>
#include <grpcpp/channel.h>

#include "absl/status/status.h"
#include "common/status/call.h"
#include "user/v1/user_service.grpc.pb.h"

namespace crosskey::posts {

// Thread-safe.
class UserDirectory {
 public:
  explicit UserDirectory(std::shared_ptr<grpc::Channel> channel)
      : channel_(std::move(channel)), stub_(user::v1::UserService::NewStub(channel_)) {}

  // Adds the users that exist to `users`, as user-service sends them. Makes one call, or none if `ids` is empty. At
  // most 1,000 ids. UNAVAILABLE PEER_UNAVAILABLE.
  absl::Status Fetch(const Call& call, const std::set<int64_t>& ids,
                     google::protobuf::Map<int64_t, user::v1::User>& users) const;

 private:
  const std::shared_ptr<grpc::Channel> channel_;
  const std::unique_ptr<user::v1::UserService::Stub> stub_;
};

}  // namespace crosskey::posts
