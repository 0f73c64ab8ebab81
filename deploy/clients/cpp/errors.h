// For clients of Crosskey: reads what an error says to a program, and makes writes that are safe to repeat.
#pragma once

#include <chrono>
#include <functional>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include <grpcpp/client_context.h>
#include <grpcpp/support/status.h>

namespace crosskey::client {

// From google.rpc.BadRequest.
struct FieldViolation {
  std::string field;
  std::string description;
};

// From google.rpc.PreconditionFailure.
struct PreconditionViolation {
  std::string type;
  std::string subject;
  std::string description;
};

// From google.rpc.ResourceInfo.
struct Resource {
  std::string type;
  std::string name;
  std::string description;
};

// A status with the details that it carries. A member is empty if the status does not carry that detail. Errors that
// gRPC itself makes carry none.
struct Error {
  grpc::StatusCode code = grpc::StatusCode::OK;
  std::string message;
  // From google.rpc.ErrorInfo: programs decide by the reason, and find the variables of the message in the metadata.
  std::string reason;
  std::map<std::string, std::string> metadata;
  std::vector<FieldViolation> field_violations;
  std::vector<PreconditionViolation> precondition_violations;
  std::optional<Resource> resource;
  // From google.rpc.RetryInfo: another try makes sense after this time.
  std::optional<std::chrono::nanoseconds> retry_delay;
};

// Details that have no member in Error, and details that cannot be decoded, are passed over.
Error ReadError(const grpc::Status& status);

// Returns the name as in the documentation of gRPC, for example "NOT_FOUND".
std::string CodeName(grpc::StatusCode code);

struct RetryPolicy {
  int max_tries = 5;
  std::chrono::milliseconds timeout_of_try{5000};
  // The wait after the first try; it doubles from try to try. If the service sends a retry_delay, that counts instead.
  // No wait is longer than max_wait.
  std::chrono::milliseconds first_wait{100};
  std::chrono::milliseconds max_wait{5000};
};

// Makes one try of a call, with a context that has a deadline and the request_id to put into the request.
using Try = std::function<grpc::Status(grpc::ClientContext* context, const std::string& request_id)>;

// Makes a write, and tries it again after UNAVAILABLE and DEADLINE_EXCEEDED, because then nobody knows whether it took
// effect. All tries carry the same new request_id. So the write takes effect once, and the answer is that of the first
// try that took effect.
grpc::Status WithRequestId(const Try& call, const RetryPolicy& policy = {});

}  // namespace crosskey::client
