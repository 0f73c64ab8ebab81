// The stream of a feed over gRPC: a subscriber gets the types that it asks for, and is moved past the others.
#include <algorithm>
#include <atomic>
#include <memory>
#include <thread>

#include "common/events/trim.h"
#include "common/rpc/gates.h"
#include "google/rpc/error_details.pb.h"
#include "tests/conformance/served_log.h"
#include "tests/support/faults.h"
#include "tests/support/free_port.h"
#include "tests/support/pair.h"
#include "tests/support/wait.h"

namespace crosskey::testing {
namespace {

using event::v1::SubscribeRequest;
using event::v1::SubscribeResponse;
using events::EventRpc;
using ::testing::ElementsAre;
using ::testing::IsEmpty;

// Checks of each message that it goes on where the last one ended, and has or leaves out every event.
class Subscriber {
 public:
  Subscriber(Publisher& publisher, const std::vector<std::string>& types) {
    SubscribeRequest request;
    for (const std::string& type : types) request.add_types(type);
    reader_ = publisher.stub->Subscribe(context_.get(), request);
  }
  ~Subscriber() { Leave(); }

  // Reads the next message that is no bookmark. False: the stream has ended.
  bool Next() {
    do {
      ended_ = !reader_->Read(&message_);
      if (ended_) return false;
      EXPECT_EQ(message_.after_sequence(), through_);
      through_ = message_.through_sequence();
    } while (through_ == message_.after_sequence());
    for (const auto& event : message_.events()) events_.push_back(absl::StrCat(event.sequence(), event.type()));
    left_out_ += message_.left_out();
    EXPECT_EQ(message_.events_size() + message_.left_out(), through_ - message_.after_sequence());
    return true;
  }
  // Reads until everything up to a sequence has come.
  void Await(int64_t sequence) {
    while (through_ < sequence) ASSERT_TRUE(Next()) << Leave().error_message();
  }
  grpc::Status Leave() {
    if (reader_ == nullptr) return grpc::Status::OK;
    if (!ended_) context_->TryCancel();
    const grpc::Status status = reader_->Finish();
    reader_ = nullptr;
    return status;
  }

  const SubscribeResponse& message() const { return message_; }
  const std::vector<std::string>& events() const { return events_; }
  int64_t left_out() const { return left_out_; }
  int64_t through() const { return through_; }

 private:
  std::unique_ptr<grpc::ClientContext> context_ = Context();
  std::unique_ptr<grpc::ClientReader<SubscribeResponse>> reader_;
  bool ended_ = false;  // by the publisher
  SubscribeResponse message_;
  std::vector<std::string> events_;  // each as "SEQUENCETYPE"
  int64_t left_out_ = 0;
  int64_t through_ = 0;
};

class FeedStream : public DatabaseTest {};
CROSSKEY_ON_EVERY_DATABASE(FeedStream);

TEST_P(FeedStream, HasOnlyTheTypesThatTheSubscriberNames) {
  Publisher publisher(GetParam());
  publisher.Publish({"t.A", "t.B", "t.C", "t.A", "t.B"});
  Subscriber subscriber(publisher, {"t.A", "t.C", "t.A"});
  subscriber.Await(5);
  EXPECT_THAT(subscriber.events(), ElementsAre("1t.A", "3t.C", "4t.A"));
  EXPECT_EQ(subscriber.left_out(), 2);
  // Later ones: each by a read of its own.
  for (const char* type : {"t.B", "t.A", "t.B", "t.B", "t.C", "t.B"}) publisher.Publish({type});
  subscriber.Await(11);
  EXPECT_THAT(subscriber.events(), ElementsAre("1t.A", "3t.C", "4t.A", "7t.A", "10t.C"));
  EXPECT_EQ(subscriber.left_out(), 6);
}

TEST_P(FeedStream, HasAllTypesForASubscriberThatNamesNone) {
  Publisher publisher(GetParam());
  publisher.Publish({"t.A", "t.B"});
  Subscriber subscriber(publisher, {});
  subscriber.Await(2);
  publisher.Publish({"t.C"});
  subscriber.Await(3);
  EXPECT_THAT(subscriber.events(), ElementsAre("1t.A", "2t.B", "3t.C"));
  EXPECT_EQ(subscriber.left_out(), 0);
}

TEST_P(FeedStream, BeginsWithABookmarkIfThereIsNothing) {
  Publisher publisher(GetParam());
  const auto context = Context();
  SubscribeRequest request;
  request.add_types("t.A");
  const auto reader = publisher.stub->Subscribe(context.get(), request);
  SubscribeResponse bookmark;
  ASSERT_TRUE(reader->Read(&bookmark));
  EXPECT_EQ(bookmark.events_size() + bookmark.through_sequence() + bookmark.left_out(), 0);
  context->TryCancel();
  reader->Finish();
}

// Each message that only passes events costs the subscriber a transaction.
TEST_P(FeedStream, PassesUnwantedEventsAFewTimesASecond) {
  constexpr int kMessages = 4;
  Publisher publisher(GetParam());
  Subscriber subscriber(publisher, {"t.Wanted"});
  const absl::Time begin = absl::Now();
  std::atomic<bool> done = false;
  std::thread load([&] {
    while (!done) publisher.Publish({"t.Other"});
  });
  for (int i = 0; i < kMessages; ++i) EXPECT_TRUE(subscriber.Next());
  EXPECT_GE(absl::Now() - begin, (kMessages - 1) * EventRpc::kSkipInterval);
  done = true;
  load.join();
  EXPECT_THAT(subscriber.events(), IsEmpty());
  EXPECT_EQ(subscriber.left_out(), subscriber.through());
  // The last ones are passed too, although nothing wakes the feeder any more.
  const int64_t head = publisher.log.storage.own.Number("SELECT head FROM feed");
  subscriber.Await(head);
  EXPECT_EQ(subscriber.left_out(), head);
}

TEST_P(FeedStream, HoldsBackABoundedNumberOfEvents) {
  constexpr int64_t kEvents = 3 * EventRpc::kMostHeldBack;
  Publisher publisher(GetParam());
  for (int64_t first = 1; first <= kEvents; first += 1000) {
    std::string rows;
    for (int64_t i = first; i < first + 1000; ++i) {
      absl::StrAppend(&rows, i == first ? "" : ",", "(", i, ",'e','t.Other','s',1,'','p')");
    }
    publisher.log.storage.own.Run(
        "INSERT INTO outbox (sequence, event_id, type, subject, time, traceparent, payload) VALUES " + rows);
  }
  publisher.log.storage.own.Run(absl::StrCat("UPDATE feed SET head = ", kEvents));
  Subscriber subscriber(publisher, {"t.Wanted"});
  int64_t most = 0;
  while (subscriber.through() < kEvents) {
    ASSERT_TRUE(subscriber.Next());
    most = std::max(most, subscriber.message().left_out());
  }
  EXPECT_LE(most, EventRpc::kMostHeldBack);
  EXPECT_GT(most, 2 * limits::kEventBatch);  // it goes on reading at once while there is more
}

// What has been read need not be read again, so it may go. What has not been read must not be missed.
TEST_P(FeedStream, MayLoseWhatItOnlyHoldsBack) {
  Publisher publisher(GetParam());
  std::atomic<int> reads = 0;
  publisher.log.storage.database.set_seam(Seam([&](const db::Sql& sql, const db::Rendered&, int64_t) {
    if (sql.name == "feed.read") ++reads;
  }));
  events::Trim trim(publisher.log.storage.database, publisher.log.feed);
  const std::string feed_id = publisher.log.feed.Info(TestCall()).value().feed_id;
  const auto remove = [&](int64_t through) {
    return trim.Round(TestCall(), {"user-service", feed_id, Sequence{through}}, absl::InfiniteFuture()).value();
  };
  publisher.Publish({"t.Other"});
  Subscriber subscriber(publisher, {"t.Wanted"});
  subscriber.Await(1);
  // The next one is held back, unless this takes too long.
  publisher.Publish({"t.Other"});
  const int before = reads;
  EXPECT_TRUE(WaitFor([&] { return reads >= before + 2; }));
  EXPECT_EQ(remove(2), 2);
  publisher.Publish({"t.Wanted"});
  subscriber.Await(3);
  EXPECT_THAT(subscriber.events(), ElementsAre("3t.Wanted"));
}

// The row is neither sent nor counted, so that the subscriber notices.
TEST_P(FeedStream, ARowThatIsMissingIsNotLeftOut) {
  Publisher publisher(GetParam());
  publisher.Publish({"t.Other", "t.Other", "t.Wanted", "t.Other"});
  publisher.log.storage.own.Run("DELETE FROM outbox WHERE sequence = 2");
  for (const auto& [type, sent] : {std::pair("t.Wanted", 1), std::pair("t.None", 0)}) {
    SubscribeRequest request;
    request.add_types(type);
    const auto context = Context();
    const auto reader = publisher.stub->Subscribe(context.get(), request);
    SubscribeResponse message;
    ASSERT_TRUE(reader->Read(&message));
    EXPECT_EQ(message.through_sequence(), 4);
    EXPECT_EQ(message.events_size(), sent);
    EXPECT_EQ(message.left_out(), 3 - sent);
    context->TryCancel();
    reader->Finish();
  }
}

TEST_P(FeedStream, RefusesBadTypesByName) {
  Publisher publisher(GetParam());
  const auto refused = [&](const std::vector<std::string>& types) {
    Subscriber subscriber(publisher, types);
    EXPECT_FALSE(subscriber.Next());
    const grpc::Status status = subscriber.Leave();
    EXPECT_THAT(status, GrpcError(grpc::StatusCode::INVALID_ARGUMENT, "INVALID_FIELD"));
    std::vector<std::string> fields;
    const auto details = DetailOf<google::rpc::BadRequest>(status);
    if (!details.has_value()) return fields;
    for (const auto& violation : details->field_violations()) fields.push_back(violation.field());
    return fields;
  };
  EXPECT_THAT(refused(std::vector<std::string>(limits::kEventTypes + 1, "t.A")), ElementsAre("types"));
  EXPECT_THAT(
      refused({"t.A", "", "t.A b", std::string(limits::kEventTypeBytes + 1, 'a'), "t.\xC3\xA4", "t.A' OR ''='"}),
      ElementsAre("types[1]", "types[2]", "types[3]", "types[4]", "types[5]"));

  publisher.Publish({"t.A"});
  std::vector<std::string> many(limits::kEventTypes - 1, std::string(limits::kEventTypeBytes, 'a'));
  many.push_back("t.A");
  Subscriber subscriber(publisher, many);
  subscriber.Await(1);
  EXPECT_THAT(subscriber.events(), ElementsAre("1t.A"));
}

// Both methods are open to a caller that does not say who it is, but not to one whose certificate is not a peer's.
TEST_P(FeedStream, WithoutThePeersCertificateNothingIsTold) {
  Publisher publisher(GetParam(), std::make_unique<rpc::PeerGate>(std::vector<std::string>{"spiffe://crosskey/post"}));
  Subscriber subscriber(publisher, {"t.A"});
  EXPECT_FALSE(subscriber.Next());
  EXPECT_THAT(subscriber.Leave(), GrpcError(grpc::StatusCode::PERMISSION_DENIED, "PERMISSION_DENIED"));
  event::v1::GetFeedInfoResponse info;
  EXPECT_THAT(Invoke(*publisher.stub, &event::v1::EventService::Stub::GetFeedInfo, {}, &info),
              GrpcError(grpc::StatusCode::PERMISSION_DENIED, "PERMISSION_DENIED"));
}

}  // namespace
}  // namespace crosskey::testing
