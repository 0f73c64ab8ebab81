// The commands `backup` and `restore` with real processes.
#include <atomic>
#include <filesystem>
#include <fstream>
#include <thread>

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <signal.h>
#include <sys/stat.h>

#include "absl/strings/str_cat.h"
#include "tests/support/pair.h"
#include "tests/support/process_pair.h"
#include "tests/support/secrets.h"
#include "tests/support/status_matchers.h"
#include "tests/support/wait.h"

namespace crosskey::testing {
namespace {

namespace fs = std::filesystem;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using Rows = std::vector<std::vector<std::string>>;

constexpr char kIndexPage[] = "SELECT rootpage FROM sqlite_master WHERE name = 'users_by_username'";
constexpr char kNames[] = "SELECT username FROM users ORDER BY id";

class Backup : public ::testing::Test {
 protected:
  Backup() : pair_("sqlite"), users_db_(PathOf(pair_.user_db())) {}

  static std::string PathOf(const TestDatabase& database) {
    return database.url().substr(std::string("sqlite:").size());
  }
  // A file of the folder in which user-service's database is.
  std::string File(const std::string& name) const { return fs::path(users_db_).parent_path() / name; }

  int Run(const std::string& program, const std::vector<std::string>& arguments) {
    return RunProgram(program, arguments, &output_);
  }
  int BackUpUsers(const std::string& file) {
    return Run(kUserService, {"backup", file, "--db", pair_.user_db().url()});
  }
  int RestoreUsers(const std::string& file) {
    return Run(kUserService, {"restore", file, "--db", pair_.user_db().url()});
  }

  grpc::Status TryCreateUser(const std::string& name) {
    user::v1::CreateUserRequest request;
    request.set_username(name);
    user::v1::CreateUserResponse response;
    grpc::Status status;
    // The channel may not know yet that the service was started anew.
    WaitFor([&] {
      status = Invoke(pair_.users(), &user::v1::UserService::Stub::CreateUser, request, &response);
      return status.error_code() != grpc::StatusCode::UNAVAILABLE;
    });
    return status;
  }
  void CreateUser(const std::string& name) { EXPECT_THAT(TryCreateUser(name), GrpcOk()); }
  void StopUsers() {
    pair_.user_process().Signal(SIGTERM);
    EXPECT_EQ(pair_.user_process().Wait(), 0);
  }
  // Makes old.bak, in which ada is, and then adds bob to the database.
  void BackUpThenAddBob() {
    pair_.StartUsers();
    CreateUser("ada");
    ASSERT_EQ(BackUpUsers(File("old.bak")), 0) << output_;
    CreateUser("bob");
  }

  // The files of the folder whose names begin so.
  std::vector<std::string> FilesLike(const std::string& begin) const {
    std::vector<std::string> found;
    for (const auto& entry : fs::directory_iterator(fs::path(users_db_).parent_path())) {
      if (entry.path().filename().string().rfind(begin, 0) == 0) found.push_back(entry.path());
    }
    return found;
  }
  std::vector<std::string> Kept() const { return FilesLike("test.db.before-restore-"); }

  static std::string Bytes(const std::string& path) {
    std::ifstream in(path, std::ios::binary);
    return {std::istreambuf_iterator<char>(in), {}};
  }
  static void Write(const std::string& path, const std::string& bytes) {
    std::ofstream(path, std::ios::binary) << bytes;
  }
  // Looks into a copy, so that looking changes nothing.
  static Rows Query(const std::string& path, const std::string& sql) {
    const TestDatabase copy("sqlite");
    for (const char* suffix : {"", "-wal"}) {
      if (fs::exists(path + suffix)) fs::copy_file(path + suffix, PathOf(copy) + suffix);
    }
    return copy.Query(sql);
  }
  // Overwrites a page that is read by a check alone.
  static void DamageIndex(const std::string& path) {
    const int64_t page = std::stoll(Query(path, kIndexPage).front().front());
    std::string bytes = Bytes(path);
    bytes.replace(static_cast<size_t>(page - 1) * 4096, 4096, std::string(4096, 'x'));
    Write(path, bytes);
  }
  // A copy of old.bak in which something is different.
  std::string Changed(const std::string& sql) const {
    const TestDatabase copy("sqlite");
    fs::copy_file(File("old.bak"), PathOf(copy));
    copy.Run(sql);
    fs::copy_file(PathOf(copy), File("changed.bak"), fs::copy_options::overwrite_existing);
    return File("changed.bak");
  }
  // Nothing but the database, its log and what the test itself has made.
  void ExpectNothingLeft() const {
    EXPECT_THAT(Kept(), IsEmpty());
    EXPECT_THAT(FilesLike("test.db.new-"), IsEmpty());
  }

  ProcessPair pair_;
  const std::string users_db_;
  std::string output_;
};

TEST_F(Backup, IsForThisUserAlone) {
  const mode_t before = umask(0);
  BackUpThenAddBob();
  umask(before);
  EXPECT_EQ(fs::status(File("old.bak")).permissions(), fs::perms::owner_read | fs::perms::owner_write);
}

// Each post has an event in the same transaction, and each user too, so a copy of two moments would show.
TEST_F(Backup, IsOneStateWhileTheServiceWrites) {
  pair_.StartUsers();
  pair_.StartPosts();
  std::atomic<int> written = 0;
  std::atomic<bool> stop = false;
  std::vector<std::thread> clients;
  for (int client = 0; client < 4; ++client) {
    clients.emplace_back([&, client] {
      for (int i = 0; !stop; ++i) {
        user::v1::CreateUserRequest user;
        user.set_username(absl::StrCat(kPrivate, " ", client, " ", i));
        user::v1::CreateUserResponse created;
        EXPECT_THAT(Invoke(pair_.users(), &user::v1::UserService::Stub::CreateUser, user, &created), GrpcOk());
        post::v1::CreatePostRequest post;
        post.set_user_id(created.user().id());
        post.set_title("title");
        post.set_content(std::string(3000, 'x'));
        post::v1::CreatePostResponse posted;
        EXPECT_THAT(Invoke(pair_.posts(), &post::v1::PostService::Stub::CreatePost, post, &posted), GrpcOk());
        ++written;
      }
    });
  }
  for (int i = 0; i < 5; ++i) {
    SCOPED_TRACE(i);
    const int before = written + 100;
    EXPECT_TRUE(WaitFor([&] { return written >= before; }));
    const std::string users = File(absl::StrCat("users.", i)), posts = File(absl::StrCat("posts.", i));
    EXPECT_EQ(Run(kPostService, {"backup", posts, "--db", pair_.post_db().url()}), 0) << output_;
    EXPECT_EQ(output_, absl::StrCat("wrote ", posts, ", ", fs::file_size(posts), " bytes\n"));
    EXPECT_EQ(BackUpUsers(users), 0) << output_;
    for (const std::string& file : {users, posts}) {
      EXPECT_EQ(fs::status(file).permissions(), fs::perms::owner_read | fs::perms::owner_write);
      EXPECT_FALSE(fs::exists(file + "-wal") || fs::exists(file + "-shm") || fs::exists(file + "-journal"));
      EXPECT_EQ(Query(file, "PRAGMA integrity_check"), (Rows{{"ok"}}));
      EXPECT_EQ(Query(file, "PRAGMA foreign_key_check"), Rows());
      EXPECT_EQ(Query(file, "PRAGMA journal_mode"), (Rows{{"delete"}}));
    }
    EXPECT_EQ(Query(posts, "SELECT COUNT(*) FROM posts"),
              Query(posts, "SELECT COUNT(*) FROM outbox WHERE type = 'post.v1.PostCreated'"));
    EXPECT_EQ(Query(users, "SELECT COUNT(*) FROM users"),
              Query(users, "SELECT COUNT(*) FROM outbox WHERE type = 'user.v1.UserCreated'"));
  }
  EXPECT_THAT(FilesLike("users.0.new-"), IsEmpty());
  stop = true;
  for (std::thread& client : clients) client.join();
}

TEST_F(Backup, IsRefusedWhereItMakesNoSense) {
  BackUpThenAddBob();
  const std::string before = Bytes(File("old.bak"));
  EXPECT_EQ(BackUpUsers(File("old.bak")), 1);
  EXPECT_THAT(output_, HasSubstr("exists, and is not overwritten"));
  EXPECT_EQ(Bytes(File("old.bak")), before);
  EXPECT_EQ(BackUpUsers(users_db_), 1) << "the database's own file";
  StopUsers();
  for (const char* suffix : {"-wal", "-shm", "-journal"}) {
    // What belongs to the write-ahead log is there after a clean stop too.
    const bool is_there = fs::exists(users_db_ + suffix);
    EXPECT_EQ(BackUpUsers(users_db_ + suffix), 1);
    EXPECT_THAT(output_, HasSubstr("a part of the database"));
    EXPECT_EQ(fs::exists(users_db_ + suffix), is_there);
  }
  EXPECT_EQ(BackUpUsers("/no/such/folder/file"), 1);
  EXPECT_THAT(output_, HasSubstr("/no/such/folder/file: No such file"));
  EXPECT_EQ(Run(kUserService, {"backup", File("new.bak"), "--db", "sqlite:" + File("missing.db")}), 1);
  EXPECT_THAT(output_, HasSubstr("there is no database"));
  EXPECT_FALSE(fs::exists(File("missing.db")));
  EXPECT_EQ(Run(kPostService, {"backup", File("new.bak"), "--db", pair_.user_db().url()}), 1);
  EXPECT_THAT(output_, HasSubstr("it is a database of user-service"));
  const TestDatabase foreign("sqlite");
  foreign.Run("CREATE TABLE users (id INTEGER PRIMARY KEY)");
  const std::string bytes = Bytes(PathOf(foreign));
  EXPECT_EQ(Run(kUserService, {"backup", File("new.bak"), "--db", foreign.url()}), 1);
  EXPECT_THAT(output_, HasSubstr("no service has given it an identity yet"));
  EXPECT_EQ(Bytes(PathOf(foreign)), bytes);
  EXPECT_THAT(FilesLike("new.bak"), IsEmpty());

  for (const char* command : {"backup", "restore"}) {
    EXPECT_EQ(Run(kUserService, {command, File("new.bak"), "--db", "mysql://u@127.0.0.1:1/d"}), 2);
    EXPECT_THAT(output_, HasSubstr("deploy/README.md"));
    EXPECT_EQ(Run(kUserService, {command}), 2);
    EXPECT_THAT(output_, HasSubstr("takes exactly one FILE"));
  }
}

// The pages that the copy begins with make no whole file, so it must not have its name.
TEST_F(Backup, HasItsNameOnlyWhenTheCopyIsGood) {
  BackUpThenAddBob();
  StopUsers();
  DamageIndex(users_db_);
  EXPECT_EQ(BackUpUsers(File("new.bak")), 1);
  EXPECT_THAT(output_, HasSubstr("it is damaged"));
  EXPECT_THAT(FilesLike("new.bak"), IsEmpty());
}

TEST_F(Backup, BringsTheOldRowsBack) {
  BackUpThenAddBob();
  StopUsers();
  fs::permissions(users_db_, fs::perms::owner_read | fs::perms::owner_write | fs::perms::group_read);
  const auto mode = fs::status(users_db_).permissions();
  EXPECT_EQ(RestoreUsers(File("old.bak")), 0) << output_;
  const std::vector<std::string> kept = Kept();
  ASSERT_EQ(kept.size(), 1U);
  EXPECT_EQ(output_, absl::StrCat("restored ", users_db_, " from ", File("old.bak"), "\nkept what was there before as ",
                                  kept.front(), "\n"));
  EXPECT_EQ(fs::status(users_db_).permissions(), mode);
  EXPECT_THAT(FilesLike("test.db.new-"), IsEmpty());
  EXPECT_EQ(Query(kept.front(), kNames), (Rows{{"ada"}, {"bob"}}));
  EXPECT_EQ(Query(File("old.bak"), kNames), (Rows{{"ada"}})) << "the backup can be used again";

  pair_.StartUsers();
  EXPECT_EQ(pair_.user_db().Query(kNames), (Rows{{"ada"}}));
  // Until it was compared with the other service nobody knows what is lost.
  EXPECT_THAT(TryCreateUser("cecil"), GrpcError(grpc::StatusCode::FAILED_PRECONDITION, "HISTORY_MISMATCH"));
  pair_.StartPosts();
  EXPECT_TRUE(WaitFor([&] { return TryCreateUser("cecil").ok(); }));
  // Nothing was lost, so the other service goes on with this one.
  EXPECT_EQ(pair_.post_db().Query("SELECT state FROM histories"), (Rows{{"1"}, {"1"}}));
  StopUsers();
  EXPECT_EQ(Query(File("old.bak"), kNames), (Rows{{"ada"}}));
  // What was kept is a backup itself.
  EXPECT_EQ(RestoreUsers(kept.front()), 0) << output_;
  EXPECT_EQ(Kept().size(), 2U);
  EXPECT_EQ(pair_.user_db().Query(kNames), (Rows{{"ada"}, {"bob"}}));
}

TEST_F(Backup, IsNotRestoredWhileTheServiceRuns) {
  BackUpThenAddBob();
  EXPECT_EQ(RestoreUsers(File("old.bak")), 1);
  EXPECT_THAT(output_, HasSubstr("stop all processes of the service first"));
  pair_.user_process().Signal(SIGSTOP);  // does nothing at all with its database
  EXPECT_EQ(RestoreUsers(File("old.bak")), 1);
  EXPECT_THAT(output_, HasSubstr("stop all processes of the service first"));
  ExpectNothingLeft();
  pair_.user_process().Signal(SIGCONT);
  CreateUser("cecil");
  EXPECT_EQ(pair_.user_db().Query(kNames), (Rows{{"ada"}, {"bob"}, {"cecil"}}));

  // Nor over a database that nobody can read, because the service may still have it open. SQLite would read the first
  // page from the log.
  EXPECT_TRUE(WaitFor([&] { return pair_.user_db().Query("PRAGMA wal_checkpoint(TRUNCATE)").front().front() == "0"; }));
  pair_.user_process().Signal(SIGSTOP);
  std::string bytes = Bytes(users_db_);
  bytes.replace(0, 100, std::string(100, 'x'));
  Write(users_db_, bytes);
  EXPECT_EQ(RestoreUsers(File("old.bak")), 1);
  EXPECT_THAT(output_, HasSubstr("stop all processes of the service first"));
  ExpectNothingLeft();
  EXPECT_EQ(Bytes(users_db_), bytes);
}

TEST_F(Backup, ThatIsDamagedOrNotOfThisServiceIsNotRestored) {
  BackUpThenAddBob();
  pair_.StartPosts();
  // Once paired, both databases have the names of both services.
  EXPECT_TRUE(WaitFor([&] { return pair_.post_db().Number("SELECT COUNT(*) FROM instances") == 2; }));
  ASSERT_EQ(Run(kPostService, {"backup", File("posts.bak"), "--db", pair_.post_db().url()}), 0) << output_;
  StopUsers();
  const auto refused = [&](const std::string& file, const std::string& why) {
    SCOPED_TRACE(why);
    EXPECT_EQ(RestoreUsers(file), 1);
    EXPECT_THAT(output_, HasSubstr(why));
    ExpectNothingLeft();
    EXPECT_EQ(Query(users_db_, kNames), (Rows{{"ada"}, {"bob"}}));
  };
  refused(File("posts.bak"), "posts.bak: it is a database of post-service");
  refused(File("missing.bak"), "there is no file");
  refused(users_db_, "is the database itself");
  Write(File("text.bak"), std::string(5000, 'x'));
  refused(File("text.bak"), "it is no SQLite database");
  Write(File("empty.bak"), "");
  refused(File("empty.bak"), "no service has given it an identity yet");
  const std::string bytes = Bytes(File("old.bak"));
  Write(File("half.bak"), bytes.substr(0, bytes.size() / 2));
  refused(File("half.bak"), "it is");
  Write(File("damaged.bak"), bytes);
  DamageIndex(File("damaged.bak"));
  refused(File("damaged.bak"), "damaged");
  refused(Changed("PRAGMA foreign_keys = OFF; UPDATE users SET pinned_post_id = 7"), "refers to a row of post_refs");
  refused(Changed("DELETE FROM instances"), "no service has given it an identity yet");
  refused(Changed("DROP TABLE instances; UPDATE checkpoints SET feed = 'user-service'"),
          "it is a database of one that consumes the feed of user-service");
  refused(Changed("DROP TABLE schema_components"), "it has no record of migrations");
  refused(Changed("INSERT INTO schema_components VALUES ('users', 99, '0099_later', 'x', 0)"),
          "the migration 99 of users, which this release does not know");
  // The files of a process that was killed, copied as they were.
  fs::copy_file(File("old.bak"), File("raw.db"));
  Write(File("raw.db-wal"), "frames");
  refused(File("raw.db"), "it is a raw copy and no backup");
}

TEST_F(Backup, OfAnOlderSchemaIsRestoredAndMigrated) {
  BackUpThenAddBob();
  StopUsers();
  const std::string older = Changed(
      "DROP TABLE reclaimed_rows; DROP TABLE instances; DELETE FROM schema_components WHERE component IN "
      "('relation.child', 'instances')");
  EXPECT_EQ(RestoreUsers(older), 0) << output_;
  EXPECT_EQ(Query(users_db_, "SELECT COUNT(*) FROM reclaimed_rows"), (Rows{{"0"}}));
  pair_.StartUsers();
  EXPECT_EQ(pair_.user_db().Query(kNames), (Rows{{"ada"}}));
}

// SQLite applies a log to whatever file has the name of its database.
TEST_F(Backup, IsNotMixedWithTheLogOfTheDatabaseBefore) {
  BackUpThenAddBob();
  pair_.DropUsers();  // killed: bob is in the log alone
  ASSERT_GT(fs::file_size(users_db_ + "-wal"), 0U);
  EXPECT_EQ(RestoreUsers(File("old.bak")), 0) << output_;
  EXPECT_FALSE(fs::exists(users_db_ + "-wal") || fs::exists(users_db_ + "-shm"));
  EXPECT_EQ(Query(Kept().front(), kNames), (Rows{{"ada"}, {"bob"}}));
  pair_.StartUsers();
  EXPECT_EQ(pair_.user_db().Query(kNames), (Rows{{"ada"}}));
  EXPECT_EQ(pair_.user_db().Query("PRAGMA integrity_check"), (Rows{{"ok"}}));
}

TEST_F(Backup, IsNotMixedWithTheLogOfADatabaseThatIsGone) {
  BackUpThenAddBob();
  pair_.DropUsers();
  fs::remove(users_db_);
  EXPECT_EQ(RestoreUsers(File("old.bak")), 0) << output_;
  ASSERT_EQ(Kept().size(), 1U);
  EXPECT_THAT(output_, HasSubstr(Kept().front()));
  EXPECT_THAT(Kept().front(), ::testing::EndsWith("Z-wal"));
  pair_.StartUsers();
  EXPECT_EQ(pair_.user_db().Query(kNames), (Rows{{"ada"}}));
  EXPECT_EQ(pair_.user_db().Query("PRAGMA integrity_check"), (Rows{{"ok"}}));
}

TEST_F(Backup, IsRestoredOverADatabaseThatNobodyCanRead) {
  BackUpThenAddBob();
  pair_.DropUsers();
  std::string bytes = Bytes(users_db_);
  bytes.replace(0, 100, std::string(100, 'x'));
  Write(users_db_, bytes);
  fs::remove(users_db_ + "-wal");  // SQLite could mend the first page with what is in the log
  EXPECT_EQ(RestoreUsers(File("old.bak")), 0) << output_;
  ASSERT_EQ(Kept().size(), 1U) << output_;
  EXPECT_EQ(Bytes(Kept().front()), bytes);
  pair_.StartUsers();
  EXPECT_EQ(pair_.user_db().Query(kNames), (Rows{{"ada"}}));
}

TEST_F(Backup, IsRestoredWhereThereIsNoDatabase) {
  BackUpThenAddBob();
  StopUsers();
  for (const char* suffix : {"", "-wal", "-shm"}) fs::remove(users_db_ + suffix);
  EXPECT_EQ(RestoreUsers(File("old.bak")), 0) << output_;
  EXPECT_EQ(output_, absl::StrCat("restored ", users_db_, " from ", File("old.bak"), "\n"));
  ExpectNothingLeft();
  EXPECT_EQ(pair_.user_db().Query(kNames), (Rows{{"ada"}}));
}

TEST_F(Backup, IsRestoredBehindALink) {
  BackUpThenAddBob();
  StopUsers();
  fs::create_directory(File("elsewhere"));
  const std::string link = File("elsewhere/link.db");
  fs::create_symlink(users_db_, link);
  EXPECT_EQ(Run(kUserService, {"restore", File("old.bak"), "--db", "sqlite:" + link}), 0) << output_;
  EXPECT_TRUE(fs::is_symlink(link));
  EXPECT_EQ(pair_.user_db().Query(kNames), (Rows{{"ada"}}));
  EXPECT_EQ(Kept().size(), 1U);
}

}  // namespace
}  // namespace crosskey::testing
