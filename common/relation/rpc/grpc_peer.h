// The peer over gRPC.
#pragma once

#include <memory>
#include <string>

#include "common/relation/peer.h"
#include "common/relation/repair_peer.h"
#include "common/rpc/channel.h"
#include "relation/v1/reference_service.grpc.pb.h"

namespace crosskey::relation {

namespace v1 = ::relation::v1;

// Thread-safe. Each call waits at most 300 ms for the connection and the first meeting, and then takes at most
// limits::kPeerCallTimeout.
class GrpcPeer final : public Peer, public RepairPeer {
 public:
  // `name` is for errors and logs, "user-service".
  GrpcPeer(std::string name, rpc::PeerChannel channel)
      : name_(std::move(name)),
        channel_(std::move(channel)),
        stub_(v1::ReferenceService::NewStub(channel_.channel())) {}

  absl::StatusOr<LookupAnswer> Lookup(const Call& call, const std::string& type,
                                      const std::vector<RowId>& ids) override;
  absl::StatusOr<ReleaseAnswer> Release(const Call& call, const ReleaseRequest& request) override;
  absl::StatusOr<LookupAnswer> Examine(const Call& call, const std::string& type,
                                       const std::vector<RowId>& ids) override;
  // Takes up to 30 s, because the other service may have to wait for locks.
  absl::StatusOr<RepairPoint> BeginRepair(const Call& call, const std::vector<events::Seen>& seen) override;
  absl::StatusOr<OpenPage> ListOpen(const Call& call, const std::string& type, DeletionId after,
                                    Sequence head) override;
  absl::StatusOr<ReferencesAnswer> FindReferences(const Call& call, const std::string& type,
                                                  const std::vector<RowId>& ids) override;

 private:
  absl::StatusOr<LookupAnswer> Ask(const Call& call, const std::string& type, const std::vector<RowId>& ids,
                                   bool for_check);
  absl::Status Unavailable(const char* method, const grpc::Status& status) const;

  const std::string name_;
  const rpc::PeerChannel channel_;
  const std::unique_ptr<v1::ReferenceService::Stub> stub_;
};

}  // namespace crosskey::relation
