// Each service asks the other one only for the types of events that have an effect on it.
#include <gtest/gtest.h>

#include "common/events/event_rpc.h"
#include "tests/support/metric_of.h"
#include "tests/support/pair.h"
#include "tests/support/status_matchers.h"
#include "tests/support/wait.h"

namespace crosskey::testing {
namespace {

class EventTypesTest : public DatabaseTest {};
CROSSKEY_ON_EVERY_DATABASE(EventTypesTest);

int64_t Position(const TestDatabase& database) { return database.Number("SELECT last_sequence FROM checkpoints"); }
int64_t Head(const TestDatabase& database) { return database.Number("SELECT head FROM feed"); }

TEST_P(EventTypesTest, PostsAreWrittenAtTheCostOfFewTransactionsOfUserService) {
  constexpr int kPosts = 100;
  Pair pair(GetParam());
  const int64_t ada = pair.CreateUser("ada");
  pair.AwaitQuiet();
  pair.user_sql().Reset();
  const absl::Time begin = absl::Now();
  for (int i = 0; i < kPosts; ++i) pair.CreatePost(ada);
  pair.AwaitQuiet();
  const int64_t most = (absl::Now() - begin) / events::EventRpc::kSkipInterval + 1;
  EXPECT_EQ(Position(pair.user_db()), Head(pair.post_db()));
  EXPECT_EQ(Head(pair.post_db()), kPosts);
  EXPECT_EQ(MetricOf(pair.user_app().service().metrics(), "crosskey_consumer_events_total", {{"type", "other"}}),
            kPosts);
  EXPECT_LE(pair.user_sql().counted()["consumer.advance"].statements, most);
}

// An event that has an effect does not wait for those before it that have none.
TEST_P(EventTypesTest, ADeletionTakesEffectBehindManyPosts) {
  Pair pair(GetParam());
  const int64_t ada = pair.CreateUser("ada");
  const int64_t grace = pair.CreateUser("grace");
  pair.CreatePosts(grace, 1000);
  pair.Delete(ada);
  pair.CreatePosts(grace, 1000);
  pair.AwaitState(ada, user::v1::DELETION_STATE_COMPLETED);
  pair.AwaitQuiet();
  EXPECT_EQ(Position(pair.user_db()), Head(pair.post_db()));
}

// A service of an older version names no types. It still gets everything.
TEST_P(EventTypesTest, ASubscriberThatNamesNoneGetsAll) {
  Pair pair(GetParam());
  const int64_t ada = pair.CreateUser("ada");
  pair.CreatePosts(ada, 3);
  pair.Delete(ada);
  pair.AwaitState(ada, user::v1::DELETION_STATE_COMPLETED);
  pair.AwaitQuiet();
  const int64_t head = Head(pair.post_db());
  const auto context = Context();
  const auto reader = pair.post_events().Subscribe(context.get(), event::v1::SubscribeRequest());
  event::v1::SubscribeResponse message;
  int64_t events = 0;
  while (message.through_sequence() < head) {
    ASSERT_TRUE(reader->Read(&message));
    EXPECT_EQ(message.left_out(), 0);
    events += message.events_size();
  }
  EXPECT_EQ(events, head);
  context->TryCancel();
  reader->Finish();
}

// A row that is missing in the log is an event that may have had an effect, so nothing moves on past it.
TEST_P(EventTypesTest, ARowThatIsMissingStopsTheConsumerVisibly) {
  Pair pair(GetParam());
  const int64_t ada = pair.CreateUser("ada");
  pair.AwaitQuiet();
  pair.StopUsers();
  pair.CreatePosts(ada, 3);
  EXPECT_TRUE(WaitFor([&] { return Head(pair.post_db()) == 3; }));
  pair.post_db().Run("DELETE FROM outbox WHERE sequence = 2");
  pair.StartUsers();
  EXPECT_TRUE(WaitFor([&] {
    return MetricOf(pair.user_app().service().metrics(), "crosskey_consumer_stalled", {{"feed", "post-service"}}) == 1;
  }));
  EXPECT_EQ(Position(pair.user_db()), 0);
}

}  // namespace
}  // namespace crosskey::testing
