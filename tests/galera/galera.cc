#include "tests/galera/galera.h"

#include <algorithm>
#include <array>
#include <atomic>
#include <cstdio>
#include <cstdlib>
#include <fstream>
#include <set>
#include <thread>

#include <gtest/gtest.h>
#include <mysql.h>
#include <unistd.h>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "common/db/url.h"
#include "tests/support/integrity.h"
#include "tests/workload/settings.h"

namespace crosskey::testing {
namespace {

[[noreturn]] void Die(const std::string& what) {
  std::fprintf(stderr, "galera_test: %s\n", what.c_str());
  std::_Exit(2);
}

class NeedsGalera : public ::testing::Environment {
 public:
  void SetUp() override {
    for (const char* name : {"CROSSKEY_TEST_GALERA", "CROSSKEY_TEST_GALERA_DIR"}) {
      if (std::getenv(name) == nullptr) Die(absl::StrCat(name, " is not set; run this by tests/galera/cluster"));
    }
  }
};

const auto* const kNeedsGalera = ::testing::AddGlobalTestEnvironment(new NeedsGalera());

void Order(const std::string& option, int node) {
  const std::string command = absl::StrCat("'" CROSSKEY_SOURCE_DIR "/tests/galera/cluster' --", option, " ", node + 1);
  if (std::system(command.c_str()) != 0) Die("failed: " + command);
}

// A checksum of the rows of each table. Leases are left out: they change while all else is at rest.
std::string Contents(const TestDatabase& database) {
  std::vector<std::string> tables;
  for (const auto& row : database.Query("SHOW TABLES")) {
    if (row.front() != "leases") tables.push_back(row.front());
  }
  std::string contents;
  for (const auto& row : database.Query("CHECKSUM TABLE " + absl::StrJoin(tables, ", "))) {
    absl::StrAppend(&contents, row[0], " ", row[1], "\n");
  }
  return contents;
}

}  // namespace

int TimesOfRun() { return std::max(1, RoundsOfRun() / 200); }

void KillNode(int node) { Order("kill", node); }
void RejoinNode(int node) { Order("rejoin", node); }

BehindNode::BehindNode(const TestDatabase& database, int node) : session_(mysql_init(nullptr)) {
  auto* const session = static_cast<MYSQL*>(session_);
  const auto url = db::ParseUrl(database.UrlAt(node));
  if (mysql_real_connect(session, url->servers.front().host.c_str(), url->user.c_str(), "", url->database.c_str(),
                         static_cast<unsigned>(url->servers.front().port), nullptr, 0) == nullptr ||
      mysql_query(session, "FLUSH TABLES WITH READ LOCK") != 0) {
    Die(mysql_error(session));
  }
}

BehindNode::~BehindNode() { mysql_close(static_cast<MYSQL*>(session_)); }

Barrier::Barrier(Cluster& cluster, Side side, std::string point)
    : cluster_(cluster), side_(side), point_(std::move(point)) {
  char path[] = "/tmp/crosskey_barrier_XXXXXX";
  close(mkstemp(path));
  path_ = path;
}

Barrier::~Barrier() { unlink(path_.c_str()); }

std::vector<std::string> Barrier::flags() const { return {"--fault", absl::StrCat(point_, "=wait:", path_, "@*")}; }

size_t Barrier::Seen(int replica) const {
  const std::string output = cluster_.process(side_, replica).Output();
  const std::string line = absl::StrCat("fault point ", point_, " reached\n");
  size_t count = 0;
  for (size_t at = output.find(line); at != std::string::npos; at = output.find(line, at + 1)) ++count;
  return count;
}

void Barrier::Close() {
  before_.clear();
  for (int replica = 0; replica < cluster_.replicas(); ++replica) before_.push_back(Seen(replica));
  unlink(path_.c_str());
}

void Barrier::Open() { std::ofstream(path_).put('\n'); }

bool Barrier::Await(int replica, const std::function<bool()>& ended, absl::Duration limit) const {
  const auto held = [&] { return Seen(replica) > before_[static_cast<size_t>(replica)]; };
  static_cast<void>(WaitFor([&] { return ended() || held(); }, limit));
  return !ended() && held();
}

bool Race(Random& random, const Racer& first, const Racer& second) {
  // Less than a service waits for the answer of the other one.
  constexpr absl::Duration kHeld = absl::Milliseconds(1500);
  const std::array<const Racer*, 2> racers = {&first, &second};
  for (const Racer* racer : racers) racer->barrier.Close();
  std::array<std::atomic<bool>, 2> ended = {false, false};
  std::vector<std::thread> threads;
  bool held = true;
  for (size_t i = 0; i < 2; ++i) {
    threads.emplace_back([&, i] {
      racers[i]->call();
      ended[i] = true;
    });
    const auto is_over = [&, i] { return ended[i] && !racers[i]->by_event; };
    held = racers[i]->barrier.Await(racers[i]->replica, is_over, kHeld) && held;
  }
  const size_t winner = Between(random, 0, 1) == 0 ? 0 : 1;
  racers[winner]->barrier.Open();
  const absl::Time then = absl::Now() + absl::Microseconds(Between(random, 0, 1500));
  while (absl::Now() < then) std::this_thread::yield();
  racers[1 - winner]->barrier.Open();
  for (std::thread& thread : threads) thread.join();
  return held;
}

void OnEveryNode(Cluster& cluster,
                 const std::function<void(const TestDatabase& users, const TestDatabase& posts)>& look) {
  for (int node = 0; node < cluster.user_db().nodes(); ++node) {
    look(TestDatabase(cluster.user_db(), node), TestDatabase(cluster.post_db(), node));
  }
}

void ExpectWhole(Cluster& cluster) {
  cluster.AwaitQuiet();
  EXPECT_TRUE(WaitFor([&] {
    return cluster.user_db().Number("SELECT COUNT(*) FROM user_deletions WHERE state NOT IN (2, 5)") == 0;
  })) << "a deletion has not come to its end";
  std::set<std::string> contents;
  const bool same = WaitFor([&] {
    contents.clear();
    OnEveryNode(cluster, [&](const TestDatabase& users, const TestDatabase& posts) {
      contents.insert(Contents(users) + Contents(posts));
    });
    return contents.size() == 1;
  });
  EXPECT_TRUE(same) << "the nodes differ:\n" << absl::StrJoin(contents, "\n");
  OnEveryNode(cluster, [](const TestDatabase& users, const TestDatabase& posts) {
    EXPECT_EQ(Orphans(users, posts), 0) << "on " << users.url();
  });
}

}  // namespace crosskey::testing
