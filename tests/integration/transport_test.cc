// Tests the gRPC transport against peers that behave badly.
#include <atomic>
#include <memory>
#include <vector>

#include <grpcpp/security/server_credentials.h>
#include <grpcpp/server_builder.h>
#include <gtest/gtest.h>

#include "common/events/grpc_transport.h"
#include "event/v1/event_service.grpc.pb.h"
#include "tests/support/free_port.h"
#include "tests/support/pair.h"
#include "tests/support/status_matchers.h"
#include "tests/support/wait.h"

namespace crosskey::testing {
namespace {

using event::v1::SubscribeRequest;
using event::v1::SubscribeResponse;

// Answers as it is told. Without an `end` the stream stays open until the subscriber goes away.
class FakeFeed final : public event::v1::EventService::Service {
 public:
  grpc::Status Subscribe(grpc::ServerContext* context, const SubscribeRequest* request,
                         grpc::ServerWriter<SubscribeResponse>* writer) override {
    asked = *request;
    for (const SubscribeResponse& response : responses) writer->Write(response);
    if (!end.ok()) return end;
    WaitFor([&] { return context->IsCancelled(); });
    left = true;
    return grpc::Status::CANCELLED;
  }

  SubscribeRequest asked;
  std::vector<SubscribeResponse> responses;
  grpc::Status end;  // the error that ends the stream; OK: none
  std::atomic<bool> left = false;
};

class TransportTest : public ::testing::Test {
 protected:
  absl::Status Stream(absl::Duration silence) {
    const int port = FreePort();
    grpc::ServerBuilder builder;
    builder.AddListeningPort(Loopback(port), grpc::InsecureServerCredentials());
    builder.RegisterService(&feed);
    const std::unique_ptr<grpc::Server> server = builder.BuildAndStart();
    const auto channel = OpenChannel(port);
    EXPECT_TRUE(channel->WaitForConnected(std::chrono::system_clock::now() + std::chrono::seconds(60)));
    events::GrpcTransport transport(rpc::PeerChannel(channel), silence);
    return transport.Stream({}, {"t.A", "t.B"}, [&](const events::Batch& batch) {
      ++delivered;
      last = batch;
      return refuse;
    });
  }

  FakeFeed feed;
  int delivered = 0;
  events::Batch last;
  absl::Status refuse;
};

TEST_F(TransportTest, NamesTheTypesAndHandsOnHowManyEventsAreLeftOut) {
  feed.responses.resize(2);
  feed.responses[1].set_through_sequence(3);
  feed.responses[1].set_left_out(3);
  feed.end = grpc::Status(grpc::StatusCode::UNAVAILABLE, "draining");
  EXPECT_EQ(Stream(absl::Minutes(10)).code(), absl::StatusCode::kUnavailable);
  EXPECT_EQ(std::vector<std::string>(feed.asked.types().begin(), feed.asked.types().end()),
            (std::vector<std::string>{"t.A", "t.B"}));
  EXPECT_EQ(delivered, 2);
  EXPECT_EQ(last.through, Sequence{3});
  EXPECT_EQ(last.left_out, 3);
  EXPECT_FALSE(last.is_bookmark());
}

TEST_F(TransportTest, APeerThatFallsSilentIsGivenUp) {
  feed.responses.resize(1);
  EXPECT_EQ(Stream(absl::Milliseconds(200)).code(), absl::StatusCode::kUnavailable);
  EXPECT_EQ(delivered, 1);
  EXPECT_TRUE(feed.left);
}

TEST_F(TransportTest, WhatTheConsumerRefusesEndsTheStream) {
  feed.responses.resize(3);
  refuse = absl::FailedPreconditionError("a gap");
  EXPECT_EQ(Stream(absl::Minutes(10)), refuse);
  EXPECT_EQ(delivered, 1);
  EXPECT_TRUE(feed.left);
}

TEST_F(TransportTest, AMessageThatCannotBeDecodedIsNoAbsence) {
  feed.responses.resize(2);
  feed.responses[1].set_feed_id("\xff\xfe");
  EXPECT_EQ(Stream(absl::Minutes(10)).code(), absl::StatusCode::kInternal);
  EXPECT_EQ(delivered, 1);
  EXPECT_TRUE(feed.left);
}

TEST_F(TransportTest, TheReasonOfThePeerIsKept) {
  feed.end = grpc::Status(grpc::StatusCode::FAILED_PRECONDITION, "another history");
  EXPECT_EQ(Stream(absl::Minutes(10)), absl::FailedPreconditionError("another history"));
  feed.end = grpc::Status(grpc::StatusCode::UNAVAILABLE, "draining");
  EXPECT_EQ(Stream(absl::Minutes(10)).code(), absl::StatusCode::kUnavailable);
}

}  // namespace
}  // namespace crosskey::testing
