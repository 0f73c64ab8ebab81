#include "common/rpc/channel.h"

#include <algorithm>

#include <grpcpp/create_channel.h>
#include <grpcpp/security/credentials.h>

#include "absl/strings/ascii.h"
#include "absl/strings/str_cat.h"
#include "common/status/macros.h"

namespace crosskey::rpc {
namespace {

constexpr absl::Duration kMargin = absl::Milliseconds(20);  // left to answer the caller in time
constexpr absl::Duration kConnect = absl::Milliseconds(300);
constexpr size_t kNameBytes = 40;  // of a service
constexpr size_t kIdBytes = 36;    // of a UUID

}  // namespace

std::shared_ptr<grpc::Channel> Connect(const std::string& address, const PeerTls& tls) {
  grpc::ChannelArguments arguments;
  arguments.SetInt(GRPC_ARG_ENABLE_HTTP_PROXY, 0);  // a peer is never behind a proxy, whatever the environment says
  arguments.SetInt(GRPC_ARG_KEEPALIVE_TIME_MS, 10'000);
  arguments.SetInt(GRPC_ARG_KEEPALIVE_TIMEOUT_MS, 5'000);
  arguments.SetInt(GRPC_ARG_KEEPALIVE_PERMIT_WITHOUT_CALLS, 1);
  arguments.SetInt(GRPC_ARG_HTTP2_MAX_PINGS_WITHOUT_DATA, 0);
  arguments.SetInt(GRPC_ARG_INITIAL_RECONNECT_BACKOFF_MS, 50);
  arguments.SetInt(GRPC_ARG_MIN_RECONNECT_BACKOFF_MS, 1'000);  // also the time that a connection attempt may take
  arguments.SetInt(GRPC_ARG_MAX_RECONNECT_BACKOFF_MS, 250);
  return grpc::CreateCustomChannel(
      address, tls.files == nullptr ? grpc::InsecureChannelCredentials() : tls.files->ForChannel(tls.identities),
      arguments);
}

std::optional<Instance> ParseInstance(const std::string& text) {
  const size_t slash = text.find('/');
  Instance instance{text.substr(0, slash), slash == std::string::npos ? "" : text.substr(slash + 1)};
  const auto fits = [](const std::string& part, size_t least, size_t most) {
    return part.size() >= least && part.size() <= most && std::all_of(part.begin(), part.end(), [](const char c) {
             return absl::ascii_isalnum(static_cast<unsigned char>(c)) || c == '-';
           });
  };
  if (!fits(instance.service, 1, kNameBytes)) return std::nullopt;
  if (slash != std::string::npos && !fits(instance.id, kIdBytes, kIdBytes)) return std::nullopt;
  return instance;
}

std::string FormatInstance(const Instance& instance) {
  return instance.id.empty() ? instance.service : absl::StrCat(instance.service, "/", instance.id);
}

absl::Status PeerChannel::Prepare(grpc::ClientContext& context, const Call& call, absl::Duration limit) const {
  const absl::Time until = std::min(call.deadline - kMargin, absl::Now() + kConnect);
  if (identity_ != nullptr) CROSSKEY_RETURN_IF_ERROR(identity_->MayCall(until));
  Fill(context, call, until, limit);
  return absl::OkStatus();
}

void PeerChannel::PrepareToMeet(grpc::ClientContext& context, const Call& call) const {
  Fill(context, call, std::min(call.deadline - kMargin, absl::Now() + kConnect), limits::kPeerCallTimeout);
}

void PeerChannel::Fill(grpc::ClientContext& context, const Call& call, absl::Time connected,
                       absl::Duration limit) const {
  channel_->WaitForConnected(absl::ToChronoTime(connected));
  const absl::Time latest = absl::Now() + limit;
  context.set_deadline(absl::ToChronoTime(std::min(call.deadline - kMargin, latest)));
  if (!call.traceparent.empty()) context.AddMetadata("traceparent", call.traceparent);
  Sign(context);
}

absl::Status PeerChannel::PrepareStream(grpc::ClientContext& context) const {
  if (identity_ != nullptr) CROSSKEY_RETURN_IF_ERROR(identity_->MayCall(absl::Now()));
  Sign(context);
  return absl::OkStatus();
}

void PeerChannel::Sign(grpc::ClientContext& context) const {
  if (identity_ == nullptr) return;
  const Parties parties = identity_->Outgoing();
  context.AddMetadata(kCallerKey, FormatInstance(parties.caller));
  context.AddMetadata(kCalleeKey, FormatInstance(parties.callee));
}

}  // namespace crosskey::rpc
