// What every transport of events promises: tried on the peer's own stream and on NATS JetStream.
#include <memory>
#include <string>
#include <vector>

#include "common/events/grpc_transport.h"
#include "common/events/nats_transport.h"
#include "common/events/trim.h"
#include "common/status/errors.h"
#include "tests/conformance/feed_reader.h"

namespace crosskey::testing {
namespace {

using ::testing::ElementsAre;

class TransportContract : public ::testing::TestWithParam<std::string> {
 protected:
  void SetUp() override {
    if (GetParam() != "nats") return;
    if (!NatsServers::AreInstalled()) GTEST_SKIP() << "there is no nats-server";
    servers_ = std::make_unique<NatsServers>();
    publishing_ = std::make_unique<Publishing>(at_, servers_->options());
  }

  // A new one, because one that was cancelled stays so.
  events::Transport& Transport() {
    peer_ = std::make_unique<events::GrpcTransport>(rpc::PeerChannel(at_.channel));
    if (GetParam() != "nats") return *peer_;
    nats_ = std::make_unique<events::NatsTransport>(servers_->options(), "user-service", "post-service", *peer_,
                                                    at_.log.storage.metrics);
    return *nats_;
  }
  void Publish(const std::vector<std::string>& types) { at_.Publish(types); }
  events::FeedPosition Start() { return {"post-service", FeedId(), Sequence{}}; }
  std::string FeedId() { return at_.log.feed.Info(TestCall())->feed_id; }
  // What the transport says at once about a position.
  absl::Status EndFrom(const events::FeedPosition& from) {
    return Transport().Stream(from, {}, [](const events::Batch&) { return absl::OkStatus(); });
  }

  Publisher at_{"sqlite"};
  std::unique_ptr<NatsServers> servers_;
  std::unique_ptr<Publishing> publishing_;
  std::unique_ptr<events::GrpcTransport> peer_;
  std::unique_ptr<events::NatsTransport> nats_;
};
INSTANTIATE_TEST_SUITE_P(Transports, TransportContract, ::testing::Values("grpc", "nats"),
                         [](const auto& kind) { return kind.param; });

TEST_P(TransportContract, EventsComeInOrderAndThoseOfOtherTypesAreCounted) {
  Publish({"t.A", "t.B", "t.B", "t.A"});
  if (servers_ != nullptr) {
    EXPECT_TRUE(WaitFor([&] { return servers_->All("crosskey_post-service").size() == 4; }));
  }
  Reading reading(Transport(), Start(), {"t.A"});
  EXPECT_TRUE(reading.Await(4));
  Publish({"t.A", "t.B"});
  EXPECT_TRUE(reading.Await(6)) << reading.last_end();
  EXPECT_THAT(reading.events(), ElementsAre("1t.A", "4t.A", "5t.A"));
  EXPECT_EQ(reading.left_out(), 3);
  if (servers_ != nullptr) {
    EXPECT_GT(MetricOf(at_.log.storage.metrics, "crosskey_consumer_delivered_events_total", {{"from", "stream"}}), 0);
  }
}

TEST_P(TransportContract, AFirstPositionIsInAnyHistory) {
  Publish({"t.A", "t.B"});
  Reading reading(Transport(), {"post-service", "", Sequence{}});
  EXPECT_TRUE(reading.Await(2)) << reading.last_end();
  EXPECT_EQ(reading.position().feed_id, FeedId());
}

TEST_P(TransportContract, MoreEventsThanABatchTakesComeInSeveral) {
  Publish(std::vector<std::string>(2 * limits::kEventBatch + 17, "t.A"));
  Reading reading(Transport(), Start());
  EXPECT_TRUE(reading.Await(2 * limits::kEventBatch + 17)) << reading.last_end();
  EXPECT_EQ(reading.events().size(), 2 * limits::kEventBatch + 17);
}

TEST_P(TransportContract, WhatTheConsumerRefusesEndsTheStreamAndComesAgain) {
  Publish({"t.A", "t.B", "t.C"});
  events::Transport& transport = Transport();
  const absl::Status refused = absl::FailedPreconditionError("not now");
  EXPECT_EQ(
      transport.Stream(Start(), {},
                       [&](const events::Batch& batch) { return batch.is_bookmark() ? absl::OkStatus() : refused; }),
      refused);
  Reading reading(transport, Start());
  EXPECT_TRUE(reading.Await(3)) << reading.last_end();
  EXPECT_THAT(reading.events(), ElementsAre("1t.A", "2t.B", "3t.C"));
}

TEST_P(TransportContract, IsCancelledWhileItWaitsAndForLater) {
  Publish({"t.A"});
  events::Transport& transport = Transport();
  Reading reading(transport, Start());
  EXPECT_TRUE(reading.Await(1)) << reading.last_end();
  reading.Stop();
  EXPECT_FALSE(transport.Stream(Start(), {}, [](const events::Batch&) { return absl::OkStatus(); }).ok());
}

TEST_P(TransportContract, SaysWhyAFeedDoesNotGoOn) {
  Publish({"t.A", "t.B", "t.C"});
  Reading reading(Transport(), Start());
  EXPECT_TRUE(reading.Await(3)) << reading.last_end();
  reading.Stop();
  const events::FeedPosition position = reading.position();

  events::FeedPosition other = position;
  other.feed_id = "another";
  EXPECT_EQ(errors::ReasonOf(EndFrom(other)), errors::Reason::kFeedMismatch);
  other = position;
  other.event_id = "another";
  EXPECT_EQ(errors::ReasonOf(EndFrom(other)), errors::Reason::kHistoryMismatch);
  other = position;
  other.last_sequence = Sequence{9};
  EXPECT_EQ(errors::ReasonOf(EndFrom(other)), errors::Reason::kHistoryMismatch);
}

}  // namespace
}  // namespace crosskey::testing
