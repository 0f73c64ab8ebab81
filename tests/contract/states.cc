#include "tests/contract/states.h"

#include <functional>
#include <regex>

#include <gtest/gtest.h>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "common/events/uuid.h"
#include "tests/contract/call.h"
#include "tests/support/pair.h"
#include "tests/support/wait.h"

namespace crosskey::contract {
namespace {

using testing::Cluster;
using testing::Side;

const std::map<std::string, Environment>& Environments() {
  static const auto* const environments = new std::map<std::string, Environment>{
      {"post-service is away", Environment::kPeerAway},
      {"user-service is away", Environment::kPeerAway},
      {"the database is away", Environment::kDatabaseAway},
      {"the database is broken", Environment::kDatabaseBroken},
      {"no further call is admitted", Environment::kOverloaded},
      {"the service is shutting down", Environment::kDraining},
      {"every transaction meets a conflict", Environment::kConflict},
      {"the history is lost", Environment::kHistoryLost},
      {"the database takes no changes", Environment::kReadOnly},
      {"the caller does not say who it is", Environment::kNobody},
      {"the policy gives the caller nothing", Environment::kStranger},
  };
  return *environments;
}

// Makes a state true: in services, or as examples.
class Maker {
 public:
  virtual ~Maker() = default;
  virtual void User(const std::string& name, const std::string& request_id) = 0;
  virtual void Post(const std::string& name, const std::string& user, const std::string& request_id) = 0;
  virtual void Like(const std::string& user, const std::string& post) = 0;
  virtual void Pin(const std::string& user, const std::string& post) = 0;
  virtual void DeleteUser(const std::string& name) = 0;
  virtual void DeletePost(const std::string& name) = 0;
  virtual void Undecided(const std::string& user) = 0;
  virtual void Feed(const std::string& service) = 0;
  virtual void Trim(const std::string& service) = 0;
};

void Make(const std::string& clause, Maker& maker) {
  using Words = std::smatch;
  static const auto* const clauses = new std::vector<std::pair<std::regex, void (*)(Maker&, const Words&)>>{
      {std::regex("user (\\w+)"), [](Maker& m, const Words& w) { m.User(w[1], ""); }},
      {std::regex("user (\\w+) made by request (\\w+)"), [](Maker& m, const Words& w) { m.User(w[1], w[2]); }},
      {std::regex("post (\\w+) of (\\w+)"), [](Maker& m, const Words& w) { m.Post(w[1], w[2], ""); }},
      {std::regex("post (\\w+) of (\\w+) made by request (\\w+)"),
       [](Maker& m, const Words& w) { m.Post(w[1], w[2], w[3]); }},
      {std::regex("(\\w+) likes (\\w+)"), [](Maker& m, const Words& w) { m.Like(w[1], w[2]); }},
      {std::regex("(\\w+) pins (\\w+)"), [](Maker& m, const Words& w) { m.Pin(w[1], w[2]); }},
      {std::regex("user (\\w+) is deleted"), [](Maker& m, const Words& w) { m.DeleteUser(w[1]); }},
      {std::regex("post (\\w+) is deleted"), [](Maker& m, const Words& w) { m.DeletePost(w[1]); }},
      {std::regex("the deletion of (\\w+) is undecided"), [](Maker& m, const Words& w) { m.Undecided(w[1]); }},
      {std::regex("the feed of (user|post)-service"), [](Maker& m, const Words& w) { m.Feed(w[1]); }},
      {std::regex("the first event of (user|post)-service is gone"), [](Maker& m, const Words& w) { m.Trim(w[1]); }},
  };
  Words words;
  for (const auto& [pattern, make] : *clauses) {
    if (std::regex_match(clause, words, pattern)) return make(maker, words);
  }
  EXPECT_EQ(Environments().count(clause), 1u) << "no such state: " << clause;
}

class RealMaker : public Maker {
 public:
  RealMaker(Cluster& cluster, Variables& variables) : cluster_(cluster), variables_(variables) {
    static int count = 0;
    suffix_ = absl::StrCat("-", ++count);
  }

  void User(const std::string& name, const std::string& request_id) override {
    Json request = {{"username", name + suffix_}};
    if (!request_id.empty()) request["request_id"] = NewRequestId(request_id);
    Bind(name, Call("user.v1.UserService/CreateUser", request)["user"]);
  }
  void Post(const std::string& name, const std::string& user, const std::string& request_id) override {
    Json request = {{"user_id", Id(user)}, {"title", name}, {"content", "Text of " + name}};
    if (!request_id.empty()) request["request_id"] = NewRequestId(request_id);
    Bind(name, Call("post.v1.PostService/CreatePost", request)["post"]);
  }
  void Like(const std::string& user, const std::string& post) override {
    Call("post.v1.PostService/LikePost", {{"post_id", Id(post)}, {"user_id", Id(user)}});
  }
  void Pin(const std::string& user, const std::string& post) override {
    const Json changed =
        Call("user.v1.UserService/UpdateUser", {{"user", {{"id", Id(user)}, {"pinned_post_id", Id(post)}}}});
    Bind(user, changed["user"]);
  }
  void DeleteUser(const std::string& name) override {
    const Json answer = Call("user.v1.UserService/DeleteUser", {{"id", Id(name)}});
    variables_.Set(name + ".deletion_id", answer["deletion"]["deletion_id"]);
    EXPECT_TRUE(testing::WaitFor([&] {
      const Json deletion = Call("user.v1.UserService/GetUserDeletion", {{"user_id", Id(name)}});
      return deletion["deletion"]["state"] == "DELETION_STATE_COMPLETED";
    }));
  }
  void DeletePost(const std::string& name) override { Call("post.v1.PostService/DeletePost", {{"id", Id(name)}}); }
  // Makes the rows that a crash after the intent leaves. Also lets post-service forget the user, so that it has to ask;
  // that works only while no row refers to the user.
  void Undecided(const std::string& user) override {
    cluster_.AwaitQuiet();
    cluster_.user_db().Run(
        absl::StrCat("INSERT INTO user_deletions (user_id, uid, action, state, blocked_reason, create_time) "
                     "SELECT id, uid, 1, 1, '', 1 FROM users WHERE id = ",
                     Id(user)));
    cluster_.user_db().Run(absl::StrCat("UPDATE users SET state = 2 WHERE id = ", Id(user)));
    cluster_.post_db().Run(absl::StrCat("DELETE FROM user_refs WHERE id = ", Id(user)));
  }
  void Feed(const std::string& service) override {
    cluster_.AwaitQuiet();
    const auto row = DatabaseOf(service).Query("SELECT feed_id, head FROM feed WHERE name = 'own'")[0];
    variables_.Set("feed.id", row[0]);
    variables_.Set("feed.head", row[1]);
    variables_.Set("feed.before_head", DatabaseOf(service).Query("SELECT head - 1 FROM feed WHERE name = 'own'")[0][0]);
  }
  void Trim(const std::string& service) override {
    cluster_.AwaitQuiet();
    DatabaseOf(service).Run("DELETE FROM outbox WHERE sequence = 1");
    DatabaseOf(service).Run("UPDATE feed SET floor = 1 WHERE name = 'own'");
    DatabaseOf(service).Run("DELETE FROM outbox WHERE sequence = 1");
  }

 private:
  Json Call(const std::string& rpc, const Json& request) {
    const Side side = rpc.rfind("user.", 0) == 0 ? Side::kUsers : Side::kPosts;
    const Answer answer = CallMethod(cluster_.OpenPublic(side), rpc, request);
    EXPECT_TRUE(answer.response.has_value()) << rpc << " " << request.dump() << ": " << answer.status->dump(1);
    return answer.response.value_or(Json::object());
  }
  void Bind(const std::string& name, const Json& resource) {
    for (const char* member : {"id", "uid", "etag", "username"}) {
      if (resource.contains(member)) variables_.Set(absl::StrCat(name, ".", member), resource[member]);
    }
  }
  std::string NewRequestId(const std::string& name) {
    variables_.Set(name + ".id", NewUuid());
    return variables_.Get(name + ".id");
  }
  std::string Id(const std::string& name) { return variables_.Get(name + ".id"); }
  testing::TestDatabase& DatabaseOf(const std::string& service) {
    return service == "user" ? cluster_.user_db() : cluster_.post_db();
  }

  Cluster& cluster_;
  Variables& variables_;
  std::string suffix_;
};

class ExampleMaker : public Maker {
 public:
  ExampleMaker(Variables& variables, int last) : variables_(variables), count_(last) {}

  void User(const std::string& name, const std::string& request_id) override {
    Bind(name);
    variables_.Set(name + ".username", absl::StrCat(name, "-", count_));
    if (!request_id.empty()) variables_.Set(request_id + ".id", Uuid());
  }
  void Post(const std::string& name, const std::string&, const std::string& request_id) override {
    Bind(name);
    if (!request_id.empty()) variables_.Set(request_id + ".id", Uuid());
  }
  void Like(const std::string&, const std::string&) override {}
  void Pin(const std::string&, const std::string&) override {}
  void DeleteUser(const std::string& name) override { variables_.Set(name + ".deletion_id", absl::StrCat(++count_)); }
  void DeletePost(const std::string&) override {}
  void Undecided(const std::string&) override {}
  void Feed(const std::string&) override {
    variables_.Set("feed.id", Uuid());
    variables_.Set("feed.before_head", absl::StrCat(++count_));
    variables_.Set("feed.head", absl::StrCat(++count_));
  }
  void Trim(const std::string&) override {}

 private:
  void Bind(const std::string& name) {
    variables_.Set(name + ".uid", Uuid());
    variables_.Set(name + ".id", absl::StrCat(count_));
    variables_.Set(name + ".etag", "v1");
  }
  std::string Uuid() { return absl::StrFormat("00000000-0000-4000-8000-%012d", ++count_); }

  Variables& variables_;
  int count_;
};

}  // namespace

Environment EnvironmentOf(const std::vector<std::string>& state) {
  for (const std::string& clause : state) {
    const auto found = Environments().find(clause);
    if (found != Environments().end()) return found->second;
    if (clause.find("is undecided") != std::string::npos) return Environment::kUndecided;
  }
  return Environment::kNormal;
}

void MakeState(const std::vector<std::string>& state, Cluster& cluster, Variables& variables) {
  RealMaker maker(cluster, variables);
  for (const std::string& clause : state) Make(clause, maker);
}

Variables Examples(const std::vector<std::string>& state, int last) {
  Variables variables;
  ExampleMaker maker(variables, last);
  for (const std::string& clause : state) Make(clause, maker);
  return variables;
}

}  // namespace crosskey::contract
