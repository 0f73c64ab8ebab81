// Takes over databases of the release before that stopped in the middle of everything. What had begun has to end as it
// would have, and what was stored still counts. older_release/README.md says what is in these databases.
#include <fstream>
#include <sstream>

#include <gmock/gmock.h>
#include <google/protobuf/text_format.h>

#include "absl/strings/escaping.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "common/db/migrations.h"
#include "post-service/storage/schema.h"
#include "tests/support/pair.h"
#include "tests/support/status_matchers.h"
#include "tests/support/wait.h"
#include "user-service/storage/schema.h"

namespace crosskey::testing {
namespace {

using post::v1::PostService;
using ::testing::AllOf;
using ::testing::ElementsAreArray;
using ::testing::HasSubstr;
using user::v1::UserService;
using Rows = std::vector<std::vector<std::string>>;

constexpr auto kIntent = user::v1::DELETION_STATE_INTENT;
constexpr auto kRefused = user::v1::DELETION_STATE_REFUSED;
constexpr auto kReclaiming = user::v1::DELETION_STATE_RECLAIMING;
constexpr auto kCompleted = user::v1::DELETION_STATE_COMPLETED;

// How each deletion ends.
struct Ending {
  int64_t user_id;
  int64_t deletion_id;
  user::v1::DeletionState state;
  int64_t posts;
  int64_t likes;
};

const Ending kEndings[] = {
    {3, 2, kCompleted, 3, 4},   {4, 3, kCompleted, 0, 2},    {5, 1, kRefused, 0, 0},     {6, 4, kCompleted, 0, 2},
    {7, 5, kCompleted, 4, 3},   {8, 6, kCompleted, 1100, 0}, {9, 7, kCompleted, 2, 2},   {10, 8, kCompleted, 2, 3},
    {11, 9, kCompleted, 3, 1},  {12, 11, kCompleted, 2, 2},  {13, 12, kCompleted, 0, 1}, {14, 13, kRefused, 0, 0},
    {15, 14, kCompleted, 0, 2}, {16, 15, kCompleted, 2, 1},  {21, 10, kCompleted, 0, 0},
};

void ExpectEnding(const user::v1::UserDeletion& deletion, const Ending& ending) {
  EXPECT_EQ(deletion.deletion_id(), ending.deletion_id) << deletion.ShortDebugString();
  EXPECT_EQ(deletion.state(), ending.state) << deletion.ShortDebugString();
  EXPECT_EQ(deletion.posts(), ending.posts) << deletion.ShortDebugString();
  EXPECT_EQ(deletion.likes(), ending.likes) << deletion.ShortDebugString();
}

// Loads one database of the older release; `name` is "user" or "post". Its times are set to now, because services
// forget by age.
void Load(const TestDatabase& database, const std::string& name) {
  const std::string path = absl::StrCat(CROSSKEY_SOURCE_DIR "/tests/integration/older_release/",
                                        database.is_sqlite() ? "sqlite/" : "mysql/", name, ".sql");
  std::ifstream file(path);
  std::stringstream text;
  text << file.rdbuf();
  ASSERT_TRUE(file) << path;
  database.Run(text.str());
  const int64_t now = absl::ToUnixMicros(absl::Now());
  database.Run(absl::StrCat("UPDATE requests SET time = ", now));
  database.Run(absl::StrCat("UPDATE outbox SET time = ", now));
  if (name == "post") return;
  // Intents are recovered once they are older than some seconds.
  database.Run(absl::StrCat("UPDATE user_deletions SET create_time = ", now - 60'000'000));
  database.Run(absl::StrCat("UPDATE user_deletions SET complete_time = ", now, " WHERE complete_time IS NOT NULL"));
}

Rows OlderMigrations(const TestDatabase& database) {
  return database.Query("SELECT * FROM schema_migrations ORDER BY number");
}

// The names of the tables, and the rows that say which migrations they have.
Rows SchemaOf(const TestDatabase& database) {
  Rows rows = database.Query(
      database.is_sqlite()
          ? "SELECT name FROM sqlite_master ORDER BY name"
          : "SELECT table_name FROM information_schema.tables WHERE table_schema = DATABASE() ORDER BY 1");
  for (auto& row : OlderMigrations(database)) rows.push_back(std::move(row));
  return rows;
}

template <typename Message>
Message Parse(const std::string& text) {
  Message message;
  EXPECT_TRUE(google::protobuf::TextFormat::ParseFromString(text, &message)) << text;
  return message;
}

std::string RequestId(int number) { return absl::StrFormat("00000000-0000-4000-8000-%012d", number); }

// Sends the request with this number again.
template <typename Stub, typename Request, typename Response>
grpc::Status SendAgain(Stub& stub, grpc::Status (Stub::*method)(grpc::ClientContext*, const Request&, Response*),
                       int number, const std::string& text, Response* response) {
  auto request = Parse<Request>(text);
  request.set_request_id(RequestId(number));
  return Invoke(stub, method, request, response);
}

// Sends a request again, which has to be answered with the stored answer.
template <typename Stub, typename Request, typename Response>
void ExpectStored(const TestDatabase& database, Stub& stub,
                  grpc::Status (Stub::*method)(grpc::ClientContext*, const Request&, Response*), int number,
                  const std::string& text) {
  const auto rows =
      database.Query(absl::StrCat("SELECT HEX(answer) FROM requests WHERE request_id = '", RequestId(number), "'"));
  ASSERT_EQ(rows.size(), 1u) << number;
  Response stored;
  ASSERT_TRUE(stored.ParseFromString(absl::HexStringToBytes(rows.front().front()))) << number;
  Response response;
  EXPECT_THAT(SendAgain(stub, method, number, text, &response), GrpcOk()) << number;
  EXPECT_EQ(response.ShortDebugString(), stored.ShortDebugString()) << number;
}

class Adoption : public DatabaseTest {
 protected:
  Adoption() : pair_(GetParam(), false) {}

  void SetUp() override {
    Load(pair_.user_db(), "user");
    Load(pair_.post_db(), "post");
    user_migrations_ = OlderMigrations(pair_.user_db());
    post_migrations_ = OlderMigrations(pair_.post_db());
    ASSERT_EQ(user_migrations_.size(), 7u);
    ASSERT_EQ(post_migrations_.size(), 6u);
  }

  void Start() {
    pair_.StartUsers();
    pair_.StartPosts();
  }
  // While held, nothing goes on by itself.
  void Hold(bool hold) {
    pair_.hold_user_consumer = pair_.hold_post_consumer = pair_.hold_reclaim = pair_.hold_recovery = hold;
  }
  void AwaitEndings() {
    for (const Ending& ending : kEndings) pair_.AwaitState(ending.user_id, ending.state);
    pair_.AwaitQuiet();
  }
  grpc::Status RepeatDelete(int number, const std::string& text, user::v1::UserDeletion* deletion) {
    user::v1::DeleteUserResponse response;
    const grpc::Status status = SendAgain(pair_.users(), &UserService::Stub::DeleteUser, number, text, &response);
    *deletion = response.deletion();
    return status;
  }

  Pair pair_;
  Rows user_migrations_;
  Rows post_migrations_;
};
CROSSKEY_ON_EVERY_DATABASE(Adoption);

TEST_P(Adoption, EveryDeletionEndsAsItWouldHave) {
  Start();
  AwaitEndings();
  for (const Ending& ending : kEndings) ExpectEnding(pair_.GetDeletion(ending.user_id), ending);
  EXPECT_EQ(pair_.Orphans(), 0);
  EXPECT_THAT(pair_.user_db().Query("SELECT id, state, version, pinned_post_id FROM users ORDER BY id"),
              ElementsAreArray(Rows{{"1", "1", "3", "9"},
                                    {"2", "1", "3", "NULL"},
                                    {"5", "1", "2", "NULL"},
                                    {"14", "1", "2", "5"},
                                    {"17", "1", "2", "NULL"},
                                    {"18", "1", "2", "NULL"},
                                    {"19", "1", "1", "NULL"},
                                    {"20", "1", "1", "NULL"}}));
  EXPECT_THAT(pair_.post_db().Query("SELECT id, user_id, state, version, like_count FROM posts ORDER BY id"),
              ElementsAreArray(Rows{{"1", "1", "1", "1", "3"},
                                    {"2", "1", "1", "2", "2"},
                                    {"3", "1", "1", "1", "0"},
                                    {"4", "1", "1", "1", "0"},
                                    {"5", "1", "1", "2", "1"},
                                    {"9", "2", "1", "1", "0"},
                                    {"10", "2", "1", "1", "0"},
                                    {"1129", "18", "1", "1", "0"},
                                    {"1130", "2", "1", "2", "0"},
                                    {"1131", "5", "1", "1", "0"},
                                    {"1132", "19", "1", "1", "0"},
                                    {"1133", "14", "1", "1", "0"}}));
  EXPECT_THAT(pair_.post_db().Query("SELECT id, post_id, user_id FROM likes ORDER BY id"),
              ElementsAreArray(Rows{{"7", "1", "5"},
                                    {"24", "5", "14"},
                                    {"31", "2", "2"},
                                    {"34", "1", "17"},
                                    {"39", "2", "18"},
                                    {"41", "1", "19"}}));
  EXPECT_THAT(pair_.post_db().Query("SELECT id, state, refused_through, deletion_id FROM user_refs ORDER BY id"),
              ElementsAreArray(Rows{{"1", "1", "0", "0"},
                                    {"2", "1", "0", "0"},
                                    {"5", "1", "1", "0"},
                                    {"14", "1", "13", "0"},
                                    {"17", "1", "0", "0"},
                                    {"18", "1", "0", "0"},
                                    {"19", "1", "0", "0"},
                                    {"20", "1", "0", "0"}}));
  EXPECT_EQ(pair_.post_db().Number("SELECT COUNT(*) FROM reclaimed_rows"), 0);
  EXPECT_EQ(pair_.user_db().Number("SELECT COUNT(*) FROM reclaimed_rows"), 0);
}

TEST_P(Adoption, WhatIsStoredIsReadAsItWas) {
  Hold(true);
  Start();
  // This also holds while deletions are under way: the posts of users 11 and 16, who have not been released, are
  // visible, and those of released users are hidden.
  EXPECT_THAT(pair_.ListPostIds(1), ElementsAreArray({1, 2, 3, 4, 5}));
  EXPECT_THAT(pair_.ListPostIds(2), ElementsAreArray({9, 10, 1130}));
  EXPECT_THAT(pair_.ListPostIds(11), ElementsAreArray({22, 23, 24}));
  EXPECT_THAT(pair_.ListPostIds(16), ElementsAreArray({27, 28}));
  for (const int64_t hidden : {7, 8, 9, 10, 12}) EXPECT_TRUE(pair_.ListPostIds(hidden).empty()) << hidden;
  post::v1::GetPostResponse post;
  EXPECT_THAT(Invoke(pair_.posts(), &PostService::Stub::GetPost, Parse<post::v1::GetPostRequest>("id: 2"), &post),
              GrpcOk());
  EXPECT_EQ(post.post().title(), "Ada 2, second");
  EXPECT_EQ(post.post().content(), "changed");
  EXPECT_EQ(post.post().etag(), "v2");
  EXPECT_THAT(Invoke(pair_.posts(), &PostService::Stub::GetPost, Parse<post::v1::GetPostRequest>("id: 1"), &post),
              GrpcOk());
  EXPECT_EQ(post.post().like_count(), 5);
  EXPECT_THAT(Invoke(pair_.posts(), &PostService::Stub::GetPost, Parse<post::v1::GetPostRequest>("id: 9"), &post),
              GrpcOk());
  EXPECT_EQ(post.post().content().size(), 75u);
  user::v1::User hugo;
  EXPECT_THAT(pair_.TryGetUser(18, &hugo), GrpcOk());
  EXPECT_EQ(hugo.username(), "hugo 'Ω' \\ \"🦊\"");
  user::v1::User ivan;
  EXPECT_THAT(pair_.TryGetUser(17, &ivan), GrpcOk());
  EXPECT_FALSE(ivan.has_pinned_post_id()) << "the post is deleted, though the pin is not cleared yet";

  for (const Ending& over : {kEndings[0], kEndings[1], kEndings[2]}) {
    ExpectEnding(pair_.GetDeletion(over.user_id), over);
    EXPECT_TRUE(pair_.GetDeletion(over.user_id).has_complete_time());
  }
  EXPECT_EQ(pair_.GetDeletion(14).state(), kIntent);
  EXPECT_EQ(pair_.GetDeletion(11).state(), user::v1::DELETION_STATE_PENDING);
  EXPECT_EQ(pair_.GetDeletion(7).state(), kReclaiming);
  EXPECT_EQ(pair_.GetDeletion(7).posts(), 0) << "counted when it is over";
}

TEST_P(Adoption, AnswersToRequestIdsStillCount) {
  Hold(true);
  Start();
  const TestDatabase& users = pair_.user_db();
  ExpectStored(users, pair_.users(), &UserService::Stub::CreateUser, 1, R"(username: "hugo 'Ω' \\ \"🦊\"")");
  ExpectStored(users, pair_.users(), &UserService::Stub::DeleteUser, 4, "id: 3");
  ExpectStored(users, pair_.users(), &UserService::Stub::UpdateUser, 5,
               R"(user { id: 2 pinned_post_id: 20 } update_mask { paths: "pinned_post_id" })");
  ExpectStored(users, pair_.users(), &UserService::Stub::DeleteUser, 6, "id: 9 on_delete: REFERENTIAL_ACTION_CASCADE");
  ExpectStored(users, pair_.users(), &UserService::Stub::UpdateUser, 8, R"(user { id: 1 username: "ada lovelace" })");
  ExpectStored(users, pair_.users(), &UserService::Stub::CreateUser, 12, R"(username: "nils")");
  const TestDatabase& posts = pair_.post_db();
  ExpectStored(posts, pair_.posts(), &PostService::Stub::CreatePost, 2, R"(title: "Grace 2" content: "x" user_id: 2)");
  ExpectStored(posts, pair_.posts(), &PostService::Stub::BatchCreatePosts, 3,
               R"(requests { title: "Hugo 1" user_id: 18 } requests { title: "Hugo 2" user_id: 18 })");
  ExpectStored(posts, pair_.posts(), &PostService::Stub::UpdatePost, 7, "post { id: 1130 user_id: 2 }");
  ExpectStored(posts, pair_.posts(), &PostService::Stub::DeletePost, 9, "id: 7");
  ExpectStored(posts, pair_.posts(), &PostService::Stub::LikePost, 10, "post_id: 2 user_id: 18");
  ExpectStored(posts, pair_.posts(), &PostService::Stub::UnlikePost, 11, "post_id: 3 user_id: 2");

  // The stored answer is provisional, an INTENT. A repetition takes the deletion further, and its answer is the final
  // one.
  user::v1::UserDeletion deletion;
  for (int i = 0; i < 2; ++i) {
    EXPECT_THAT(RepeatDelete(13, "id: 12", &deletion), GrpcOk());
    EXPECT_EQ(deletion.state(), kReclaiming);
    EXPECT_EQ(deletion.deletion_id(), 11);
  }
  Hold(false);
  AwaitEndings();
  EXPECT_THAT(RepeatDelete(13, "id: 12", &deletion), GrpcOk());
  EXPECT_EQ(deletion.state(), kReclaiming);
  EXPECT_THAT(RepeatDelete(14, "id: 13 on_delete: REFERENTIAL_ACTION_RESTRICT", &deletion), GrpcOk());
  ExpectEnding(deletion, {13, 12, kCompleted, 0, 1});
  EXPECT_THAT(RepeatDelete(16, "id: 16 on_delete: REFERENTIAL_ACTION_CASCADE", &deletion), GrpcOk());
  ExpectEnding(deletion, {16, 15, kCompleted, 2, 1});
  EXPECT_THAT(RepeatDelete(15, "id: 14 on_delete: REFERENTIAL_ACTION_RESTRICT", &deletion),
              GrpcError(grpc::StatusCode::FAILED_PRECONDITION, "RESTRICTED"));
  // No repetition had a second effect.
  for (const Ending& ending : kEndings) ExpectEnding(pair_.GetDeletion(ending.user_id), ending);
  EXPECT_EQ(pair_.post_db().Number("SELECT COUNT(*) FROM posts"), 12);
  EXPECT_EQ(pair_.post_db().Number("SELECT COUNT(*) FROM likes"), 6);
  EXPECT_EQ(pair_.user_db().Number("SELECT SUM(version) FROM users"), 16);
  EXPECT_EQ(pair_.Orphans(), 0);
}

TEST_P(Adoption, NoIdIsUsedAgain) {
  Start();
  AwaitEndings();
  const int64_t user = pair_.CreateUser("new");
  EXPECT_EQ(user, 22);
  EXPECT_EQ(pair_.CreatePost(user), 1134);
  post::v1::LikePostResponse liked;
  EXPECT_THAT(Invoke(pair_.posts(), &PostService::Stub::LikePost,
                     Parse<post::v1::LikePostRequest>("post_id: 1134 user_id: 22"), &liked),
              GrpcOk());
  EXPECT_EQ(pair_.post_db().Number("SELECT MAX(id) FROM likes"), 42);
  EXPECT_EQ(pair_.Delete(user).deletion_id(), 16);
  pair_.AwaitState(user, kCompleted);
  ExpectEnding(pair_.GetDeletion(user), {user, 16, kCompleted, 1, 1});
}

TEST_P(Adoption, IsDoneOnceAndLeavesTheOldListOfMigrations) {
  Start();
  AwaitEndings();
  const auto components = [](const TestDatabase& database) {
    return database.Query("SELECT component, number, checksum, apply_time FROM schema_components ORDER BY 1, 2");
  };
  const Rows user_components = components(pair_.user_db());
  const Rows post_components = components(pair_.post_db());
  EXPECT_FALSE(user_components.empty());
  // If the adoption were done again, it would take this for a count of the older release.
  pair_.user_db().Run("UPDATE user_deletions SET posts = 77, likes = 77");
  pair_.StopUsers();
  pair_.StopPosts();
  Start();
  EXPECT_EQ(components(pair_.user_db()), user_components);
  EXPECT_EQ(components(pair_.post_db()), post_components);
  for (const Ending& ending : kEndings) ExpectEnding(pair_.GetDeletion(ending.user_id), ending);
  EXPECT_EQ(OlderMigrations(pair_.user_db()), user_migrations_);
  EXPECT_EQ(OlderMigrations(pair_.post_db()), post_migrations_);
}

class InterruptedAdoption : public DatabaseTest {
 protected:
  // Migrates a database of the older release. Attempt number n fails at its n-th statement. Returns how many attempts
  // failed.
  static int Migrate(const TestDatabase& own, const db::Schema& schema) {
    for (int attempt = 1; attempt < 1000; ++attempt) {
      telemetry::Metrics metrics("test", "0");
      db::DatabaseOptions options;
      options.url = db::ParseUrl(own.url()).value();
      db::Database database(options, metrics);
      int statements = 0;
      database.set_seam({[&](db::Connection&, const db::Sql& sql, db::Rendered&) -> absl::Status {
                           // A process that ends lets go of its lock and its transaction without these statements, so
                           // they do not fail here.
                           if (sql.name == "migrations.unlock" || sql.name == "transaction.rollback") {
                             return absl::OkStatus();
                           }
                           if (++statements == attempt) return absl::InternalError("interrupted");
                           return absl::OkStatus();
                         },
                         nullptr});
      if (db::Migrate(database, Call::Background(absl::Seconds(60)), schema).ok()) return attempt - 1;
    }
    return -1;
  }
};
CROSSKEY_ON_EVERY_DATABASE(InterruptedAdoption);

TEST_P(InterruptedAdoption, IsBegunAgain) {
  const TestDatabase user_db(GetParam());
  Load(user_db, "user");
  EXPECT_GT(Migrate(user_db, users::Schema()), 3);
  EXPECT_THAT(user_db.Query("SELECT deletion_id, relationship, removed FROM deletion_rows ORDER BY 1, 2"),
              ElementsAreArray(Rows{{"2", "post.v1.Like.user_id", "4"},
                                    {"2", "post.v1.Post.user_id", "3"},
                                    {"3", "post.v1.Like.user_id", "2"},
                                    {"3", "post.v1.Post.user_id", "0"}}));

  const TestDatabase post_db(GetParam());
  Load(post_db, "post");
  EXPECT_GT(Migrate(post_db, posts::Schema()), 3);
  EXPECT_THAT(post_db.Query("SELECT parent_id, relationship, removed FROM reclaimed_rows ORDER BY 1, 2"),
              ElementsAreArray(Rows{{"7", "post.v1.Like.user_id", "3"},
                                    {"7", "post.v1.Post.user_id", "4"},
                                    {"8", "post.v1.Post.user_id", "1000"}}));
  EXPECT_EQ(post_db.Number("SELECT COUNT(*) FROM posts"), 129);
}

class RefusedAdoption : public DatabaseTest {
 protected:
  // What `migrate` says to a database of the older release after this change. It has to refuse, and to leave the
  // database as it is.
  static std::string Refusal(const std::string& name, const std::string& change) {
    const TestDatabase own(GetParam());
    Load(own, name);
    own.Run(change);
    const Rows before = SchemaOf(own);
    telemetry::Metrics metrics("test", "0");
    db::DatabaseOptions options;
    options.url = db::ParseUrl(own.url()).value();
    db::Database database(options, metrics);
    const Call call = Call::Background(absl::Seconds(60));
    const db::Schema schema = name == "user" ? users::Schema() : posts::Schema();
    const absl::Status status = db::Migrate(database, call, schema);
    EXPECT_EQ(status.code(), absl::StatusCode::kFailedPrecondition);
    EXPECT_EQ(SchemaOf(own), before);
    EXPECT_THAT(std::string(db::CheckSchema(database, call, schema).message()), HasSubstr("older release"));
    return std::string(status.message());
  }
};
CROSSKEY_ON_EVERY_DATABASE(RefusedAdoption);

TEST_P(RefusedAdoption, OfADatabaseThatLacksTheLastMigration) {
  EXPECT_THAT(
      Refusal("user", "DELETE FROM schema_migrations WHERE number = 7"),
      AllOf(HasSubstr("the last of its 6 migrations is 0006_deletion_traceparent"), HasSubstr("the 7 of the release")));
  EXPECT_THAT(Refusal("post", "DELETE FROM schema_migrations WHERE number = 6"),
              AllOf(HasSubstr("the last of its 5 migrations is 0005_"), HasSubstr("the 6 of the release")));
}

TEST_P(RefusedAdoption, OfADatabaseWithMigrationsThatNobodyKnows) {
  for (const char* name : {"user", "post"}) {
    EXPECT_THAT(Refusal(name, "UPDATE schema_migrations SET checksum = 'another' WHERE number = 3"),
                HasSubstr("another release"));
    EXPECT_THAT(Refusal(name, "INSERT INTO schema_migrations VALUES (99, '0099_later', 'later', 0)"),
                HasSubstr("0099_later"));
  }
}

TEST_P(RefusedAdoption, OfTheDatabaseOfTheOtherService) {
  const TestDatabase own(GetParam());
  Load(own, "post");
  telemetry::Metrics metrics("test", "0");
  db::DatabaseOptions options;
  options.url = db::ParseUrl(own.url()).value();
  db::Database database(options, metrics);
  const Rows before = SchemaOf(own);
  EXPECT_EQ(db::Migrate(database, Call::Background(absl::Seconds(60)), users::Schema()).code(),
            absl::StatusCode::kFailedPrecondition);
  EXPECT_EQ(SchemaOf(own), before);
}

}  // namespace
}  // namespace crosskey::testing
