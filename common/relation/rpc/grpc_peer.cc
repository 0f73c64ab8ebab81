#include "common/relation/rpc/grpc_peer.h"

#include "common/fault/fault.h"
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
  return Ask(call, type, ids, false);
}

absl::StatusOr<LookupAnswer> GrpcPeer::Examine(const Call& call, const std::string& type,
                                               const std::vector<RowId>& ids) {
  return Ask(call, type, ids, true);
}

absl::StatusOr<LookupAnswer> GrpcPeer::Ask(const Call& call, const std::string& type, const std::vector<RowId>& ids,
                                           bool for_check) {
  const auto asked = std::chrono::steady_clock::now();
  grpc::ClientContext context;
  if (!channel_.Prepare(context, call).ok()) return errors::PeerUnavailable(name_);
  v1::LookupReferencedRequest request;
  request.set_for_check(for_check);
  request.set_type(type);
  for (const RowId id : ids) request.add_ids(Value(id));
  v1::LookupReferencedResponse response;
  if (!fault::Hit(fault::kLookupSend).ok()) return errors::PeerUnavailable(name_);
  const grpc::Status status = stub_->LookupReferenced(&context, request, &response);
  if (!status.ok()) return Unavailable("LookupReferenced", status);
  if (!fault::Hit(fault::kLookupAnswered).ok()) return errors::PeerUnavailable(name_);
  LookupAnswer answer;
  answer.asked = asked;
  answer.as_of_sequence = Sequence{response.as_of_sequence()};
  answer.feed_id = response.feed_id();
  for (const auto& item : response.items()) {
    // A state that this version does not know must not count as existing.
    if (item.state() != v1::REFERENCE_STATE_ACTIVE && item.state() != v1::REFERENCE_STATE_DELETING) continue;
    answer.found.push_back({{RowId{item.id()}, item.uid()}, item.state() == v1::REFERENCE_STATE_DELETING});
  }
  return answer;
}

absl::StatusOr<ReleaseAnswer> GrpcPeer::Release(const Call& call, const ReleaseRequest& request) {
  grpc::ClientContext context;
  if (!channel_.Prepare(context, call).ok()) return errors::PeerUnavailable(name_);
  v1::ReleaseReferencedRequest wire;
  wire.set_type(request.type);
  wire.set_id(Value(request.parent.id));
  wire.set_uid(request.parent.uid);
  wire.set_deletion_id(Value(request.deletion_id));
  wire.set_as_of_sequence(Value(request.as_of_sequence));
  wire.set_validate_only(request.validate_only);
  wire.set_without_counts(request.without_counts);
  wire.set_feed_id(request.feed_id);
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

absl::StatusOr<RepairPoint> GrpcPeer::BeginRepair(const Call& call, const std::vector<events::Seen>& seen) {
  grpc::ClientContext context;
  if (!channel_.Prepare(context, call, limits::kDefaultDeadline).ok()) return errors::PeerUnavailable(name_);
  v1::BeginRepairRequest request;
  for (const events::Seen& each : seen) {
    auto* item = request.add_seen();
    item->set_type(each.type);
    item->set_id(Value(each.id));
    item->set_uid(each.uid);
    item->set_deletion_id(Value(each.deletion_id));
    item->set_deletion_uid(each.deletion_uid);
  }
  v1::BeginRepairResponse response;
  const grpc::Status status = stub_->BeginRepair(&context, request, &response);
  if (!status.ok()) return Unavailable("BeginRepair", status);
  return RepairPoint{response.feed_id(), Sequence{response.head()}, response.event_id()};
}

absl::StatusOr<OpenPage> GrpcPeer::ListOpen(const Call& call, const std::string& type, DeletionId after,
                                            Sequence head) {
  grpc::ClientContext context;
  if (!channel_.Prepare(context, call).ok()) return errors::PeerUnavailable(name_);
  v1::ListOpenDeletionsRequest request;
  request.set_type(type);
  request.set_after(Value(after));
  request.set_head(Value(head));
  v1::ListOpenDeletionsResponse response;
  const grpc::Status status = stub_->ListOpenDeletions(&context, request, &response);
  if (!status.ok()) return Unavailable("ListOpenDeletions", status);
  OpenPage page{response.feed_id(), {}, DeletionId{response.next()}};
  for (const auto& item : response.items()) {
    page.deletions.push_back({{RowId{item.id()}, item.uid()}, DeletionId{item.deletion_id()}});
  }
  return page;
}

absl::StatusOr<ReferencesAnswer> GrpcPeer::FindReferences(const Call& call, const std::string& type,
                                                          const std::vector<RowId>& ids) {
  grpc::ClientContext context;
  if (!channel_.Prepare(context, call).ok()) return errors::PeerUnavailable(name_);
  v1::FindReferencesRequest request;
  request.set_type(type);
  for (const RowId id : ids) request.add_ids(Value(id));
  v1::FindReferencesResponse response;
  const grpc::Status status = stub_->FindReferences(&context, request, &response);
  if (!status.ok()) return Unavailable("FindReferences", status);
  ReferencesAnswer answer;
  for (const auto& item : response.items()) answer.found.push_back({RowId{item.id()}, item.uid()});
  answer.feed_id = response.feed_id();
  answer.last_sequence = Sequence{response.last_sequence()};
  answer.state = static_cast<events::HistoryState>(response.state());
  return answer;
}

}  // namespace crosskey::relation
