// Turns an absl::Status into what a gRPC client gets.
#pragma once

#include <string>

#include <grpcpp/support/status.h>

#include "absl/status/status.h"

namespace crosskey::rpc {

// Errors of common/status/errors.h go out with their details as google.rpc.Status. CANCELLED and DEADLINE_EXCEEDED go
// out bare, as gRPC itself makes them. Everything else was not foreseen: it is logged under a new id and goes out as
// INTERNAL_ERROR with that id alone, so no text of a database, driver or peer reaches a client.
grpc::Status ToWire(const absl::Status& status, const std::string& method);

}  // namespace crosskey::rpc
