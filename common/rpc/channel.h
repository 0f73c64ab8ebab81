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

// Prepares a call to a peer. First waits at most 300 ms for the connection, so that a peer that is being restarted is
// not taken for absent. Then gives the call the trace context and a deadline: the caller's less a margin, but at most
// limits::kPeerCallTimeout from now.
void Prepare(grpc::ClientContext& context, const Call& call, grpc::Channel& channel);

}  // namespace crosskey::rpc
