#include "tests/contract/provider.h"

#include <csignal>

#include <gtest/gtest.h>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "tests/support/free_port.h"
#include "tests/support/pair.h"
#include "tests/support/secured.h"
#include "tests/support/wait.h"

namespace crosskey::contract {
namespace {

using testing::Cluster;
using testing::Loopback;
using testing::Side;

// These environments need fault points, which only the programs of the tests have. All other cases are replayed to the
// programs that are shipped.
bool NeedsFaultPoints(Environment environment) {
  return environment == Environment::kOverloaded || environment == Environment::kDraining ||
         environment == Environment::kConflict || environment == Environment::kUndecided ||
         environment == Environment::kReadOnly;
}

// Makes statements fail each time, with an error of a server.
std::vector<std::string> Failing(const std::vector<const char*>& statements, int error) {
  std::vector<std::string> flags;
  for (const char* statement : statements) {
    flags.emplace_back("--fault");
    flags.push_back(absl::StrCat("sql:", statement, "=", error, "@*"));
  }
  return flags;
}

// A statement of every write, and of every read.
const std::vector<const char*> kOfWrites = {"users.insert",    "users.lock_row",        "users.lock",
                                            "user_refs.hold",  "user_refs.lock_shared", "user_refs.lock",
                                            "posts.lock_free", "repair.new_feed"};
const std::vector<const char*> kOfAll = {
    "users.get",       "users.list",      "users.list_by_name",    "users.lookup",    "users.insert",
    "users.lock_row",  "users.lock",      "user_deletions.latest", "posts.get",       "posts.page",
    "posts.page_back", "posts.page_user", "posts.page_user_back",  "posts.scan_user", "likes.of_post",
    "likes.scan_user", "user_refs.hold",  "user_refs.lock_shared", "user_refs.lock",  "feed.info",
    "repair.new_feed", "repair.feed_id",  "consumer.consumed"};

}  // namespace

// Two environments need clusters of their own. Cases of kNormal send releases themselves; no deletion event follows, so
// rows stay hidden for ever, and the cluster never becomes quiet, for which others wait. In kUndecided user-service
// keeps a fault.
Cluster& Clusters::For(Environment environment, Side side) {
  Cluster::Options options;
  const bool asks = environment == Environment::kNobody || environment == Environment::kStranger;
  if (asks && secured_ == nullptr) secured_ = std::make_shared<const testing::Secured>();
  if (asks || all_secured_) {
    options.secured = secured_;
    options.flags = {"--log-level", "debug", "--audit-log", "-"};
  }
  options.shipped = !NeedsFaultPoints(environment);
  std::string name = options.shipped ? "shipped" : "with fault points";
  if (environment == Environment::kNormal) name = side == Side::kUsers ? "normal users" : "normal posts";
  if (environment == Environment::kUndecided) name = "undecided";
  if (asks) name = "asks";
  return clusters_.try_emplace(name, backend_, options).first->second;
}

Provider::Provider(Clusters& clusters, Environment environment, Side side)
    : cluster_(clusters.For(environment, side)),
      environment_(environment),
      side_(side),
      hold_(side == Side::kUsers ? "deletion.intent.before_commit" : "guarded_write.before_commit", 1),
      public_channel_(OpenFor(clusters)),
      internal_channel_(cluster_.OpenInternal(side)) {
  // With this fault, the recovery leaves the deletion undecided, too.
  if (environment == Environment::kUndecided && !cluster_.Running(Side::kUsers)) {
    cluster_.Start(Side::kUsers, 0, {"--fault", "release.send=fail@*"});
  }
  cluster_.StartAll();
  // Some cases release references for deletions that they make up.
  if (environment == Environment::kNormal && side == Side::kPosts) {
    cluster_.user_db().RaiseCounter("user_deletions", 2'000'000);
  }
}

// What the cases of clients are replayed by.
std::shared_ptr<grpc::Channel> Provider::OpenFor(const Clusters& clusters) const {
  const int port = cluster_.port(side_);
  if (environment_ == Environment::kNobody) return clusters.secured().Open(port);
  if (environment_ == Environment::kStranger) return clusters.secured().OpenAs(port, "stranger");
  return cluster_.OpenPublic(side_);
}

Provider::~Provider() {
  hold_.Release();
  if (held_call_.joinable()) held_call_.join();
  if (environment_ == Environment::kNormal || environment_ == Environment::kUndecided) return;
  // Both are killed, so that neither begins the next environment with a connection to a process that is gone.
  for (const Side side : {Side::kUsers, Side::kPosts}) cluster_.Kill(side);
  if (environment_ == Environment::kDatabaseBroken) RenameTables("away_", "");
  if (environment_ != Environment::kHistoryLost) return;
  for (auto* each : {&cluster_.user_db(), &cluster_.post_db()}) {
    each->Run("UPDATE histories SET state = 1, reason = ''");
  }
}

testing::TestDatabase& Provider::database() { return side_ == Side::kUsers ? cluster_.user_db() : cluster_.post_db(); }

void Provider::Prepare(const Case& contract, Variables& variables) { MakeState(contract.state, cluster_, variables); }

void Provider::Enter() {
  switch (environment_) {
    case Environment::kNormal:
    case Environment::kUndecided:
    case Environment::kNobody:
    case Environment::kStranger:
      break;
    case Environment::kPeerAway:
      cluster_.AwaitQuiet();
      cluster_.Kill(side_ == Side::kUsers ? Side::kPosts : Side::kUsers);
      break;
    case Environment::kDatabaseAway:
      StartWithoutDatabase();
      break;
    case Environment::kDatabaseBroken:
      cluster_.AwaitQuiet();
      RenameTables("", "away_");
      break;
    case Environment::kOverloaded:
      HoldOneCall({"--max-in-flight", "1"});
      break;
    case Environment::kDraining:
      HoldOneCall({});
      cluster_.process(side_).Signal(SIGTERM);
      EXPECT_TRUE(testing::WaitFor([&] { return !cluster_.Healthy(side_); }));
      break;
    case Environment::kConflict:
      Restart(Failing(kOfAll, 1213));
      break;
    case Environment::kReadOnly:
      Restart(Failing(kOfWrites, 1290));
      break;
    case Environment::kHistoryLost:
      cluster_.AwaitQuiet();
      database().Run("UPDATE histories SET state = 2, reason = 'events are missing' WHERE name = 'own'");
      Restart({});
      break;
  }
}

void Provider::Restart(const std::vector<std::string>& flags) {
  cluster_.AwaitQuiet();
  cluster_.Kill(side_);
  cluster_.Start(side_, 0, flags);
}

// Starts the service in the place of the one that runs, with a database that is not there.
void Provider::StartWithoutDatabase() {
  cluster_.Kill(side_);
  const std::string name = side_ == Side::kUsers ? "user-service" : "post-service";
  const std::string db = database().is_sqlite() ? "sqlite:/no/such/folder/x.db" : "mysql://crosskey@127.0.0.1:1/none";
  std::vector<std::string> words = cluster_.SecurityFlags(side_);
  words.insert(words.begin(), {"serve", "--db", db, "--listen", Loopback(cluster_.port(side_)), "--internal-listen",
                               Loopback(cluster_.internal_port(side_)), "--metrics-listen",
                               Loopback(cluster_.metrics_port(side_)), "--peer", Loopback(testing::FreePort())});
  without_database_ = std::make_unique<testing::ChildProcess>(name + "/" + name, words);
}

void Provider::RenameTables(const std::string& before, const std::string& after) {
  for (const char* table : side_ == Side::kUsers ? std::vector<const char*>{"users", "user_deletions"}
                                                 : std::vector<const char*>{"posts", "likes", "user_refs"}) {
    database().Run(absl::StrCat("ALTER TABLE ", before, table, " RENAME TO ", after, table));
  }
}

// From now on one call is in flight and waits at the fault point: a deletion of a user, or a new post.
void Provider::HoldOneCall(const std::vector<std::string>& more) {
  Variables variables;
  MakeState({"user held"}, cluster_, variables);
  std::vector<std::string> flags = hold_.flags();
  flags.insert(flags.end(), more.begin(), more.end());
  Restart(flags);
  const bool users = side_ == Side::kUsers;
  const std::string rpc = users ? "user.v1.UserService/DeleteUser" : "post.v1.PostService/CreatePost";
  const std::string id = variables.Get("held.id");
  const Json request = users ? Json{{"id", id}} : Json{{"user_id", id}, {"title", "held"}};
  held_call_ = std::thread([this, rpc, request] {
    const Answer answer = CallMethod(public_channel_, rpc, request);
    EXPECT_TRUE(answer.response.has_value()) << answer.status->dump(1);
  });
  // Once the call has reached the fault point it is not only begun but admitted.
  EXPECT_TRUE(testing::WaitFor([&] { return absl::StrContains(cluster_.process(side_).Output(), "fault point"); }));
}

std::string Provider::Logs() const {
  std::string logs;
  for (const Side side : {Side::kUsers, Side::kPosts}) {
    if (cluster_.Running(side)) logs += cluster_.process(side).Output();
  }
  return without_database_ == nullptr ? logs : logs + without_database_->Output();
}

Answer Provider::Call(const Case& contract, const Variables& variables) {
  return CallMethod(contract.consumer == "client" ? public_channel_ : internal_channel_, contract.rpc,
                    variables.Fill(contract.request));
}

}  // namespace crosskey::contract
