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

// Gives a call to a peer what is left of the caller's deadline less a margin, at most limits::kPeerCall, and the trace
// context.
void Prepare(grpc::ClientContext& context, const Call& call);

}  // namespace crosskey::rpc
