#include "common/relation/rpc/reference_rpc.h"

#include "absl/strings/str_cat.h"
#include "common/fault/fault.h"
#include "common/rpc/field_errors.h"
#include "common/status/limits.h"

namespace crosskey::relation {
namespace {

absl::StatusOr<ReleaseRequest> FromWire(const v1::ReleaseReferencedRequest& wire) {
  rpc::FieldErrors errors;
  errors.RequireId("id", wire.id());
  if (wire.uid().empty()) errors.Add("uid", "must not be empty");
  if (!wire.validate_only()) errors.RequireId("deletion_id", wire.deletion_id());
  ReleaseRequest request{
      wire.type(), {RowId{wire.id()}, wire.uid()}, DeletionId{wire.deletion_id()}, Sequence{wire.as_of_sequence()},
      {},          wire.validate_only(),           wire.without_counts()};
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

grpc::ServerUnaryReactor* ReferenceRpc::LookupReferenced(grpc::CallbackServerContext* context,
                                                         const v1::LookupReferencedRequest* request,
                                                         v1::LookupReferencedResponse* response) {
  return calls_.Unary(*context, "LookupReferenced", rpc::Waits::kInternal,
                      [this, request, response](const Call& call) -> absl::Status {
                        CROSSKEY_RETURN_IF_ERROR(fault::Hit(fault::kLookupReceived));
                        rpc::FieldErrors errors;
                        errors.RequireIds("ids", request->ids(), 1, limits::kBatchIds);
                        const auto lookup = lookups_.find(request->type());
                        if (lookup == lookups_.end()) errors.Add("type", "is not owned by this service");
                        CROSSKEY_RETURN_IF_ERROR(errors.status());
                        std::vector<RowId> ids;
                        for (const int64_t id : request->ids()) ids.push_back(RowId{id});
                        CROSSKEY_ASSIGN_OR_RETURN(const LookupAnswer answer, lookup->second->Run(call, ids));
                        response->set_as_of_sequence(Value(answer.as_of_sequence));
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
  return calls_.Unary(*context, "ReleaseReferenced", rpc::Waits::kInternalWrites,
                      [this, wire, response](const Call& call) -> absl::Status {
                        if (!wire->validate_only()) CROSSKEY_RETURN_IF_ERROR(fault::Hit(fault::kReleaseReceived));
                        const auto release = releases_.find(wire->type());
                        if (release == releases_.end())
                          return errors::InvalidField("type", "is not referred to by this service");
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
                      });
}

}  // namespace crosskey::relation
