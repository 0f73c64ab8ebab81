// gMock matchers for what a call answered, an absl or a gRPC status.
#pragma once

#include <optional>
#include <string>

#include <gmock/gmock.h>
#include <grpcpp/support/status.h>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "common/status/errors.h"
#include "google/rpc/error_details.pb.h"
#include "google/rpc/status.pb.h"

namespace crosskey::testing {

inline absl::Status ToStatus(const absl::Status& status) { return status; }
template <typename T>
absl::Status ToStatus(const absl::StatusOr<T>& result) {
  return result.status();
}

// The last detail of this type in a gRPC error; nullopt if there is none. `count` gets how many there are.
template <typename Detail>
std::optional<Detail> DetailOf(const grpc::Status& status, int* count = nullptr) {
  google::rpc::Status wire;
  std::optional<Detail> found;
  if (count != nullptr) *count = 0;
  if (!wire.ParseFromString(status.error_details())) return found;
  for (const auto& any : wire.details()) {
    Detail detail;
    if (!any.Is<Detail>() || !any.UnpackTo(&detail)) continue;
    if (count != nullptr) ++*count;
    found = detail;
  }
  return found;
}

inline std::string ReasonOf(const grpc::Status& status) {
  const auto info = DetailOf<google::rpc::ErrorInfo>(status);
  return info.has_value() ? info->reason() : "";
}

MATCHER(IsOk, "is OK") {
  const absl::Status status = ToStatus(arg);
  *result_listener << status.ToString();
  return status.ok();
}

// An absl status with a code, and the reason of its ErrorInfo ("" for none).
MATCHER_P2(StatusIs, code, reason, "") {
  const absl::Status status = ToStatus(arg);
  *result_listener << status.ToString();
  return status.code() == code && errors::ReasonName(status) == reason;
}

MATCHER(GrpcOk, "is OK") {
  *result_listener << arg.error_code() << " " << arg.error_message();
  return arg.ok();
}

// A gRPC error with this code and exactly one ErrorInfo, of our domain and with this reason. The details have less than
// 4 KB and repeat code and message.
MATCHER_P2(GrpcError, code, reason, "") {
  *result_listener << arg.error_code() << " " << ReasonOf(arg) << " " << arg.error_message();
  google::rpc::Status wire;
  int infos = 0;
  const auto info = DetailOf<google::rpc::ErrorInfo>(arg, &infos);
  return arg.error_code() == code && wire.ParseFromString(arg.error_details()) && infos == 1 &&
         info->domain() == "crosskey" && info->reason() == reason && arg.error_details().size() < 4096 &&
         wire.code() == static_cast<int>(arg.error_code()) && wire.message() == arg.error_message();
}

}  // namespace crosskey::testing
