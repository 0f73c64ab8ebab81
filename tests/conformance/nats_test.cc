// Events by way of NATS JetStream: what the stream has, and what becomes of a reader when the stream is not as it
// should be.
#include <algorithm>
#include <array>
#include <atomic>
#include <functional>
#include <memory>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "absl/strings/match.h"
#include "common/events/grpc_transport.h"
#include "common/events/nats_transport.h"
#include "common/events/trim.h"
#include "common/status/errors.h"
#include "tests/conformance/feed_reader.h"

namespace crosskey::testing {
namespace {

using absl::StatusCode;
using ::testing::Each;
using ::testing::ElementsAre;
using ::testing::HasSubstr;

constexpr char kStream[] = "crosskey_post-service";

std::vector<int64_t> SequencesOf(const std::vector<Streamed>& all) {
  std::vector<int64_t> sequences;
  for (const Streamed& one : all) sequences.push_back(one.sequence);
  return sequences;
}

// 1, 2, 3 and so on.
std::vector<int64_t> UpTo(int64_t last, int64_t first = 1) {
  std::vector<int64_t> sequences;
  for (int64_t i = first; i <= last; ++i) sequences.push_back(i);
  return sequences;
}

class Nats : public ::testing::Test {
 protected:
  void SetUp() override {
    if (!NatsServers::AreInstalled()) GTEST_SKIP() << "there is no nats-server";
    servers_ = std::make_unique<NatsServers>();
    EXPECT_EQ(nats_Open(-1), NATS_OK);
  }

  void Publish(int events) { at_.Publish(std::vector<std::string>(static_cast<size_t>(events), "t.A")); }
  bool AwaitStream(size_t events) {
    return WaitFor([&] { return servers_->All(kStream).size() == events; });
  }
  std::unique_ptr<Publishing> StartPublishing() { return std::make_unique<Publishing>(at_, servers_->options()); }
  std::unique_ptr<Reading> StartReading(int64_t after = 0) {
    nats_ =
        std::make_unique<events::NatsTransport>(servers_->options(), "user-service", "post-service", peer_, metrics());
    return std::make_unique<Reading>(*nats_, events::FeedPosition{"post-service", FeedId(), Sequence{after}});
  }
  // Puts events into the stream. Nobody publishes any more after it.
  void Fill(int events) {
    Publish(events);
    const auto publishing = StartPublishing();
    EXPECT_TRUE(AwaitStream(static_cast<size_t>(events))) << publishing->last_end();
  }
  // So many events are in the stream, and are read there.
  std::pair<std::unique_ptr<Publishing>, std::unique_ptr<Reading>> Begin(int events) {
    Publish(events);
    auto publishing = StartPublishing();
    EXPECT_TRUE(AwaitStream(static_cast<size_t>(events))) << publishing->last_end();
    auto reading = StartReading();
    EXPECT_TRUE(AwaitReadsStream());
    return {std::move(publishing), std::move(reading)};
  }
  std::string FeedId() { return at_.log.feed.Info(TestCall())->feed_id; }
  telemetry::Metrics& metrics() { return at_.log.storage.metrics; }
  double Delivered(const std::string& from) {
    return MetricOf(metrics(), "crosskey_consumer_delivered_events_total", {{"from", from}});
  }
  bool AwaitReadsStream() {
    return WaitFor([&] { return MetricOf(metrics(), "crosskey_consumer_reads_stream") == 1; });
  }
  // All that is older than now is removed from the log, as it is when the peer has consumed it.
  void TrimAll(int64_t through) {
    events::Trim trim(at_.log.storage.database, at_.log.feed);
    EXPECT_THAT(trim.Round(TestCall(), {"post-service", FeedId(), Sequence{through}}, absl::InfiniteFuture()), IsOk());
  }

  Publisher at_{"sqlite"};
  std::unique_ptr<NatsServers> servers_;
  events::GrpcTransport peer_{rpc::PeerChannel(at_.channel)};
  std::unique_ptr<events::NatsTransport> nats_;
};

TEST_F(Nats, AMessageIsACloudEvent) {
  events::StreamedEvent in{{Sequence{7}, "id", "post-service", "t.A", "posts/1",
                            absl::FromUnixMicros(1'600'000'000'000'001), "00-trace", std::string("p\0q", 3)},
                           "feed",
                           "instance"};
  const auto message = events::ToNats("crosskey", in);
  ASSERT_THAT(message, IsOk());
  EXPECT_STREQ(natsMsg_GetSubject(message->get()), "crosskey.post-service.t.A");
  const auto header = [&](const char* key) -> std::string {
    const char* value = nullptr;
    return natsMsgHeader_Get(message->get(), key, &value) == NATS_OK ? value : "";
  };
  EXPECT_EQ(header("ce-specversion"), "1.0");
  EXPECT_EQ(header("ce-time"), "2020-09-13T12:26:40.000001Z");
  EXPECT_EQ(header("ce-sequence"), "0000000000000000007");
  EXPECT_EQ(header("ce-dataschema"), "https://type.googleapis.com/t.A");
  EXPECT_EQ(header("content-type"), "application/protobuf");
  const auto out = events::FromNats(**message);
  ASSERT_THAT(out, IsOk());
  EXPECT_EQ(out->feed_id, "feed");
  EXPECT_EQ(out->instance_id, "instance");
  EXPECT_EQ(out->event.id, "id");
  EXPECT_EQ(out->event.sequence, Sequence{7});
  EXPECT_EQ(out->event.subject, "posts/1");
  EXPECT_EQ(out->event.time, in.event.time);
  EXPECT_EQ(out->event.traceparent, "00-trace");
  EXPECT_EQ(out->event.payload, in.event.payload);
}

TEST_F(Nats, WhatIsNoEventSaysWhy) {
  const events::StreamedEvent in{{Sequence{7}, "id", "post-service", "t.A", "", absl::UnixEpoch(), "", ""}, "f", "i"};
  for (const auto& [key, value, why] :
       std::vector<std::array<const char*, 3>>{{"ce-id", "", "ce-id is missing"},
                                               {"ce-type", "", "ce-type is missing"},
                                               {"ce-feedid", "", "ce-feedid is missing"},
                                               {"ce-time", "today", "ce-time"},
                                               {"ce-sequence", "0", "ce-sequence"},
                                               {"ce-sequence", "x", "ce-sequence"}}) {
    const auto message = events::ToNats("crosskey", in);
    ASSERT_THAT(message, IsOk());
    natsMsgHeader_Set(message->get(), key, value);
    const absl::Status status = events::FromNats(**message).status();
    EXPECT_EQ(status.code(), StatusCode::kInvalidArgument);
    EXPECT_THAT(std::string(status.message()), HasSubstr(why));
  }
}

TEST_F(Nats, TheStreamHasEachEventOnceAndInOrder) {
  Publish(3);
  const auto publishing = StartPublishing();
  EXPECT_TRUE(AwaitStream(3)) << publishing->last_end();
  Publish(700);
  EXPECT_TRUE(AwaitStream(703)) << publishing->last_end();
  EXPECT_EQ(SequencesOf(servers_->All(kStream)), UpTo(703));
}

TEST_F(Nats, TwoPublishersStoreNothingTwice) {
  const auto one = StartPublishing();
  const auto two = StartPublishing();
  for (int i = 0; i < 40; ++i) Publish(10);
  EXPECT_TRUE(AwaitStream(400)) << one->last_end() << two->last_end();
  EXPECT_EQ(SequencesOf(servers_->All(kStream)), UpTo(400));
}

// The server remembers the ids of messages for a tenth of a second here: what is sent again after that is told apart by
// its place alone.
TEST_F(Nats, WhatIsSentAgainLongAfterwardsIsStoredOnce) {
  servers_->CreateStream("post-service", absl::Milliseconds(100));
  Fill(20);
  const auto slice = at_.log.feed.Read(TestCall(), Sequence{19});
  ASSERT_THAT(slice, IsOk());
  const std::vector<events::StreamedEvent> again = {{slice->events.at(0), FeedId(), "an id"}};
  // Without the place it would be stored twice, once the server has forgotten the id: that is why it is expected.
  EXPECT_TRUE(WaitFor([&] {
    const auto other = events::NatsLink::Open(servers_->options(), "test", "looks");
    return other.ok() &&
           absl::StrContains((*other)->Append("post-service", 19, again).message(), "wrong last sequence");
  }));
  EXPECT_EQ(SequencesOf(servers_->All(kStream)), UpTo(20));
}

TEST_F(Nats, AStreamThatWasDeletedIsFilledAgain) {
  const auto [publishing, reading] = Begin(5);
  servers_->DeleteStream(kStream);
  Publish(5);
  EXPECT_TRUE(reading->Await(10)) << reading->last_end();
  EXPECT_TRUE(AwaitStream(10)) << publishing->last_end();
  EXPECT_EQ(SequencesOf(servers_->All(kStream)), UpTo(10));
  EXPECT_EQ(reading->events().size(), 10U);
}

TEST_F(Nats, APurgedStreamIsFilledAgain) {
  Fill(5);
  servers_->DeleteStream(kStream);
  servers_->CreateStream("post-service", absl::Milliseconds(100));
  {
    const auto publishing = StartPublishing();
    EXPECT_TRUE(AwaitStream(5)) << publishing->last_end();
  }
  servers_->Purge(kStream);
  Publish(5);
  const auto publishing = StartPublishing();
  EXPECT_TRUE(AwaitStream(10)) << publishing->last_end();
  EXPECT_EQ(SequencesOf(servers_->All(kStream)), UpTo(10));
}

// Another process has begun meanwhile, with an event of another type.
TEST_F(Nats, TheFirstEventIsStoredInAnEmptyStreamAlone) {
  Fill(1);
  const auto link = events::NatsLink::Open(servers_->options(), "test", "writes");
  ASSERT_THAT(link, IsOk());
  const events::StreamedEvent late{
      {Sequence{1}, "id", "post-service", "t.B", "", absl::UnixEpoch(), "", ""}, "another history", "an id"};
  EXPECT_EQ((*link)->Append("post-service", 0, {late}).code(), StatusCode::kAborted);
  EXPECT_EQ(servers_->All(kStream).size(), 1U);
}

TEST_F(Nats, AStreamOfAnotherInstanceIsLeftAlone) {
  Publish(3);
  const auto link = events::NatsLink::Open(servers_->options(), "test", "looks");
  ASSERT_THAT(link, IsOk());
  EXPECT_THAT((*link)->EnsureStream("post-service", absl::Hours(1)), IsOk());
  const auto slice = at_.log.feed.Read(TestCall(), Sequence{});
  ASSERT_THAT(slice, IsOk());
  EXPECT_THAT((*link)->Append("post-service", 0, {{slice->events.at(0), FeedId(), "another id"}}), IsOk());
  const auto publishing = StartPublishing();
  EXPECT_TRUE(WaitFor([&] { return absl::StrContains(publishing->last_end().message(), "another instance"); }));
  EXPECT_EQ(SequencesOf(servers_->All(kStream)), UpTo(1));
}

// The database was put back to an older state, and numbers events anew that the stream has had.
TEST_F(Nats, AStreamThatHasAnotherEventIsLeftAlone) {
  Fill(3);
  at_.log.storage.own.Run("UPDATE outbox SET event_id = 'another' WHERE sequence = 3");
  Publish(2);
  const auto publishing = StartPublishing();
  EXPECT_TRUE(WaitFor([&] { return !publishing->last_end().ok(); }));
  EXPECT_EQ(errors::ReasonOf(publishing->last_end()), errors::Reason::kHistoryMismatch);
  EXPECT_EQ(SequencesOf(servers_->All(kStream)), UpTo(3));
}

// A restored database publishes nothing before it was compared.
TEST_F(Nats, AHistoryThatMayNotGoOnIsNotPublished) {
  Publish(3);
  at_.log.storage.own.Run("UPDATE histories SET state = 4 WHERE name = 'own'");
  EXPECT_THAT(at_.log.history.Refresh(TestCall()), IsOk());
  const auto publishing = StartPublishing();
  EXPECT_TRUE(WaitFor([&] { return errors::Is(publishing->last_end(), errors::Reason::kPeerUnavailable); }))
      << publishing->last_end();
  EXPECT_TRUE(servers_->All(kStream).empty());
}

TEST_F(Nats, AnotherHistoryFollowsFromTheOldestEvent) {
  Publish(3);
  const auto publishing = StartPublishing();
  EXPECT_TRUE(AwaitStream(3)) << publishing->last_end();
  at_.log.storage.own.Run("UPDATE feed SET feed_id = 'a new history' WHERE name = 'own'");
  Publish(1);
  EXPECT_TRUE(AwaitStream(7)) << publishing->last_end();
  const std::vector<Streamed> all = servers_->All(kStream);
  EXPECT_THAT(SequencesOf(all), ElementsAre(1, 2, 3, 1, 2, 3, 4));
  EXPECT_THAT((std::vector<std::string>{all.at(3).feed_id, all.at(6).feed_id}), Each("a new history"));
  const auto reading = StartReading(1);
  EXPECT_TRUE(AwaitReadsStream());
  EXPECT_TRUE(reading->Await(4)) << reading->last_end();
}

TEST_F(Nats, AReaderGetsItsEventsFromTheStream) {
  Publish(30);
  const auto publishing = StartPublishing();
  EXPECT_TRUE(AwaitStream(30)) << publishing->last_end();
  at_.server->Shutdown();  // so the peer cannot be asked
  const auto reading = StartReading(10);
  EXPECT_TRUE(reading->Await(30)) << reading->last_end();
  Publish(5);
  EXPECT_TRUE(reading->Await(35)) << reading->last_end();
  EXPECT_EQ(reading->events().size(), 25U);
  EXPECT_EQ(Delivered("peer"), 0);
}

TEST_F(Nats, AHoleIsReadFromThePeer) {
  Publish(10);
  const auto publishing = StartPublishing();
  EXPECT_TRUE(AwaitStream(10)) << publishing->last_end();
  servers_->DeleteMessage(kStream, 5);
  const auto reading = StartReading();
  EXPECT_TRUE(reading->Await(10)) << reading->last_end();
  EXPECT_EQ(reading->events().size(), 10U);
  EXPECT_GT(Delivered("peer"), 0);
  EXPECT_TRUE(AwaitReadsStream());
}

TEST_F(Nats, WhatTheLogHasNoMoreIsAGapInTheStream) {
  Fill(4);
  const auto reading = StartReading();
  Publish(4);
  EXPECT_TRUE(reading->Await(8)) << reading->last_end();  // from the peer
  TrimAll(7);
  const auto publishing = StartPublishing();
  EXPECT_TRUE(AwaitStream(5)) << publishing->last_end();
  EXPECT_THAT(SequencesOf(servers_->All(kStream)), ElementsAre(1, 2, 3, 4, 8));
  Publish(2);
  EXPECT_TRUE(reading->Await(10)) << reading->last_end();
}

TEST_F(Nats, OnlyTheEventAfterThePositionIsTaken) {
  Publish(6);
  const auto publishing = StartPublishing();
  EXPECT_TRUE(AwaitStream(6)) << publishing->last_end();
  nats_ =
      std::make_unique<events::NatsTransport>(servers_->options(), "user-service", "post-service", peer_, metrics());
  // What was consumed at 4 is not what the stream has there. The peer knows, and refuses.
  Reading reading(*nats_, {"post-service", FeedId(), Sequence{4}, "another"});
  EXPECT_TRUE(WaitFor([&] { return absl::IsFailedPrecondition(reading.last_end()); })) << reading.last_end();
  EXPECT_EQ(reading.position().last_sequence, Sequence{4});
}

TEST_F(Nats, MessagesOfOthersArePassedOver) {
  Publish(2);
  const auto publishing = StartPublishing();
  EXPECT_TRUE(AwaitStream(2)) << publishing->last_end();
  const auto reading = StartReading();
  EXPECT_TRUE(reading->Await(2)) << reading->last_end();
  servers_->PublishForeign("crosskey.post-service.x");
  Publish(1);
  EXPECT_TRUE(reading->Await(3)) << reading->last_end();
  EXPECT_TRUE(AwaitStream(4)) << publishing->last_end();
  EXPECT_THAT(SequencesOf(servers_->All(kStream)), ElementsAre(1, 2, 0, 3));
  EXPECT_THAT(reading->events(), ElementsAre("1t.A", "2t.A", "3t.A"));
}

// Stores a message of somebody else after each event that it sees at the end of the stream, and so in the middle of
// those that are on their way.
class Interloper {
 public:
  Interloper(const NatsServers& servers, int most) : thread_([this, &servers, most] { Run(servers, most); }) {}
  ~Interloper() { Stop(); }
  Interloper(const Interloper&) = delete;
  Interloper& operator=(const Interloper&) = delete;

  // How many messages it has stored.
  int Stop() {
    stopping_ = true;
    if (thread_.joinable()) thread_.join();
    return stored_;
  }

 private:
  void Run(const NatsServers& servers, int most) {
    uint64_t seen = 0;
    while (!stopping_ && stored_ < most) {
      const auto link = events::NatsLink::Open(servers.options(), "test", "looks");
      while (link.ok() && !stopping_ && stored_ < most) {
        const auto end = (*link)->EndOf("post-service");
        if (!end.ok()) break;
        if (end->stream_sequence == seen) continue;  // the last one is its own
        servers.PublishForeign("crosskey.post-service.x");
        seen = end->stream_sequence + 1;
        ++stored_;
      }
    }
  }

  std::atomic<bool> stopping_ = false;
  int stored_ = 0;
  std::thread thread_;
};

// The places in the feed of those that are events, once the last of them is `last`.
std::vector<int64_t> AwaitEvents(const NatsServers& servers, const Publishing& publishing, int64_t last) {
  std::vector<int64_t> sequences;
  EXPECT_TRUE(WaitFor([&] {
    sequences = SequencesOf(servers.All(kStream));
    sequences.erase(std::remove(sequences.begin(), sequences.end(), 0), sequences.end());
    return !sequences.empty() && sequences.back() == last;
  })) << publishing.last_end();
  return sequences;
}

// Ours are sent without waiting for one answer each, so one of them fails while the next ones are on their way.
TEST_F(Nats, AMessageOfOthersTakesThePlaceOfNoEvent) {
  constexpr int kEvents = 3000;
  const auto publishing = StartPublishing();
  Interloper interloper(*servers_, 20);
  for (int i = 0; i < kEvents / 500; ++i) Publish(500);
  const std::vector<int64_t> sequences = AwaitEvents(*servers_, *publishing, kEvents);
  EXPECT_GT(interloper.Stop(), 0);
  EXPECT_EQ(sequences, UpTo(kEvents));
}

// With several copies one may be missing then. But the stream goes on: servers from 2.14 on give it up where they are
// asked to check the event before.
TEST_F(Nats, AStreamWithCopiesGoesOnAfterMessagesOfOthers) {
  constexpr int kEvents = 500;
  servers_ = std::make_unique<NatsServers>(3);
  const auto publishing = StartPublishing();
  Interloper interloper(*servers_, 5);
  Publish(kEvents);
  const std::vector<int64_t> sequences = AwaitEvents(*servers_, *publishing, kEvents);
  EXPECT_GT(interloper.Stop(), 0);
  EXPECT_TRUE(std::is_sorted(sequences.begin(), sequences.end(), std::less_equal<>())) << "one of them twice";
}

// So many that the last event is not found behind them. Readers go on, and the stream is of use again once somebody has
// deleted it.
TEST_F(Nats, AFloodOfOthersEndsPublishingAlone) {
  const auto [publishing, reading] = Begin(2);
  servers_->PublishForeign("crosskey.post-service.x", 100);
  Publish(2);
  EXPECT_TRUE(reading->Await(4)) << reading->last_end();
  EXPECT_TRUE(WaitFor([&, &publishing = publishing] {
    return absl::StrContains(publishing->last_end().message(), "the last 100 messages of crosskey_post-service");
  })) << publishing->last_end();
  servers_->DeleteStream(kStream);
  EXPECT_TRUE(AwaitStream(4)) << publishing->last_end();
  EXPECT_TRUE(AwaitReadsStream());
  EXPECT_EQ(reading->events().size(), 4U);
}

// What a stream has dropped, a reader that is behind takes from the log.
TEST_F(Nats, AFullStreamDropsItsOldestEvents) {
  process::EventsOptions options = servers_->options();
  options.space = 1;
  constexpr int kEvents = 4000;  // of more than 300 bytes each
  at_.Publish(std::vector<std::string>(kEvents, "t.A"));
  const Publishing publishing(at_, options);
  EXPECT_TRUE(WaitFor([&] {
    const std::vector<Streamed> all = servers_->All(kStream);
    return !all.empty() && all.back().sequence == kEvents;
  })) << publishing.last_end();
  const std::vector<int64_t> kept = SequencesOf(servers_->All(kStream));
  EXPECT_GT(kept.front(), 1);
  EXPECT_EQ(kept, UpTo(kEvents, kept.front()));
  const auto reading = StartReading();
  EXPECT_TRUE(reading->Await(kEvents)) << reading->last_end();
}

TEST_F(Nats, WhileTheServerIsAwayEventsComeFromThePeer) {
  const auto [publishing, reading] = Begin(2);
  servers_->Kill(0);
  Publish(2);
  EXPECT_TRUE(reading->Await(4)) << reading->last_end();
  servers_->Start(0);
  servers_->AwaitReady();
  EXPECT_TRUE(AwaitStream(4)) << publishing->last_end();
  EXPECT_TRUE(AwaitReadsStream());
  Publish(2);
  EXPECT_TRUE(reading->Await(6)) << reading->last_end();
  EXPECT_EQ(SequencesOf(servers_->All(kStream)), UpTo(6));
}

// It answers nothing, and its connections stay open.
TEST_F(Nats, WhileTheServerHangsEventsComeFromThePeer) {
  const auto [publishing, reading] = Begin(2);
  servers_->Hang(0);
  Publish(2);
  EXPECT_TRUE(reading->Await(4)) << reading->last_end();
  servers_->GoOn(0);
  EXPECT_TRUE(AwaitStream(4)) << publishing->last_end();
  EXPECT_EQ(SequencesOf(servers_->All(kStream)), UpTo(4));
}

TEST_F(Nats, AStreamThatNobodyFillsIsNotWaitedFor) {
  Fill(2);
  const auto reading = StartReading();
  EXPECT_TRUE(AwaitReadsStream());
  const double before = Delivered("peer");
  Publish(2);
  EXPECT_TRUE(reading->Await(4)) << reading->last_end();
  EXPECT_EQ(Delivered("peer") - before, 2);
}

}  // namespace
}  // namespace crosskey::testing
