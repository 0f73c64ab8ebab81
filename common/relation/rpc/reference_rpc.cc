#include "common/relation/rpc/reference_rpc.h"

#include "absl/strings/str_cat.h"
#include "common/fault/fault.h"
#include "common/rpc/field_errors.h"
#include "common/rpc/text.h"
#include "common/status/limits.h"

namespace crosskey::relation {
namespace {

constexpr int kSeenTypes = 100;

// No counter ever gets there. A larger number could not be followed by another one.
void CheckNumber(int64_t number, const std::string& field, rpc::FieldErrors& errors) {
  if (number >= 0 && number <= limits::kLargestId) return;
  errors.Add(field, absl::StrCat("must be from 0 to ", limits::kLargestId));
}

template <typename Request>
std::vector<RowId> RowIds(const Request& request) {
  std::vector<RowId> ids;
  for (const int64_t id : request.ids()) ids.push_back(RowId{id});
  return ids;
}

absl::StatusOr<ReleaseRequest> FromWire(const v1::ReleaseReferencedRequest& wire) {
  rpc::FieldErrors errors;
  errors.RequireId("id", wire.id());
  if (!rpc::IsUuid(wire.uid())) errors.Add("uid", "must be a UUID");
  CheckNumber(wire.as_of_sequence(), "as_of_sequence", errors);
  if (!wire.validate_only()) {
    errors.RequireId("deletion_id", wire.deletion_id());
    if (wire.deletion_id() > 0) CheckNumber(wire.deletion_id(), "deletion_id", errors);
  }
  ReleaseRequest request;
  request.type = wire.type();
  request.parent = {RowId{wire.id()}, wire.uid()};
  request.deletion_id = DeletionId{wire.deletion_id()};
  request.as_of_sequence = Sequence{wire.as_of_sequence()};
  request.feed_id = wire.feed_id();
  request.validate_only = wire.validate_only();
  request.without_counts = wire.without_counts();
  for (int i = 0; i < wire.overrides_size(); ++i) {
    const auto& item = wire.overrides(i);
    if (item.action() != v1::REFERENTIAL_ACTION_RESTRICT && item.action() != v1::REFERENTIAL_ACTION_CASCADE) {
      errors.Add(absl::StrCat("overrides[", i, "].action"), "must be RESTRICT or CASCADE");
    }
    request.overrides[item.relationship()] = static_cast<Action>(item.action());
  }
  CROSSKEY_RETURN_IF_ERROR(errors.status());
  return request;
}

}  // namespace

ReferenceRpc::ReferenceRpc(std::shared_ptr<rpc::Admission> admission, rpc::CallLines& lines, RepairPoints& points,
                           telemetry::Metrics& metrics)
    : calls_("relation.v1.ReferenceService", std::move(admission), lines, metrics), points_(points) {
  // By these a service that has lost something gets out of that.
  calls_.TakeWithoutWrites("LookupReferenced");
  calls_.TakeWithoutWrites("BeginRepair");
  calls_.TakeWithoutWrites("ListOpenDeletions");
  calls_.TakeWithoutWrites("FindReferences");
}

grpc::ServerUnaryReactor* ReferenceRpc::LookupReferenced(grpc::CallbackServerContext* context,
                                                         const v1::LookupReferencedRequest* request,
                                                         v1::LookupReferencedResponse* response) {
  return calls_.Unary(*context, "LookupReferenced", rpc::Waits::kInternal, *request,
                      [this, request, response](const Call& call) -> absl::Status {
                        CROSSKEY_RETURN_IF_ERROR(fault::Hit(fault::kLookupReceived));
                        if (!request->for_check()) CROSSKEY_RETURN_IF_ERROR(calls_.admission().CheckWrites());
                        rpc::FieldErrors errors;
                        errors.RequireIds("ids", request->ids(), 1, limits::kBatchIds);
                        const auto lookup = lookups_.find(request->type());
                        if (lookup == lookups_.end()) errors.Add("type", "is not owned by this service");
                        CROSSKEY_RETURN_IF_ERROR(errors.status());
                        const std::vector<RowId> ids = RowIds(*request);
                        CROSSKEY_ASSIGN_OR_RETURN(const LookupAnswer answer, request->for_check()
                                                                                 ? lookup->second->Examine(call, ids)
                                                                                 : lookup->second->Run(call, ids));
                        response->set_as_of_sequence(Value(answer.as_of_sequence));
                        response->set_feed_id(answer.feed_id);
                        for (const Found& found : answer.found) {
                          auto* item = response->add_items();
                          item->set_id(Value(found.row.id));
                          item->set_uid(found.row.uid);
                          item->set_state(found.deleting ? v1::REFERENCE_STATE_DELETING : v1::REFERENCE_STATE_ACTIVE);
                        }
                        return absl::OkStatus();
                      });
}

grpc::ServerUnaryReactor* ReferenceRpc::ReleaseReferenced(grpc::CallbackServerContext* context,
                                                          const v1::ReleaseReferencedRequest* wire,
                                                          v1::ReleaseReferencedResponse* response) {
  const rpc::Waits waits = wire->validate_only() ? rpc::Waits::kPreviews : rpc::Waits::kInternalWrites;
  const rpc::Messages changes = wire->validate_only() ? rpc::Messages{} : rpc::Messages{wire, response};
  const auto release_once = [this, wire, response](const Call& call) -> absl::Status {
    if (!wire->validate_only()) CROSSKEY_RETURN_IF_ERROR(fault::Hit(fault::kReleaseReceived));
    const auto release = releases_.find(wire->type());
    if (release == releases_.end()) return errors::InvalidField("type", "is not referred to by this service");
    CROSSKEY_ASSIGN_OR_RETURN(const ReleaseRequest request, FromWire(*wire));
    CROSSKEY_ASSIGN_OR_RETURN(const ReleaseAnswer answer, release->second->Run(call, request));
    response->set_released(answer.released);
    for (const errors::Referencing& count : answer.counts) {
      auto* item = response->add_counts();
      item->set_relationship(count.relationship);
      item->set_rows(count.rows);
      item->set_is_minimum(count.is_minimum);
    }
    return absl::OkStatus();
  };
  return calls_.Unary(*context, "ReleaseReferenced", waits, *wire, release_once, changes);
}

grpc::ServerUnaryReactor* ReferenceRpc::BeginRepair(grpc::CallbackServerContext* context,
                                                    const v1::BeginRepairRequest* request,
                                                    v1::BeginRepairResponse* response) {
  return calls_.Unary(
      *context, "BeginRepair", rpc::Waits::kInternalWrites, *request,
      [this, request, response](const Call& call) -> absl::Status {
        rpc::FieldErrors errors;
        errors.RequireCount("seen", request->seen_size(), 0, kSeenTypes);
        std::vector<events::Seen> seen;
        for (int i = 0; i < request->seen_size(); ++i) {
          const auto& item = request->seen(i);
          CheckNumber(item.id(), absl::StrCat("seen[", i, "].id"), errors);
          CheckNumber(item.deletion_id(), absl::StrCat("seen[", i, "].deletion_id"), errors);
          seen.push_back({item.type(), RowId{item.id()}, item.uid(), DeletionId{item.deletion_id()}, ""});
        }
        CROSSKEY_RETURN_IF_ERROR(errors.status());
        CROSSKEY_ASSIGN_OR_RETURN(const RepairPoint point, points_.Begin(call, seen));
        response->set_feed_id(point.feed_id);
        response->set_head(Value(point.head));
        response->set_event_id(point.event_id);
        return absl::OkStatus();
      },
      {request, response});
}

grpc::ServerUnaryReactor* ReferenceRpc::ListOpenDeletions(grpc::CallbackServerContext* context,
                                                          const v1::ListOpenDeletionsRequest* request,
                                                          v1::ListOpenDeletionsResponse* response) {
  return calls_.Unary(*context, "ListOpenDeletions", rpc::Waits::kInternal, *request,
                      [this, request, response](const Call& call) -> absl::Status {
                        rpc::FieldErrors errors;
                        CheckNumber(request->after(), "after", errors);
                        CheckNumber(request->head(), "head", errors);
                        if (!points_.Knows(request->type())) errors.Add("type", "is not owned by this service");
                        CROSSKEY_RETURN_IF_ERROR(errors.status());
                        CROSSKEY_ASSIGN_OR_RETURN(const OpenPage page,
                                                  points_.ListOpen(call, request->type(), DeletionId{request->after()},
                                                                   Sequence{request->head()}));
                        response->set_feed_id(page.feed_id);
                        response->set_next(Value(page.next));
                        for (const OpenDeletion& open : page.deletions) {
                          auto* item = response->add_items();
                          item->set_id(Value(open.row.id));
                          item->set_uid(open.row.uid);
                          item->set_deletion_id(Value(open.deletion_id));
                        }
                        return absl::OkStatus();
                      });
}

grpc::ServerUnaryReactor* ReferenceRpc::FindReferences(grpc::CallbackServerContext* context,
                                                       const v1::FindReferencesRequest* request,
                                                       v1::FindReferencesResponse* response) {
  return calls_.Unary(*context, "FindReferences", rpc::Waits::kInternal, *request,
                      [this, request, response](const Call& call) -> absl::Status {
                        rpc::FieldErrors errors;
                        errors.RequireIds("ids", request->ids(), 1, limits::kBatchIds);
                        const auto references = references_.find(request->type());
                        if (references == references_.end()) errors.Add("type", "is not referred to by this service");
                        CROSSKEY_RETURN_IF_ERROR(errors.status());
                        CROSSKEY_ASSIGN_OR_RETURN(const ReferencesAnswer answer,
                                                  references->second->Find(call, RowIds(*request)));
                        for (const Row& row : answer.found) {
                          auto* item = response->add_items();
                          item->set_id(Value(row.id));
                          item->set_uid(row.uid);
                        }
                        response->set_feed_id(answer.feed_id);
                        response->set_last_sequence(Value(answer.last_sequence));
                        response->set_state(static_cast<event::v1::HistoryState>(answer.state));
                        return absl::OkStatus();
                      });
}

}  // namespace crosskey::relation
