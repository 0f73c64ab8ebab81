// Both services with --events on three servers of NATS, which are killed and lose their streams while clients go on.
// Nothing of that may be seen by a client, and every event arrives once.
#include <gtest/gtest.h>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "tests/support/http_get.h"
#include "tests/support/nats_servers.h"
#include "tests/support/wait.h"
#include "tests/workload/round.h"
#include "tests/workload/settings.h"

namespace crosskey::testing {
namespace {

class NatsLoad : public DatabaseTest {
 protected:
  NatsLoad() {
    // The servers remember the ids of messages for a tenth of a second: all that is sent again comes later than that.
    for (const char* service : {"user-service", "post-service"}) {
      servers_.CreateStream(service, absl::Milliseconds(100), 3);
    }
    cluster_.StartAll();
  }

  TestDatabase& Database(Side side) { return side == Side::kUsers ? cluster_.user_db() : cluster_.post_db(); }
  int64_t Head(Side side) { return Database(side).Number("SELECT head FROM feed WHERE name = 'own'"); }
  int64_t Consumed(Side of) {
    const Side by = of == Side::kUsers ? Side::kPosts : Side::kUsers;
    return Database(by).Number("SELECT last_sequence FROM checkpoints");
  }
  // Until both services have consumed twenty events more than there are now.
  void AwaitEvents() {
    for (const Side side : {Side::kUsers, Side::kPosts}) {
      const int64_t head = Head(side);
      EXPECT_TRUE(WaitFor([&] { return Consumed(side) > head + 20; })) << head << ", consumed " << Consumed(side);
    }
  }
  // The replica that consumes reads the stream of the other service.
  void AwaitReadsStreams() {
    for (const Side side : {Side::kUsers, Side::kPosts}) {
      EXPECT_TRUE(WaitFor([&] {
        for (int i = 0; i < cluster_.replicas(); ++i) {
          const std::string page = HttpGet(cluster_.metrics_port(side, i), "/metrics");
          const size_t at = page.find("crosskey_consumer_reads_stream{");
          if (at != std::string::npos && absl::StrContains(page.substr(at, page.find('\n', at) - at), "} 1"))
            return true;
        }
        return false;
      }));
    }
  }
  void Break() {
    AwaitReadsStreams();
    AwaitEvents();
    const int leader = servers_.LeaderOf("crosskey_user-service");
    ASSERT_GE(leader, 0);
    servers_.Kill(leader);
    AwaitEvents();
    servers_.Start(leader);
    servers_.AwaitReady();
    AwaitReadsStreams();
    for (int i = 0; i < 3; ++i) servers_.Kill(i);
    AwaitEvents();
    for (int i = 0; i < 3; ++i) servers_.Start(i);
    servers_.AwaitReady();
    AwaitReadsStreams();
    AwaitEvents();
    servers_.DeleteStream("crosskey_post-service");
    AwaitEvents();
    AwaitReadsStreams();
  }
  // The stream has all events of the log, as often and in the order in which the log has them.
  void ExpectStreamIsLog(Side side) {
    std::vector<std::string> log, stream;
    for (const auto& row : Database(side).Query("SELECT sequence, event_id FROM outbox ORDER BY sequence")) {
      log.push_back(absl::StrCat(row[0], " ", row[1]));
    }
    const std::string name = side == Side::kUsers ? "crosskey_user-service" : "crosskey_post-service";
    EXPECT_TRUE(WaitFor([&] {
      stream.clear();
      for (const Streamed& one : servers_.All(name)) stream.push_back(absl::StrCat(one.sequence, " ", one.id));
      return stream.size() >= log.size();
    }));
    EXPECT_EQ(stream, log) << name;
    EXPECT_GT(log.size(), 100U);
  }

  NatsServers servers_{3};
  // A SQLite database is for one process.
  Cluster cluster_{GetParam(),
                   {GetParam() == "sqlite" ? 1 : 2, false, {"--events", servers_.url(), "--events-replicas", "3"}}};
};
CROSSKEY_ON_EVERY_DATABASE(NatsLoad);

TEST_P(NatsLoad, EveryEventArrivesOnceWhateverBecomesOfTheServers) {
  Workload::Options options;
  options.seed = SeedOfRun();
  options.faults = false;
  options.clients = 4;
  Rounds rounds(cluster_, options, nullptr);
  bool broken = false;
  const std::vector<Violation> violations = rounds.Run(absl::Seconds(1), [&] {
    if (!std::exchange(broken, true)) Break();
  });
  EXPECT_TRUE(violations.empty()) << Report(violations);
  EXPECT_TRUE(broken);
  cluster_.AwaitQuiet();
  EXPECT_EQ(cluster_.Orphans(), 0);
  ExpectStreamIsLog(Side::kUsers);
  ExpectStreamIsLog(Side::kPosts);
}

}  // namespace
}  // namespace crosskey::testing
