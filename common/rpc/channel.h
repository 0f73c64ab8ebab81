// Calling a peer.
#pragma once

#include <memory>
#include <string>

#include <grpcpp/channel.h>
#include <grpcpp/client_context.h>

#include "common/status/call.h"

namespace crosskey::rpc {

// A channel that notices a dead peer within 15 s (keepalive) and tries to reconnect at least every second. Does not
// wait for the connection.
std::shared_ptr<grpc::Channel> Connect(const std::string& address);

// Before a call to a peer: waits at most 300 ms for the connection, so that a peer's restart is not taken for its
// absence, and gives the call what is left of the caller's deadline less a margin, at most limits::kPeerCallTimeout,
// and the trace context.
void Prepare(grpc::ClientContext& context, const Call& call, grpc::Channel& channel);

}  // namespace crosskey::rpc
