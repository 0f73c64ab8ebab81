// The gate for the calls of reflection, which is gRPC's own service and does not go through rpc::Calls.
#pragma once

#include <memory>

#include <grpcpp/support/server_interceptor.h>

#include "common/rpc/gate.h"

namespace crosskey::rpc {

// An interceptor factory that ends calls whose caller may not pass: PERMISSION_DENIED or UNAUTHENTICATED, without
// details, because gRPC sends none for a call that it ends. Health is for everybody. `gate` must outlive the listener.
std::unique_ptr<grpc::experimental::ServerInterceptorFactoryInterface> ReflectionGate(Gate& gate);

}  // namespace crosskey::rpc
