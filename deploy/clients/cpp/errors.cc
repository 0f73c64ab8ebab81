#include "deploy/clients/cpp/errors.h"

#include <algorithm>
#include <array>
#include <cstdint>
#include <thread>

#include <uuid/uuid.h>

#include "google/rpc/error_details.pb.h"
#include "google/rpc/status.pb.h"

namespace crosskey::client {
namespace {

// No service means a longer delay. A longer one is cut, so that the conversion stays within its range.
constexpr int64_t kMaxDelaySeconds = 365LL * 24 * 3600;

void ReadDetail(const google::protobuf::Any& detail, Error* error) {
  google::rpc::ErrorInfo info;
  google::rpc::BadRequest bad_request;
  google::rpc::PreconditionFailure failure;
  google::rpc::ResourceInfo resource;
  google::rpc::RetryInfo retry;
  if (detail.UnpackTo(&info)) {
    error->reason = info.reason();
    error->metadata = {info.metadata().begin(), info.metadata().end()};
  } else if (detail.UnpackTo(&bad_request)) {
    for (const auto& violation : bad_request.field_violations()) {
      error->field_violations.push_back({violation.field(), violation.description()});
    }
  } else if (detail.UnpackTo(&failure)) {
    for (const auto& violation : failure.violations()) {
      error->precondition_violations.push_back({violation.type(), violation.subject(), violation.description()});
    }
  } else if (detail.UnpackTo(&resource)) {
    error->resource = Resource{resource.resource_type(), resource.resource_name(), resource.description()};
  } else if (detail.UnpackTo(&retry) && retry.has_retry_delay()) {
    const auto seconds = std::clamp<int64_t>(retry.retry_delay().seconds(), 0, kMaxDelaySeconds);
    const auto nanos = std::max<int32_t>(retry.retry_delay().nanos(), 0);
    error->retry_delay = std::chrono::seconds(seconds) + std::chrono::nanoseconds(nanos);
  }
}

std::string NewRequestId() {
  uuid_t id;
  uuid_generate_random(id);
  std::array<char, UUID_STR_LEN> text{};
  uuid_unparse_lower(id, text.data());
  return text.data();
}

}  // namespace

Error ReadError(const grpc::Status& status) {
  Error error;
  error.code = status.error_code();
  error.message = status.error_message();
  google::rpc::Status details;
  if (details.ParseFromString(status.error_details())) {
    for (const auto& detail : details.details()) ReadDetail(detail, &error);
  }
  return error;
}

std::string CodeName(grpc::StatusCode code) {
  static constexpr std::array kNames = {
      "OK",        "CANCELLED",      "UNKNOWN",           "INVALID_ARGUMENT",   "DEADLINE_EXCEEDED",
      "NOT_FOUND", "ALREADY_EXISTS", "PERMISSION_DENIED", "RESOURCE_EXHAUSTED", "FAILED_PRECONDITION",
      "ABORTED",   "OUT_OF_RANGE",   "UNIMPLEMENTED",     "INTERNAL",           "UNAVAILABLE",
      "DATA_LOSS", "UNAUTHENTICATED"};
  const auto index = static_cast<size_t>(code);
  return index < kNames.size() ? kNames[index] : "code " + std::to_string(static_cast<int>(code));
}

grpc::Status WithRequestId(const Try& call, const RetryPolicy& policy) {
  const std::string request_id = NewRequestId();
  std::chrono::nanoseconds wait = policy.first_wait;
  for (int tries = 1;; ++tries) {
    grpc::ClientContext context;
    context.set_deadline(std::chrono::system_clock::now() + policy.timeout_of_try);
    const grpc::Status status = call(&context, request_id);
    const bool unknown = status.error_code() == grpc::StatusCode::UNAVAILABLE ||
                         status.error_code() == grpc::StatusCode::DEADLINE_EXCEEDED;
    if (!unknown || tries >= policy.max_tries) return status;
    // The service knows better than a client how long it takes until another try makes sense.
    const std::chrono::nanoseconds delay = ReadError(status).retry_delay.value_or(wait);
    std::this_thread::sleep_for(std::min<std::chrono::nanoseconds>(delay, policy.max_wait));
    wait *= 2;
  }
}

}  // namespace crosskey::client
