// Ends the connections of a listener, before gRPC shuts its server down.
#pragma once

namespace crosskey::rpc {

// Ends all connections of this process that were accepted on the TCP port, on which nobody may be accepted any more.
// What gRPC has handed to the system usually still arrives. A client that waits
// for more, or sends more, gets UNAVAILABLE from its own gRPC.
//
// grpc::Server::Shutdown alone asks clients to leave, and answers CANCELLED to calls that arrive before they have heard
// of it. CANCELLED does not tell a client that the server is stopping, and clients do not repeat such a call.
void HangUp(int port);

}  // namespace crosskey::rpc
