#include "common/rpc/to_wire.h"

#include <map>

#include "absl/random/random.h"
#include "absl/strings/cord.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "common/status/errors.h"
#include "common/telemetry/log.h"
#include "google/rpc/status.pb.h"

namespace crosskey::rpc {
namespace {

constexpr char kUrlPrefix[] = "type.googleapis.com/";
constexpr char kErrorInfo[] = "type.googleapis.com/google.rpc.ErrorInfo";

// Puts ErrorInfo first, then the other details by name, because absl keeps payloads in no order.
grpc::Status WithDetails(const absl::Status& status) {
  google::rpc::Status details;
  details.set_code(static_cast<int>(status.code()));
  details.set_message(std::string(status.message()));
  std::map<std::string, std::string> payloads;
  status.ForEachPayload([&](absl::string_view url, const absl::Cord& payload) {
    if (absl::StartsWith(url, kUrlPrefix)) payloads[std::string(url)] = std::string(payload);
  });
  const auto add = [&details](const std::string& url, const std::string& payload) {
    auto* any = details.add_details();
    any->set_type_url(url);
    any->set_value(payload);
  };
  for (const auto& [url, payload] : payloads) {
    if (url == kErrorInfo) add(url, payload);
  }
  for (const auto& [url, payload] : payloads) {
    if (url != kErrorInfo) add(url, payload);
  }
  return grpc::Status(static_cast<grpc::StatusCode>(status.code()), details.message(), details.SerializeAsString());
}

}  // namespace

grpc::Status ToWire(const absl::Status& status, const std::string& method) {
  if (status.ok()) return grpc::Status::OK;
  if (!errors::Is(status, errors::Reason::kNone)) return WithDetails(status);
  if (status.code() == absl::StatusCode::kCancelled || status.code() == absl::StatusCode::kDeadlineExceeded) {
    return grpc::Status(static_cast<grpc::StatusCode>(status.code()), std::string(status.message()));
  }
  static thread_local absl::BitGen random;
  const std::string incident = absl::StrCat(absl::Hex(absl::Uniform<uint64_t>(random), absl::kZeroPad16));
  log::Error("unexpected error", {{"incident", incident}, {"method", method}, {"error", status.ToString()}});
  return WithDetails(errors::Internal(incident));
}

}  // namespace crosskey::rpc
