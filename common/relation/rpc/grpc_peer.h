// The peer over gRPC.
#pragma once

#include <memory>
#include <string>

#include <grpcpp/channel.h>

#include "common/relation/peer.h"
#include "relation/v1/reference_service.grpc.pb.h"

namespace crosskey::relation {

namespace v1 = ::relation::v1;

// Thread-safe. Each call waits at most 300 ms for the connection, and then takes at most limits::kPeerCallTimeout.
class GrpcPeer final : public Peer {
 public:
  // `name` is for errors and logs, "user-service".
  GrpcPeer(std::string name, std::shared_ptr<grpc::Channel> channel)
      : name_(std::move(name)), channel_(std::move(channel)), stub_(v1::ReferenceService::NewStub(channel_)) {}

  absl::StatusOr<LookupAnswer> Lookup(const Call& call, const std::string& type,
                                      const std::vector<RowId>& ids) override;
  absl::StatusOr<ReleaseAnswer> Release(const Call& call, const ReleaseRequest& request) override;

 private:
  absl::Status Unavailable(const char* method, const grpc::Status& status) const;

  const std::string name_;
  const std::shared_ptr<grpc::Channel> channel_;
  const std::unique_ptr<v1::ReferenceService::Stub> stub_;
};

}  // namespace crosskey::relation
