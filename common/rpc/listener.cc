#include "common/rpc/listener.h"

#include <algorithm>
#include <atomic>
#include <mutex>

#include <grpc/support/log.h>
#include <grpcpp/ext/proto_server_reflection_plugin.h>
#include <grpcpp/health_check_service_interface.h>
#include <grpcpp/impl/server_builder_option.h>
#include <grpcpp/resource_quota.h>
#include <grpcpp/security/server_credentials.h>
#include <grpcpp/server_builder.h>

#include "absl/synchronization/mutex.h"
#include "common/rpc/hang_up.h"
#include "common/rpc/reflection_gate.h"
#include "common/rpc/stream_limit.h"
#include "common/rpc/undecodable.h"
#include "common/status/limits.h"
#include "common/status/macros.h"
#include "common/telemetry/log.h"

namespace crosskey::rpc {
namespace {

// Threads for reflection: those of its streams, and some for calls that are about to be refused.
constexpr int kReflectionThreads = limits::kReflectionStreams + 16;

// True once a listener shuts down. From then on gRPC complains about sockets that were ended on purpose, so its entries
// become debug entries.
std::atomic<bool> hung_up = false;

// Who connects and goes again makes gRPC complain each time, so there are no more than so many entries in a second.
constexpr int kEntries = 10;

bool IsTooMuch() {
  static std::atomic<int64_t> second = 0;
  static std::atomic<int> entries = 0;
  const int64_t now = absl::ToUnixSeconds(absl::Now());
  if (second.exchange(now) != now) entries = 0;
  return ++entries > kEntries;
}

// Writes gRPC's log entries to our log, all of them at one level, because they are about connections of others.
void Log(gpr_log_func_args* entry) {
  if (IsTooMuch()) return;
  (hung_up ? log::Debug : log::Info)("gRPC", {{"text", std::string(entry->message)}});
}

void EnablePlugins() {
  static std::once_flag once;
  std::call_once(once, [] {
    gpr_set_log_function(Log);
    // Debian builds Abseil so that each lock looks for deadlocks, which costs 5 % of a call. We do not debug gRPC here.
    absl::SetMutexDeadlockDetectionMode(absl::OnDeadlockCycle::kIgnore);
    grpc::EnableDefaultHealthCheckService(true);
    grpc::reflection::InitProtoReflectionServerBuilderPlugin();
  });
}

// Takes reflection from one server: who links gRPC's library for it has it in all servers.
class WithoutReflection final : public grpc::ServerBuilderOption {
 public:
  void UpdateArguments(grpc::ChannelArguments*) override {}
  void UpdatePlugins(std::vector<std::unique_ptr<grpc::ServerBuilderPlugin>>* plugins) override {
    const auto is_reflection = [](const std::unique_ptr<grpc::ServerBuilderPlugin>& plugin) {
      return dynamic_cast<const grpc::reflection::ProtoServerReflectionPlugin*>(plugin.get()) != nullptr;
    };
    plugins->erase(std::remove_if(plugins->begin(), plugins->end(), is_reflection), plugins->end());
  }
};

}  // namespace

Listener::Listener(const Options& options, telemetry::Metrics& metrics)
    : tls_(options.tls),
      unread_(std::make_shared<Unread>(
          Unread::Bounds{}, metrics.Counter("crosskey_unread_answers_total",
                                            "Calls that were ended because their clients did not read the answer.",
                                            {{"listener", options.name}}))),
      reflection_(
          std::make_shared<StreamLimit>("/grpc.reflection.", limits::kReflectionStreams, limits::kReflectionStream)),
      watches_(
          std::make_shared<StreamLimit>("/grpc.health.v1.Health/Watch", limits::kHealthWatches, limits::kHealthWatch)),
      not_handled_(metrics.Gauge("crosskey_calls_not_handled",
                                 "Calls that gRPC itself has refused, or whose requests are not complete.",
                                 {{"listener", options.name}})),
      health_names_(options.health_names) {}

absl::StatusOr<std::unique_ptr<Listener>> Listener::Start(const Options& options,
                                                          const std::vector<grpc::Service*>& services,
                                                          telemetry::Metrics& metrics) {
  EnablePlugins();
  std::unique_ptr<Listener> listener(new Listener(options, metrics));
  auto& refused =
      metrics.Counter("crosskey_connections_refused_total",
                      "Connections that were ended at once because there were too many.", {{"listener", options.name}});
  CROSSKEY_ASSIGN_OR_RETURN(listener->acceptor_, Acceptor::Listen(options.address, options.most_descriptors, refused));
  grpc::ServerBuilder builder;
  auto accepted = builder.experimental().AddExternalConnectionAcceptor(
      grpc::ServerBuilder::experimental_type::ExternalConnectionType::FROM_FD,
      options.tls == nullptr ? grpc::InsecureServerCredentials() : options.tls->ForServer(options.client_certificates));
  if (!options.reflection) builder.SetOption(std::make_unique<WithoutReflection>());
  builder.SetMaxReceiveMessageSize(options.request_bytes);
  builder.SetCompressionAlgorithmSupportStatus(GRPC_COMPRESS_DEFLATE, false);
  builder.SetCompressionAlgorithmSupportStatus(GRPC_COMPRESS_GZIP, false);
  builder.AddChannelArgument(GRPC_ARG_KEEPALIVE_TIME_MS, 30'000);
  builder.AddChannelArgument(GRPC_ARG_KEEPALIVE_TIMEOUT_MS, 10'000);
  builder.AddChannelArgument(GRPC_ARG_KEEPALIVE_PERMIT_WITHOUT_CALLS, 1);
  builder.AddChannelArgument(GRPC_ARG_HTTP2_MIN_RECV_PING_INTERVAL_WITHOUT_DATA_MS, 5'000);
  if (options.rotate) {
    builder.AddChannelArgument(GRPC_ARG_MAX_CONNECTION_AGE_MS, 15 * 60 * 1000);
    builder.AddChannelArgument(GRPC_ARG_MAX_CONNECTION_AGE_GRACE_MS, 60 * 1000);
  }
  builder.AddChannelArgument(GRPC_ARG_MAX_CONCURRENT_STREAMS, options.max_streams);
  // Reflection alone is served by threads that wait. A thread that waits for calls takes this long to notice the
  // shutdown. Unless it is set, that is 10 s.
  builder.SetSyncServerOption(grpc::ServerBuilder::SyncServerOption::CQ_TIMEOUT_MSEC, 250);
  grpc::ResourceQuota quota;
  quota.SetMaxThreads(kReflectionThreads);
  builder.SetResourceQuota(quota);
  std::vector<std::unique_ptr<grpc::experimental::ServerInterceptorFactoryInterface>> interceptors;
  if (options.gate != nullptr) interceptors.push_back(ReflectionGate(*options.gate));
  interceptors.push_back(StreamLimit::FactoryFor(listener->reflection_));
  interceptors.push_back(StreamLimit::FactoryFor(listener->watches_));
  interceptors.push_back(Unread::FactoryFor(listener->unread_));
  interceptors.push_back(listener->library_calls_.CountThoseThatComeThrough());
  interceptors.push_back(std::make_unique<Undecodable>());
  builder.experimental().SetInterceptorCreators(std::move(interceptors));
  for (grpc::Service* service : services) builder.RegisterService(service);

  listener->server_ = builder.BuildAndStart();
  if (listener->server_ == nullptr) return absl::UnavailableError("cannot serve on " + options.address);
  listener->health_names_.insert(listener->health_names_.end(), {"", "readiness"});
  listener->library_calls_.TakeNewestServer();
  listener->SetServing(false);
  listener->server_->GetHealthCheckService()->SetServingStatus("liveness", true);
  listener->acceptor_->Start(std::move(accepted));
  return listener;
}

void Listener::SetServing(bool serving) {
  for (const std::string& name : health_names_) {
    server_->GetHealthCheckService()->SetServingStatus(name, serving);
  }
}

void Listener::SetHealth(const std::string& name, bool serving) {
  server_->GetHealthCheckService()->SetServingStatus(name, serving);
}

void Listener::Sweep(absl::Time now) {
  unread_->Sweep(now);
  reflection_->Sweep(now);
  watches_->Sweep(now);
  not_handled_.Set(static_cast<double>(library_calls_.NotHandled()));
}

void Listener::Shutdown(absl::Time deadline) {
  hung_up = true;
  acceptor_->Stop();
  HangUp(port());
  server_->Shutdown(absl::ToChronoTime(deadline));
}

}  // namespace crosskey::rpc
