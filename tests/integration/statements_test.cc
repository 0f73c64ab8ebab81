// The statements that a call sends, compared with the table of common/README.md.
#include <fstream>
#include <map>
#include <set>
#include <sstream>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "absl/strings/str_replace.h"
#include "absl/strings/str_split.h"
#include "common/events/uuid.h"
#include "tests/integration/api_client.h"

namespace crosskey::testing {
namespace {

// "`a`, 2 `b`" for each call of the table: | call | statements |
std::map<std::string, std::string> Documented() {
  std::map<std::string, std::string> rows;
  std::ifstream file(CROSSKEY_SOURCE_DIR "/common/README.md");
  bool in_table = false;
  for (std::string line; std::getline(file, line);) {
    if (absl::StartsWith(line, "| call | statements |")) in_table = true;
    if (!in_table || absl::StartsWith(line, "| call") || absl::StartsWith(line, "|--")) continue;
    if (!absl::StartsWith(line, "| ")) break;
    const std::vector<std::string> cells = absl::StrSplit(line, " | ");
    rows[cells.at(0).substr(2)] = cells.at(1).substr(0, cells.at(1).rfind(" |"));
  }
  return rows;
}

class Statements : public ApiTest {
 protected:
  // What `call` sends to the databases of both services. Transactions of the background are not among it, because their
  // statements are left out, and BEGIN and COMMIT are left out of all.
  template <typename Function>
  std::string Of(const Function& call) {
    pair().AwaitQuiet();
    pair().user_sql().Reset();
    pair().post_sql().Reset();
    call();
    std::map<std::string, int64_t> counted;
    for (const auto& by_name : {pair().user_sql().counted(), pair().post_sql().counted()}) {
      for (const auto& [name, count] : by_name) {
        if (!OfTheBackground(name)) counted[name] += count.statements;
      }
    }
    std::vector<std::string> texts;
    for (const auto& [name, count] : counted) {
      texts.push_back(absl::StrCat(count == 1 ? "" : absl::StrCat(count, " "), "`", name, "`"));
    }
    return absl::StrJoin(texts, ", ");
  }

 private:
  static bool OfTheBackground(const std::string& name) {
    static const std::set<std::string> kSources = {"transaction", "sequencer", "feed",     "consumer",
                                                   "leases",      "trim",      "liveness", "migrations"};
    static const std::set<std::string> kStatements = {
        "user_refs.add", "user_refs.reclaimable", "post_refs.reclaimable", "posts.any_hidden",
        "requests.old",  "user_deletions.oldest", "user_deletions.stale",  "user_deletions.ended"};
    return kSources.count(name.substr(0, name.find('.'))) > 0 || kStatements.count(name) > 0;
  }
};
CROSSKEY_ON_EVERY_DATABASE(Statements);

TEST_P(Statements, OfEachCallAreThoseOfTheTable) {
  const int64_t ada = pair().CreateUser(NewName()), fan = pair().CreateUser(NewName());
  const int64_t post = pair().CreatePost(ada);
  const auto ok = [](const auto& answer) { EXPECT_THAT(answer.status, GrpcOk()); };
  const std::string with_id = absl::StrCat(" request_id: '", NewUuid(), "'");
  const auto get = [&](const std::string& more) { return absl::StrCat("id: ", post, " ", more); };
  const auto create = [&](const std::string& more) { return absl::StrCat("user_id: ", ada, " title: 't' ", more); };
  std::map<std::string, std::string> sent;
  sent["GetPost"] = Of([&] { ok(Send<post::v1::GetPostRequest>(pair(), get(""))); });
  sent["GetPost with its user"] = Of([&] { ok(Send<post::v1::GetPostRequest>(pair(), get("include_user: true"))); });
  sent["ListPosts, a page of 50"] =
      Of([&] { ok(Send<post::v1::ListPostsRequest>(pair(), absl::StrCat("user_id: ", ada))); });
  sent["ListPosts, a page of 1,000"] =
      Of([&] { ok(Send<post::v1::ListPostsRequest>(pair(), absl::StrCat("page_size: 1000 user_id: ", ada))); });
  sent["CreatePost"] = Of([&] { ok(Send<post::v1::CreatePostRequest>(pair(), create(""))); });
  sent["CreatePost with a request_id"] = Of([&] { ok(Send<post::v1::CreatePostRequest>(pair(), create(with_id))); });
  absl::StrReplaceAll({{"`posts.insert`, ", ""}, {", `user_refs.hold`", ""}, {"`outbox.append`", "in addition"}},
                      &sent["CreatePost with a request_id"]);
  sent["BatchCreatePosts of 3"] = Of([&] {
    const std::string one = absl::StrCat("requests { ", create(""), " } ");
    ok(Send<post::v1::BatchCreatePostsRequest>(pair(), one + one + one));
  });
  sent["UpdatePost"] = Of([&] {
    ok(Send<post::v1::UpdatePostRequest>(pair(), absl::StrCat("post { id: ", post, " title: '", NewName(), "' }")));
  });
  sent["LikePost"] =
      Of([&] { ok(Send<post::v1::LikePostRequest>(pair(), absl::StrCat("post_id: ", post, " user_id: ", fan))); });
  sent["CreateUser"] = Of([&] { ok(Send<user::v1::CreateUserRequest>(pair(), "username: '" + NewName() + "'")); });
  // MySQL does not return what it has inserted.
  if (GetParam() == "mysql") absl::StrReplaceAll({{"`posts.ids_by_uid`, ", ""}}, &sent["BatchCreatePosts of 3"]);
  EXPECT_EQ(sent, Documented());
}

}  // namespace
}  // namespace crosskey::testing
