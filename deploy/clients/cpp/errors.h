// For clients of Crosskey: what an error says to a program, and writes that are safe to repeat.
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

// A status with the details that it carries. What it does not carry is empty, as in the errors that gRPC itself makes.
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

// Details of a kind that Error has no place for, and such as cannot be decoded, are passed over.
Error ReadError(const grpc::Status& status);

// As in the documentation of gRPC, for example "NOT_FOUND".
std::string CodeName(grpc::StatusCode code);

struct RetryPolicy {
  int max_tries = 5;
  std::chrono::milliseconds timeout_of_try{5000};
  // Doubled from try to try. A retry_delay of the service takes its place, as far as it is not beyond max_wait.
  std::chrono::milliseconds first_wait{100};
  std::chrono::milliseconds max_wait{5000};
};

// Makes one try of a call, with a context that has a deadline and the request_id to put into the request.
using Try = std::function<grpc::Status(grpc::ClientContext* context, const std::string& request_id)>;

// Makes a write that may be repeated: after UNAVAILABLE and DEADLINE_EXCEEDED nobody knows whether it took effect, but as
// all tries carry one new request_id, it does so once, and the answer is that of the first one that did.
grpc::Status WithRequestId(const Try& call, const RetryPolicy& policy = {});

}  // namespace crosskey::client
