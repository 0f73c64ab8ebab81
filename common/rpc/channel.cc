#include "common/rpc/channel.h"

#include <algorithm>

#include <grpcpp/create_channel.h>
#include <grpcpp/security/credentials.h>

#include "common/status/limits.h"

namespace crosskey::rpc {
namespace {

constexpr absl::Duration kMargin = absl::Milliseconds(20);  // left to answer the caller in time
constexpr absl::Duration kConnect = absl::Milliseconds(300);

}  // namespace

std::shared_ptr<grpc::Channel> Connect(const std::string& address) {
  grpc::ChannelArguments arguments;
  arguments.SetInt(GRPC_ARG_ENABLE_HTTP_PROXY, 0);  // a peer is never behind a proxy, whatever the environment says
  arguments.SetInt(GRPC_ARG_KEEPALIVE_TIME_MS, 10'000);
  arguments.SetInt(GRPC_ARG_KEEPALIVE_TIMEOUT_MS, 5'000);
  arguments.SetInt(GRPC_ARG_KEEPALIVE_PERMIT_WITHOUT_CALLS, 1);
  arguments.SetInt(GRPC_ARG_HTTP2_MAX_PINGS_WITHOUT_DATA, 0);
  arguments.SetInt(GRPC_ARG_INITIAL_RECONNECT_BACKOFF_MS, 50);
  arguments.SetInt(GRPC_ARG_MIN_RECONNECT_BACKOFF_MS, 1'000);  // also the time that a connection attempt may take
  arguments.SetInt(GRPC_ARG_MAX_RECONNECT_BACKOFF_MS, 250);
  return grpc::CreateCustomChannel(address, grpc::InsecureChannelCredentials(), arguments);
}

void Prepare(grpc::ClientContext& context, const Call& call, grpc::Channel& channel) {
  const absl::Time connected = std::min(call.deadline - kMargin, absl::Now() + kConnect);
  channel.WaitForConnected(absl::ToChronoTime(connected));
  const absl::Time latest = absl::Now() + limits::kPeerCallTimeout;
  context.set_deadline(absl::ToChronoTime(std::min(call.deadline - kMargin, latest)));
  if (!call.traceparent.empty()) context.AddMetadata("traceparent", call.traceparent);
}

}  // namespace crosskey::rpc
