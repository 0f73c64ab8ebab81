// An event log that is served over gRPC.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include <grpcpp/security/server_credentials.h>
#include <grpcpp/server_builder.h>

#include "common/events/event_rpc.h"
#include "common/rpc/gates.h"
#include "tests/conformance/event_log.h"
#include "tests/support/free_port.h"
#include "tests/support/pair.h"

namespace crosskey::testing {

// Knows who it is, and takes calls from anybody.
class Anybody final : public Identity {
 public:
  Parties Outgoing() const override { return {{"test", "an id"}, {}}; }
  absl::Status MayCall(absl::Time) override { return absl::OkStatus(); }
  absl::Status MayTake(const Parties*) override { return absl::OkStatus(); }
};

// An event log and its service, which a server of its own offers.
struct Publisher {
  explicit Publisher(const std::string& backend, std::unique_ptr<rpc::Gate> of_listener = nullptr)
      : log(backend),
        workers(rpc::CallLines::Threads(4), log.storage.metrics),
        lines(workers),
        gate(std::move(of_listener)),
        admission(std::make_shared<rpc::Admission>(rpc::Admission::Options{16, nullptr, nullptr, gate.get()})),
        rpc(log.feed, log.history, identity, admission, lines, log.storage.metrics) {
    EXPECT_THAT(log.feed.EnsureNamed(TestCall()), IsOk());
    admission->Open();
    const int port = FreePort();
    grpc::ServerBuilder builder;
    builder.AddListeningPort(Loopback(port), grpc::InsecureServerCredentials());
    builder.RegisterService(&rpc);
    server = builder.BuildAndStart();
    channel = OpenChannel(port);
    stub = event::v1::EventService::NewStub(channel);
  }
  ~Publisher() {
    server->Shutdown(std::chrono::system_clock::now());
    server->Wait();
    workers.Stop();
  }

  void Publish(const std::vector<std::string>& types) {
    log.AppendTypes(types);
    while (log.Round() > 0) continue;
    log.feed.news().Notify();
  }

  Log log;
  Anybody identity;
  batch::Workers workers;
  rpc::CallLines lines;
  const std::unique_ptr<rpc::Gate> gate;
  std::shared_ptr<rpc::Admission> admission;
  events::EventRpc rpc;
  std::unique_ptr<grpc::Server> server;
  std::shared_ptr<grpc::Channel> channel;
  std::unique_ptr<event::v1::EventService::Stub> stub;
};

}  // namespace crosskey::testing
