// The commands that deploy/README.md gives for the backup of both databases on one server, while the services write.
#include <atomic>
#include <cstdlib>
#include <filesystem>
#include <thread>

#include <gtest/gtest.h>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "common/db/url.h"
#include "tests/support/integrity.h"
#include "tests/support/pair.h"
#include "tests/support/process_pair.h"
#include "tests/support/status_matchers.h"
#include "tests/support/wait.h"

namespace crosskey::testing {
namespace {

namespace fs = std::filesystem;
using Rows = std::vector<std::vector<std::string>>;

// The path of a program; empty: it is not installed.
std::string Find(const std::string& program) {
  const char* path = std::getenv("PATH");
  for (const std::string& folder : std::vector<std::string>(absl::StrSplit(path == nullptr ? "" : path, ':'))) {
    if (fs::exists(fs::path(folder) / program)) return fs::path(folder) / program;
  }
  return "";
}

class Dump : public DatabaseTest {
 protected:
  Dump() : pair_(GetParam()), url_(*db::ParseUrl(pair_.user_db().url())), file_(absl::StrCat("/tmp/", url_.database)) {}
  ~Dump() override { fs::remove(file_); }

  int Client(const std::string& program, const std::vector<std::string>& arguments) {
    std::vector<std::string> all = {"--no-defaults", "--host=" + url_.servers.front().host,
                                    absl::StrCat("--port=", url_.servers.front().port), "--user=" + url_.user};
    all.insert(all.end(), arguments.begin(), arguments.end());
    return RunProgram(Find(program), all, &output_);
  }
  std::string Users() const { return url_.database; }
  std::string Posts() { return db::ParseUrl(pair_.post_db().url())->database; }

  // Creates users, each with a post, and deletes every third of them.
  void Write(const std::string& name) {
    user::v1::CreateUserRequest user;
    user.set_username(name);
    user::v1::CreateUserResponse created;
    EXPECT_THAT(Invoke(pair_.users(), &user::v1::UserService::Stub::CreateUser, user, &created), GrpcOk());
    post::v1::CreatePostRequest post;
    post.set_user_id(created.user().id());
    post.set_title("title");
    post::v1::CreatePostResponse posted;
    EXPECT_THAT(Invoke(pair_.posts(), &post::v1::PostService::Stub::CreatePost, post, &posted), GrpcOk());
    if (written_++ % 3 != 0) return;
    user::v1::DeleteUserRequest request;
    request.set_id(created.user().id());
    user::v1::DeleteUserResponse deleted;
    EXPECT_THAT(Invoke(pair_.users(), &user::v1::UserService::Stub::DeleteUser, request, &deleted), GrpcOk());
  }

  ProcessPair pair_;
  const db::Url url_;
  const std::string file_;
  std::string output_;
  std::atomic<int> written_ = 0;
};
CROSSKEY_ON_EVERY_SERVER(Dump);

TEST_P(Dump, OfBothDatabasesIsOfOneMomentWhileTheServicesWrite) {
  if (GetParam() != "mariadb" || Find("mariadb-dump").empty()) GTEST_SKIP() << "there is no mariadb-dump for it";
  pair_.Migrate();
  pair_.StartUsers();
  pair_.StartPosts();
  std::atomic<bool> stop = false;
  std::vector<std::thread> clients;
  for (int client = 0; client < 4; ++client) {
    clients.emplace_back([&, client] {
      for (int i = 0; !stop; ++i) Write(absl::StrCat("user ", client, " ", i));
    });
  }
  EXPECT_TRUE(WaitFor([&] { return written_ > 200; }));
  const int before = written_;
  EXPECT_EQ(Client("mariadb-dump", {"--single-transaction", "--result-file=" + file_, "--databases", Users(), Posts()}),
            0)
      << output_;
  EXPECT_TRUE(WaitFor([&] { return written_ > before + 100; }));
  stop = true;
  for (std::thread& client : clients) client.join();
  pair_.DropUsers();
  pair_.DropPosts();
  const Rows events = pair_.user_db().Query("SELECT id, MD5(payload) FROM outbox ORDER BY id");

  pair_.user_db().Run(absl::StrCat("DROP DATABASE ", Posts(), "; DROP DATABASE ", Users()));
  ASSERT_EQ(Client("mariadb", {"-e", "source " + file_}), 0) << output_;
  EXPECT_GT(pair_.user_db().Number("SELECT COUNT(*) FROM users"), 100);
  const Rows restored = pair_.user_db().Query("SELECT id, MD5(payload) FROM outbox ORDER BY id");
  EXPECT_LT(restored.size(), events.size()) << "the services wrote on";
  for (const auto& row : restored) EXPECT_EQ(std::count(events.begin(), events.end(), row), 1) << row[0];
  // Neither has consumed what the other one has not yet stored, and no user is gone whose posts can be seen.
  for (const auto& [reader, feed] : {std::pair(Users(), Posts()), std::pair(Posts(), Users())}) {
    EXPECT_EQ(pair_.user_db().Number(absl::StrCat("SELECT COUNT(*) FROM ", reader, ".checkpoints c, ", feed,
                                                  ".feed f WHERE c.last_sequence > f.head")),
              0);
  }
  EXPECT_EQ(pair_.user_db().Number(absl::StrCat("SELECT COUNT(*) FROM ", Posts(), ".posts p JOIN ", Posts(),
                                                ".user_refs r ON r.id = p.user_id LEFT JOIN ", Users(),
                                                ".users u ON u.id = r.id WHERE r.state = 1 AND u.id IS NULL")),
            0);

  // Both are said to be restored, as deploy/README.md wants it, find out that nothing is lost, and go on from there.
  pair_.Migrate();
  const auto own = [&](const std::string& database) {
    return pair_.user_db().Number(absl::StrCat("SELECT state FROM ", database, ".histories WHERE name = 'own'"));
  };
  for (const std::string& database : {Users(), Posts()}) {
    pair_.user_db().Run(absl::StrCat("UPDATE ", database, ".histories SET state = 4 WHERE name = 'own' AND state = 1"));
    EXPECT_EQ(own(database), 4);
  }
  pair_.StartUsers();
  pair_.StartPosts();
  EXPECT_TRUE(AwaitQuiet(pair_.user_db(), pair_.post_db()));
  EXPECT_EQ(Orphans(pair_.user_db(), pair_.post_db()), 0);
  const auto writes = [&] {
    user::v1::CreateUserRequest user;
    user.set_username("after");
    user::v1::CreateUserResponse created;
    return Invoke(pair_.users(), &user::v1::UserService::Stub::CreateUser, user, &created).ok();
  };
  EXPECT_TRUE(WaitFor(writes));
  EXPECT_TRUE(AwaitQuiet(pair_.user_db(), pair_.post_db()));
  EXPECT_EQ(own(Users()), 1);
  EXPECT_TRUE(WaitFor([&] { return own(Posts()) == 1; }));
}

// Without it, MariaDB would take the tables of the dump for those that it has just created.
TEST_P(Dump, WithoutTheRecordOfMigrationsIsNotTakenForANewDatabase) {
  if (GetParam() != "mariadb" || Find("mariadb-dump").empty()) GTEST_SKIP() << "there is no mariadb-dump for it";
  pair_.Migrate();
  const std::string table = absl::StrCat(Users(), ".schema_components");
  EXPECT_EQ(Client("mariadb-dump", {"--single-transaction", "--ignore-table=" + table, "--result-file=" + file_,
                                    "--databases", Users()}),
            0)
      << output_;
  pair_.user_db().Run("DROP DATABASE " + Users());
  ASSERT_EQ(Client("mariadb", {"-e", "source " + file_}), 0) << output_;
  EXPECT_EQ(RunProgram("user-service/user-service", {"migrate", "--db", pair_.user_db().url()}, &output_), 1);
  EXPECT_THAT(output_, ::testing::HasSubstr("restore all tables of the backup"));
}

}  // namespace
}  // namespace crosskey::testing
