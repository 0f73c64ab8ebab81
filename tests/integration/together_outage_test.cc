// What a database does in the middle of a batch: a conflict, a lost COMMIT, lost sessions, a table that changes.
#include "absl/strings/str_cat.h"
#include "tests/integration/together.h"
#include "tests/support/cut_sessions.h"

namespace crosskey::testing {
namespace {

const auto kUnavailable = GrpcError(grpc::StatusCode::UNAVAILABLE, "DATABASE_UNAVAILABLE");

class TogetherOutage : public Together {};
CROSSKEY_ON_EVERY_DATABASE(TogetherOutage);

TEST_P(TogetherOutage, AConflictOfTheTransactionIsNoErrorOfItsCalls) {
  const int64_t ada = KnownUser("ada");
  const double before = MetricOf(metrics(), "crosskey_db_retries_total");
  const auto answers = CreateAsOneBatch({Create(ada, "a", NewUuid()), Create(ada, "b"), Create(ada, "c")},
                                        "sql:posts.insert_all=1213@1");
  EXPECT_GE(MetricOf(metrics(), "crosskey_db_retries_total"), before + 1);
  for (const auto& answer : answers) EXPECT_THAT(answer.status, GrpcOk());
  EXPECT_EQ(Posts("a") + Posts("b") + Posts("c"), 3);
}

TEST_P(TogetherOutage, IfTheCommitIsLostEveryCallIsToldAndNoneIsDoneAgain) {
  const int64_t ada = KnownUser("ada");
  for (const bool before : {true, false}) {
    const std::string title = before ? "before" : "after", id = NewUuid();
    const auto answers =
        CreateAsOneBatch({Create(ada, title), Create(ada, title, id), Create(ada, title)},
                         absl::StrCat("guarded_write.", before ? "before" : "after", "_commit=fail@*"));
    EXPECT_THAT(answers[0].status, kUnavailable);
    EXPECT_THAT(answers[2].status, kUnavailable);
    // The call with a request_id finds its answer, if there is one. Its second COMMIT is lost as well.
    EXPECT_EQ(answers[1].status.ok(), !before);
    EXPECT_EQ(Posts(title), before ? 0 : 3);
    // The client sends it again, and there is one effect whatever has become of the first one.
    EXPECT_THAT(Send(pair_, Create(ada, title, id)).status, GrpcOk());
    EXPECT_EQ(Posts(title), before ? 1 : 3);
  }
}

class TogetherOutageOnServer : public Together {};
CROSSKEY_ON_EVERY_SERVER(TogetherOutageOnServer);

// The transaction had its locks and had written nothing. It is run again on a session that works.
TEST_P(TogetherOutageOnServer, IfAllSessionsAreLostTheBatchIsDoneAgainOnce) {
  if (GetParam() == "mysql") GTEST_SKIP() << "the statement that ends the sessions is MariaDB's";
  const int64_t ada = KnownUser("ada"), bob = KnownUser("bob");
  const std::string id = NewUuid();
  const double before = MetricOf(metrics(), "crosskey_db_retries_total");
  const auto answers =
      CreateAsOneBatch({Create(ada, "cut"), Create(bob, "cut", id), Create(kNoSuchId, "cut"), Create(bob, "cut")}, "",
                       [this] { CutSessions(pair_.post_db()); });
  EXPECT_GE(MetricOf(metrics(), "crosskey_db_retries_total"), before + 1);
  for (const size_t i : {0, 1, 3}) EXPECT_THAT(answers[i].status, GrpcOk()) << i;
  EXPECT_EQ(answers[2].status.error_code(), grpc::StatusCode::FAILED_PRECONDITION);
  EXPECT_EQ(Posts("cut"), 3);
  EXPECT_EQ(Send(pair_, Create(bob, "cut", id))->ShortDebugString(), answers[1]->ShortDebugString());
  EXPECT_EQ(Posts("cut"), 3);
}

// As a migration of a newer release does it while this one runs. The statements have been prepared for the old table.
TEST_P(TogetherOutageOnServer, ATableThatChangesFailsNoCallOfTheBatch) {
  const int64_t ada = KnownUser("ada"), bob = KnownUser("bob");
  const auto create = [&](const std::string& title) {
    return std::vector{Create(ada, title), Create(bob, title, NewUuid()), Create(ada, title)};
  };
  CreateAsOneBatch(create("before"));
  const auto answers = CreateAsOneBatch(create("after"), "", [this] {
    pair_.post_db().Run("ALTER TABLE posts ADD COLUMN more INTEGER NOT NULL DEFAULT 7, MODIFY title VARCHAR(200)");
  });
  for (const auto& answer : answers) {
    ASSERT_THAT(answer.status, GrpcOk());
    EXPECT_EQ(GetPost(pair_, answer->post().id()).ShortDebugString(), answer->post().ShortDebugString());
  }
  EXPECT_EQ(pair_.post_db().Number("SELECT COUNT(*) FROM posts WHERE title = 'after' AND more = 7"), 3);
}

}  // namespace
}  // namespace crosskey::testing
