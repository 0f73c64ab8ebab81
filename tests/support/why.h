// Why a caller is refused: the `why` of an error.
#pragma once

#include <string>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "google/rpc/error_details.pb.h"

namespace crosskey::testing {

// "" if the status has none, "OK" if it is OK.
inline std::string WhyOf(const absl::Status& status) {
  if (status.ok()) return "OK";
  google::rpc::ErrorInfo info;
  const auto payload = status.GetPayload("type.googleapis.com/google.rpc.ErrorInfo");
  if (!payload.has_value() || !info.ParseFromString(std::string(*payload))) return "";
  const auto why = info.metadata().find("why");
  return why == info.metadata().end() ? "" : why->second;
}
template <typename T>
std::string WhyOf(const absl::StatusOr<T>& result) {
  return WhyOf(result.status());
}

}  // namespace crosskey::testing
