// Serves relation.v1.ReferenceService, for the types that a service owns and for those that it refers to.
#pragma once

#include <map>
#include <memory>
#include <string>

#include "common/relation/child/references.h"
#include "common/relation/child/release.h"
#include "common/relation/parent/lookup.h"
#include "common/relation/parent/repair_points.h"
#include "common/rpc/calls.h"
#include "relation/v1/reference_service.grpc.pb.h"

namespace crosskey::relation {

namespace v1 = ::relation::v1;

// Register the types before the server starts. A call for another type is INVALID_ARGUMENT.
class ReferenceRpc final : public v1::ReferenceService::CallbackService {
 public:
  ReferenceRpc(std::shared_ptr<rpc::Admission> admission, rpc::CallLines& lines, RepairPoints& points,
               telemetry::Metrics& metrics);

  // For a type that this service owns: answers LookupReferenced.
  void Serve(const std::string& type, Lookup& lookup) { lookups_[type] = &lookup; }
  // For a type that this service refers to: answers ReleaseReferenced and FindReferences.
  void Serve(const std::string& type, Release& release, References& references) {
    releases_[type] = &release;
    references_[type] = &references;
  }

  grpc::ServerUnaryReactor* LookupReferenced(grpc::CallbackServerContext* context,
                                             const v1::LookupReferencedRequest* request,
                                             v1::LookupReferencedResponse* response) override;
  grpc::ServerUnaryReactor* ReleaseReferenced(grpc::CallbackServerContext* context,
                                              const v1::ReleaseReferencedRequest* request,
                                              v1::ReleaseReferencedResponse* response) override;
  grpc::ServerUnaryReactor* BeginRepair(grpc::CallbackServerContext* context, const v1::BeginRepairRequest* request,
                                        v1::BeginRepairResponse* response) override;
  grpc::ServerUnaryReactor* ListOpenDeletions(grpc::CallbackServerContext* context,
                                              const v1::ListOpenDeletionsRequest* request,
                                              v1::ListOpenDeletionsResponse* response) override;
  grpc::ServerUnaryReactor* FindReferences(grpc::CallbackServerContext* context,
                                           const v1::FindReferencesRequest* request,
                                           v1::FindReferencesResponse* response) override;

 private:
  rpc::Calls calls_;
  RepairPoints& points_;
  std::map<std::string, Lookup*> lookups_;
  std::map<std::string, Release*> releases_;
  std::map<std::string, References*> references_;
};

}  // namespace crosskey::relation
