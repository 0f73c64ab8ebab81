// Calling a peer.
#pragma once

#include <memory>
#include <optional>
#include <string>
#include <vector>

#include <grpcpp/channel.h>
#include <grpcpp/client_context.h>

#include "absl/status/status.h"
#include "common/rpc/tls_files.h"
#include "common/status/call.h"
#include "common/status/identity.h"
#include "common/status/limits.h"

namespace crosskey::rpc {

// Who the peer is, with TLS.
struct PeerTls {
  std::shared_ptr<TlsFiles> files = nullptr;  // with a CA; null: no TLS. Must outlive the channel
  std::vector<std::string> identities{};      // that its certificate may have
};

// A channel that notices a dead peer within 15 s (keepalive) and tries to reconnect at least every second. Does not
// wait for the connection.
std::shared_ptr<grpc::Channel> Connect(const std::string& address, const PeerTls& tls = {});

// The metadata by which a call between the services says of whom and for whom it is. Each is "SERVICE/ID"; the callee
// has no "/ID" before the first meeting.
inline constexpr char kCallerKey[] = "crosskey-caller";
inline constexpr char kCalleeKey[] = "crosskey-callee";

// "user-service/5b4f..." nullopt: the text has another form.
std::optional<Instance> ParseInstance(const std::string& text);
std::string FormatInstance(const Instance& instance);

// The channel to the peer, whose calls say who calls whom.
class PeerChannel {
 public:
  // `identity` must outlive it; nullptr: the calls say nothing.
  explicit PeerChannel(std::shared_ptr<grpc::Channel> channel, Identity* identity = nullptr)
      : channel_(std::move(channel)), identity_(identity) {}

  const std::shared_ptr<grpc::Channel>& channel() const { return channel_; }

  // Prepares a call. First waits at most 300 ms for the connection and for the first meeting, so that a peer that is
  // being started is not taken for absent. Then gives the call the trace context and a deadline: the caller's less a
  // margin, but at most `limit` from now. An error says why the call must not be made: UNAVAILABLE
  // PEER_UNAVAILABLE, FAILED_PRECONDITION PEER_MISMATCH.
  absl::Status Prepare(grpc::ClientContext& context, const Call& call,
                       absl::Duration limit = limits::kPeerCallTimeout) const;
  // The same for the call by which the services meet: it may be made to anybody.
  void PrepareToMeet(grpc::ClientContext& context, const Call& call) const;
  // The same for a stream. It gets neither a deadline nor a trace context, and waits for nothing.
  absl::Status PrepareStream(grpc::ClientContext& context) const;

 private:
  // Waits for the connection until `connected`, and gives the call its deadline and metadata.
  void Fill(grpc::ClientContext& context, const Call& call, absl::Time connected, absl::Duration limit) const;
  void Sign(grpc::ClientContext& context) const;

  const std::shared_ptr<grpc::Channel> channel_;
  Identity* const identity_;
};

}  // namespace crosskey::rpc
