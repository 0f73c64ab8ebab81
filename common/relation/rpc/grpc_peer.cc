#include "common/relation/rpc/grpc_peer.h"

#include "common/fault/fault.h"
#include "common/rpc/channel.h"
#include "common/telemetry/log.h"

namespace crosskey::relation {

absl::Status GrpcPeer::Unavailable(const char* method, const grpc::Status& status) const {
  log::Warning("a peer's answer is missing", {{"peer", name_},
                                              {"method", method},
                                              {"code", static_cast<int64_t>(status.error_code())},
                                              {"error", status.error_message()}});
  return errors::PeerUnavailable(name_);
}

absl::StatusOr<LookupAnswer> GrpcPeer::Lookup(const Call& call, const std::string& type,
                                              const std::vector<RowId>& ids) {
  grpc::ClientContext context;
  rpc::Prepare(context, call, *channel_);
  v1::LookupReferencedRequest request;
  request.set_type(type);
  for (const RowId id : ids) request.add_ids(Value(id));
  v1::LookupReferencedResponse response;
  if (!fault::Hit(fault::kLookupSend).ok()) return errors::PeerUnavailable(name_);
  const grpc::Status status = stub_->LookupReferenced(&context, request, &response);
  if (!status.ok()) return Unavailable("LookupReferenced", status);
  if (!fault::Hit(fault::kLookupAnswered).ok()) return errors::PeerUnavailable(name_);
  LookupAnswer answer;
  answer.as_of_sequence = Sequence{response.as_of_sequence()};
  for (const auto& item : response.items()) {
    // A state that this version does not know must not count as existing.
    if (item.state() != v1::REFERENCE_STATE_ACTIVE && item.state() != v1::REFERENCE_STATE_DELETING) continue;
    answer.found.push_back({{RowId{item.id()}, item.uid()}, item.state() == v1::REFERENCE_STATE_DELETING});
  }
  return answer;
}

absl::StatusOr<ReleaseAnswer> GrpcPeer::Release(const Call& call, const ReleaseRequest& request) {
  grpc::ClientContext context;
  rpc::Prepare(context, call, *channel_);
  v1::ReleaseReferencedRequest wire;
  wire.set_type(request.type);
  wire.set_id(Value(request.parent.id));
  wire.set_uid(request.parent.uid);
  wire.set_deletion_id(Value(request.deletion_id));
  wire.set_as_of_sequence(Value(request.as_of_sequence));
  wire.set_validate_only(request.validate_only);
  wire.set_without_counts(request.without_counts);
  for (const auto& [relationship, action] : request.overrides) {
    auto* item = wire.add_overrides();
    item->set_relationship(relationship);
    item->set_action(static_cast<v1::ReferentialAction>(action));
  }
  v1::ReleaseReferencedResponse response;
  if (!request.validate_only && !fault::Hit(fault::kReleaseSend).ok()) return errors::PeerUnavailable(name_);
  const grpc::Status status = stub_->ReleaseReferenced(&context, wire, &response);
  if (!request.validate_only && !fault::Hit(fault::kReleaseAnswered).ok()) return errors::PeerUnavailable(name_);
  if (status.error_code() == grpc::StatusCode::ABORTED) return errors::Conflict();
  if (!status.ok()) return Unavailable("ReleaseReferenced", status);
  ReleaseAnswer answer;
  answer.released = response.released();
  for (const auto& count : response.counts()) {
    answer.counts.push_back({count.relationship(), count.rows(), count.is_minimum()});
  }
  return answer;
}

}  // namespace crosskey::relation
