#include <grpcpp/create_channel.h>
#include <grpcpp/security/credentials.h>

#include "common/rpc/listener.h"
#include "common/rpc/tls_files.h"
#include "grpc/health/v1/health.grpc.pb.h"

namespace crosskey::rpc {

absl::Status CheckHealth(const std::string& address, const std::string& name, absl::Duration timeout, bool tls) {
  grpc::ChannelArguments arguments;
  arguments.SetInt(GRPC_ARG_ENABLE_HTTP_PROXY, 0);
  const auto stub = grpc::health::v1::Health::NewStub(
      grpc::CreateCustomChannel(address, tls ? AnyServer() : grpc::InsecureChannelCredentials(), arguments));
  grpc::ClientContext context;
  context.set_deadline(absl::ToChronoTime(absl::Now() + timeout));
  grpc::health::v1::HealthCheckRequest request;
  request.set_service(name);
  grpc::health::v1::HealthCheckResponse response;
  const grpc::Status status = stub->Check(&context, request, &response);
  if (status.error_code() == grpc::StatusCode::NOT_FOUND) return absl::NotFoundError(name);
  if (!status.ok()) return absl::UnavailableError(address + ": " + status.error_message());
  if (response.status() != grpc::health::v1::HealthCheckResponse::SERVING) {
    return absl::FailedPreconditionError(address + ": " +
                                         grpc::health::v1::HealthCheckResponse::ServingStatus_Name(response.status()));
  }
  return absl::OkStatus();
}

}  // namespace crosskey::rpc
