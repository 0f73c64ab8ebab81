// Databases are restored while clients go on, and repairs are made and killed under the same load. Afterwards a round
// of checked load shows that all invariants hold.
#include <csignal>
#include <cstdio>
#include <cstdlib>
#include <map>

#include <gtest/gtest.h>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "common/fault/points.h"
#include "tests/support/http_get.h"
#include "tests/support/integrity.h"
#include "tests/support/wait.h"
#include "tests/workload/round.h"
#include "tests/workload/settings.h"

namespace crosskey::testing {
namespace {

// The users that post-service knows. A reference that is RECLAIMING (3) goes by itself, and with it what is known of
// its id: nothing refers to that any more.
constexpr char kKnownUsers[] = "user_refs WHERE state <> 3";

constexpr int kKilled = 128 + SIGKILL;
constexpr int kWrong = 3;  // the exit code of `check`: something is wrong

class RepairUnderLoad : public DatabaseTest {
 protected:
  using Uids = std::map<std::string, std::string>;

  void SetUp() override {
    cluster_.StartAll();
    load_.Start();
    AwaitLoad();
  }

  static Workload::Options Options() {
    Workload::Options options;
    options.seed = SeedOfRun();
    options.clients = 4;
    return options;
  }
  TestDatabase& Database(Side side) { return side == Side::kUsers ? cluster_.user_db() : cluster_.post_db(); }
  int64_t Head(Side side) { return Database(side).Number("SELECT head FROM feed WHERE name = 'own'"); }

  // Until the service has published some more events.
  void AwaitEvents(Side side, int count) {
    const int64_t before = Head(side);
    EXPECT_TRUE(WaitFor([&] { return Head(side) > before + count; })) << before;
  }
  void AwaitLoad() {
    AwaitEvents(Side::kUsers, 20);
    AwaitEvents(Side::kPosts, 20);
  }
  // A copy of user-service's database in which a deletion is open. `flags` are those with which post-service is started
  // afterwards.
  std::string BackupDuringADeletion(const std::vector<std::string>& flags = {}) {
    cluster_.Kill(Side::kPosts);
    EXPECT_TRUE(WaitFor(
        [&] { return cluster_.user_db().Number("SELECT COUNT(*) FROM user_deletions WHERE state IN (3, 4)") > 0; }));
    std::string backup = cluster_.user_db().Backup();
    cluster_.Start(Side::kPosts, 0, flags);
    return backup;
  }
  // As deploy/README.md says it: so no write is taken before the other service was asked, however busy that is.
  void Restore(Side side, const std::string& backup, const std::vector<std::string>& flags = {}) {
    cluster_.Kill(side);
    Database(side).Restore(backup);
    Database(side).Run("UPDATE histories SET state = 4 WHERE name = 'own' AND state = 1");
    cluster_.Start(side, 0, flags);
  }
  // The metric by which `seer` says that the history of `of` does not go on.
  bool Shows(Side seer, Side of) const {
    return absl::StrContains(HttpGet(cluster_.metrics_port(seer), "/metrics"),
                             absl::StrCat("crosskey_history_mismatch{service=\"", Name(of), "\"} 1"));
  }
  void ExpectBothShow(Side of) {
    EXPECT_TRUE(WaitFor([&] { return Shows(Side::kUsers, of) && Shows(Side::kPosts, of); }));
  }
  bool PostsShow(const std::string& metric) const {
    return absl::StrContains(HttpGet(cluster_.metrics_port(Side::kPosts), "/metrics"), metric);
  }
  static bool EveryPoint() { return std::getenv("CROSSKEY_EVERY_POINT") != nullptr; }
  static const char* Name(Side side) { return side == Side::kUsers ? "user-service" : "post-service"; }

  int Check(Side side, std::string* output = nullptr) { return cluster_.Run(side, "check", {}, output); }
  int Repair(Side side, const std::vector<std::string>& more = {}) {
    std::vector<std::string> flags = {"--apply"};
    flags.insert(flags.end(), more.begin(), more.end());
    const int code = cluster_.Run(side, "repair", flags, &output_);
    reached_ += absl::StrContains(output_, "fault point") ? 1 : 0;
    return code;
  }
  // Repairs until both sides are clean. A repair may say that the other side has to be repaired first.
  void RepairBoth() {
    EXPECT_TRUE(WaitFor([&] {
      const bool posts = Repair(Side::kPosts) == 0;
      const bool users = Repair(Side::kUsers) == 0;
      return posts && users;
    })) << output_;
    std::string said;
    EXPECT_TRUE(WaitFor([&] { return Check(Side::kPosts, &said) == 0 && Check(Side::kUsers, &said) == 0; })) << said;
  }

  Uids UidsOf(TestDatabase& database, const std::string& table) {
    Uids uids;
    for (const auto& row : database.Query("SELECT id, uid FROM " + table)) uids[row[0]] = row[1];
    return uids;
  }
  // No id that the other service knew has been given to another row.
  void ExpectNoneGivenAgain(const Uids& known, const Uids& rows) {
    for (const auto& [id, uid] : known) {
      const auto row = rows.find(id);
      EXPECT_EQ(row == rows.end() ? uid : row->second, uid) << id;
    }
  }
  // It would give ids that post-service still refers to.
  void EmptyUserService() {
    const Uids known = UidsOf(cluster_.post_db(), kKnownUsers);
    cluster_.Kill(Side::kUsers);
    cluster_.user_db().Clear();
    EXPECT_EQ(cluster_.Run(Side::kUsers, "migrate", {}, &output_), 0) << output_;
    cluster_.Start(Side::kUsers, 0, {}, /*wait=*/false);
    EXPECT_TRUE(WaitFor([&] { return Shows(Side::kUsers, Side::kUsers); }));
    EXPECT_TRUE(WaitFor([&] { return PostsShow("crosskey_peer_mismatch 1"); }));
    EXPECT_EQ(cluster_.user_db().Number("SELECT COUNT(*) FROM users"), 0);
    EXPECT_EQ(cluster_.Run(Side::kPosts, "unpair", {}, &output_), 0) << output_;
    RepairBoth();
    AwaitLoad();
    ExpectNoneGivenAgain(known, UidsOf(cluster_.user_db(), "users"));
  }
  void TrimBeyondTheCheckpoint() {
    cluster_.Kill(Side::kPosts);
    AwaitEvents(Side::kUsers, 20);
    const int64_t head = Head(Side::kUsers);
    cluster_.user_db().Run(absl::StrCat("UPDATE feed SET floor = ", head));
    cluster_.user_db().Run(absl::StrCat("DELETE FROM outbox WHERE sequence <= ", head));
    cluster_.Start(Side::kPosts);
    EXPECT_TRUE(WaitFor([&] { return Shows(Side::kPosts, Side::kUsers); }));
    AwaitEvents(Side::kUsers, 20);
    EXPECT_TRUE(Shows(Side::kPosts, Side::kUsers));
    EXPECT_EQ(Check(Side::kPosts), kWrong);
    RepairBoth();
    AwaitLoad();
  }
  void PublishPoison() {
    cluster_.user_db().Run(
        "INSERT INTO outbox (event_id, type, subject, time, traceparent, payload) VALUES "
        "('00000000-0000-4000-8000-000000000001', 'user.v1.UserDeleted', 'users/9', 1, '', 'x')");
    const auto stalls = [&] { return PostsShow("crosskey_consumer_stalled{feed=\"user-service\"} 1"); };
    EXPECT_TRUE(WaitFor(stalls));
    AwaitEvents(Side::kUsers, 20);
    EXPECT_TRUE(stalls());
    EXPECT_EQ(Check(Side::kPosts), kWrong);
    RepairBoth();
    AwaitLoad();
  }
  // The state is sound, and so is what clients see from now on.
  void ExpectSound() {
    load_.Stop();
    EXPECT_TRUE(WaitFor([&] {
      return cluster_.user_db().Number("SELECT COUNT(*) FROM user_deletions WHERE state NOT IN (2, 5)") == 0;
    }));
    cluster_.AwaitQuiet();
    EXPECT_EQ(cluster_.Orphans(), 0);
    Workload::Options options = Options();
    options.faults = false;
    options.numbers = 1'000'000;
    Rounds rounds(cluster_, options, nullptr);
    const std::vector<Violation> violations = rounds.Run(absl::Seconds(2));
    EXPECT_TRUE(violations.empty()) << Report(violations);
    EXPECT_GT(rounds.last().Sum(), 50);
  }

  Cluster cluster_{GetParam(), {}};
  Workload load_{cluster_, Options()};
  std::string output_;
  int reached_ = 0;  // fault points, by repairs
};
CROSSKEY_ON_EVERY_DATABASE(RepairUnderLoad);

TEST_P(RepairUnderLoad, UserServiceIsRestored) {
  const std::string backup = BackupDuringADeletion();
  AwaitLoad();
  const Uids known = UidsOf(cluster_.post_db(), kKnownUsers);
  Restore(Side::kUsers, backup);
  ExpectBothShow(Side::kUsers);
  AwaitEvents(Side::kPosts, 50);
  ExpectBothShow(Side::kUsers);
  EXPECT_EQ(Check(Side::kPosts), kWrong);
  EXPECT_EQ(Check(Side::kUsers), kWrong);
  RepairBoth();
  EXPECT_FALSE(Shows(Side::kPosts, Side::kUsers));
  AwaitLoad();
  ExpectNoneGivenAgain(known, UidsOf(cluster_.user_db(), "users"));
  ExpectSound();
}

TEST_P(RepairUnderLoad, PostServiceIsRestored) {
  const std::string backup = cluster_.post_db().Backup();
  AwaitLoad();
  const Uids known = UidsOf(cluster_.user_db(), "post_refs");
  Restore(Side::kPosts, backup);
  ExpectBothShow(Side::kPosts);
  AwaitEvents(Side::kUsers, 10);
  ExpectBothShow(Side::kPosts);
  RepairBoth();
  AwaitLoad();
  ExpectNoneGivenAgain(known, UidsOf(cluster_.post_db(), "posts"));
  ExpectSound();
}

TEST_P(RepairUnderLoad, BothAreRestoredFromDifferentMoments) {
  const std::string users = BackupDuringADeletion();
  AwaitLoad();
  const std::string posts = cluster_.post_db().Backup();
  AwaitLoad();
  cluster_.Kill(Side::kUsers);
  Restore(Side::kPosts, posts);
  const Uids known = UidsOf(cluster_.post_db(), kKnownUsers);
  Restore(Side::kUsers, users);
  EXPECT_TRUE(WaitFor([&] { return Shows(Side::kUsers, Side::kUsers); }));
  RepairBoth();
  AwaitLoad();
  ExpectNoneGivenAgain(known, UidsOf(cluster_.user_db(), "users"));
  ExpectSound();
}

// An empty database, a trimmed feed, a poison event. With CROSSKEY_EVERY_POINT each database has all of them.
TEST_P(RepairUnderLoad, AServiceLosesWhatTheOtherOneNeeds) {
  const bool is_sqlite = cluster_.user_db().is_sqlite();
  if (EveryPoint() || !is_sqlite) EmptyUserService();
  // A stream of NATS still has what the log has given up, so nothing is lost then.
  const bool has_stream = std::getenv("CROSSKEY_TEST_EVENTS") != nullptr;
  if ((EveryPoint() || is_sqlite) && !has_stream) TrimBeyondTheCheckpoint();
  if (EveryPoint()) PublishPoison();
  ExpectSound();
}

// The next repair begins anew, whatever the one before has left. CROSSKEY_EVERY_POINT lets it be killed at all points;
// otherwise each database has one after which something is half done.
TEST_P(RepairUnderLoad, ARepairIsKilledAndRepeated) {
  const std::string one = cluster_.user_db().is_sqlite() ? "repair.fence.after_commit" : "repair.end.before_commit";
  for (const std::string transaction : fault::kRepairTransactions) {
    for (const char* when : {".before_commit", ".after_commit"}) {
      const std::string point = transaction + when;
      if (!EveryPoint() && point != one) continue;
      SCOPED_TRACE(point);
      // Only if a reclaim does not end, its deletion is still open when the repair begins.
      const bool needs_open = transaction == "repair.take_over";
      const std::string backup =
          BackupDuringADeletion(needs_open ? std::vector<std::string>{"--fault", "reclaim.before_commit=fail@*"}
                                           : std::vector<std::string>());
      AwaitLoad();
      const Uids known = UidsOf(cluster_.post_db(), kKnownUsers);
      // One transaction is that of the other service.
      const bool of_peer = transaction == "repair.point";
      const std::vector<std::string> fault = {"--fault", point + "=die"};
      Restore(Side::kUsers, backup, of_peer ? fault : std::vector<std::string>());
      EXPECT_TRUE(WaitFor([&] { return Shows(Side::kPosts, Side::kUsers); }));
      const int before = reached_;
      const int code = Repair(Side::kPosts, of_peer ? std::vector<std::string>() : fault);
      if (of_peer) {
        EXPECT_EQ(code, 1) << output_;
        EXPECT_EQ(cluster_.process(Side::kUsers).Wait(), kKilled);
        cluster_.Start(Side::kUsers);
      } else if (transaction == "repair.complete") {  // there need not be such a deletion
        EXPECT_EQ(code, reached_ > before ? kKilled : 0) << output_;
      } else {
        EXPECT_EQ(code, kKilled) << output_;
      }
      if (needs_open) {
        cluster_.Kill(Side::kPosts);
        cluster_.Start(Side::kPosts);
      }
      RepairBoth();
      AwaitLoad();
      ExpectNoneGivenAgain(known, UidsOf(cluster_.user_db(), "users"));
    }
  }
  ExpectSound();
}

// A healthy pair is clean, whatever goes on meanwhile. CROSSKEY_CHECKS is the number of runs of each side.
TEST_P(RepairUnderLoad, ACheckOfAHealthyPairIsClean) {
  const char* checks = std::getenv("CROSSKEY_CHECKS");
  const int runs = checks == nullptr ? 2 : std::atoi(checks);
  for (int i = 0; i < runs; ++i) {
    for (const Side side : {Side::kUsers, Side::kPosts}) {
      std::string output;
      ASSERT_EQ(Check(side, &output), 0) << "run " << i << ": " << output;
    }
  }
  ExpectSound();
  std::printf("%d runs of each side\n", runs);
}

}  // namespace
}  // namespace crosskey::testing
