// The end of a transaction: a body that undoes it without an error, functions that are called after the commit, and
// whether an answer is stored.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "common/db/migrations.h"
#include "common/db/sql_error.h"
#include "common/events/outbox.h"
#include "common/events/schema.h"
#include "common/idempotency/recorder.h"
#include "tests/conformance/storage.h"
#include "tests/proto/log.pb.h"
#include "tests/support/faults.h"
#include "tests/support/status_matchers.h"

namespace crosskey::testing {
namespace {

using absl::StatusCode;
using Outcome = db::Either<int64_t, std::string>;

// The name of a transaction that has fault points (common/fault/points.h).
constexpr char kName[] = "guarded_write";

class TransactionEnd : public DatabaseTest {
 protected:
  TransactionEnd() : storage_(GetParam(), 1), outbox_(storage_.database, [this] { ++notified_; }) {
    db::Schema schema{events::Schema({"peer"}), {}};
    schema.components.push_back(idempotency::Answers::Schema());
    EXPECT_THAT(db::Migrate(storage_.database, TestCall(), schema), IsOk());
  }
  ~TransactionEnd() override { ClearFaults(); }

  int64_t Events() const { return storage_.own.Number("SELECT COUNT(*) FROM outbox"); }
  int64_t Answers() const { return storage_.own.Number("SELECT COUNT(*) FROM requests"); }

  Storage storage_;
  int notified_ = 0;
  int committed_ = 0;
  events::Outbox outbox_;
};
CROSSKEY_ON_EVERY_DATABASE(TransactionEnd);

TEST_P(TransactionEnd, ABodyCanUndoAllWithoutAnError) {
  const auto outcome = storage_.database.Transact(TestCall(), kName, [&](db::Tx& tx) -> absl::StatusOr<Outcome> {
    tx.OnCommit([&] { ++committed_; });
    CROSSKEY_RETURN_IF_ERROR(tx.Insert(kInsertItem, "a").status());
    return Outcome(db::RollBack<std::string>{"found"});
  });
  ASSERT_THAT(outcome, IsOk());
  EXPECT_EQ(std::get<1>(*outcome).finding, "found");
  EXPECT_EQ(storage_.Names(), "");
  EXPECT_EQ(committed_, 0);

  // A body of the same type can also commit. It runs on the same session, which must have nothing left of the first
  // one.
  const auto second = storage_.database.Transact(TestCall(), kName, [&](db::Tx& tx) -> absl::StatusOr<Outcome> {
    tx.OnCommit([&] { ++committed_; });
    CROSSKEY_ASSIGN_OR_RETURN(const int64_t id, tx.Insert(kInsertItem, "b"));
    return Outcome(id);
  });
  ASSERT_THAT(second, IsOk());
  EXPECT_GT(std::get<0>(*second), 0);
  EXPECT_EQ(storage_.Names(), "b");
  EXPECT_EQ(committed_, 1);
}

TEST_P(TransactionEnd, ABodyThatUndoesAllPublishesNothing) {
  const auto outcome = outbox_.Transact(TestCall(), kName, [&](events::Tx& tx) -> absl::StatusOr<Outcome> {
    tx.Append({"t.Type", "subject", "payload"});
    tx.OnCommit([&] { ++committed_; });
    CROSSKEY_RETURN_IF_ERROR(tx.db().Insert(kInsertItem, "a").status());
    return Outcome(db::RollBack<std::string>{"found"});
  });
  ASSERT_THAT(outcome, IsOk());
  EXPECT_EQ(std::get<1>(*outcome).finding, "found");
  EXPECT_EQ(storage_.Names(), "");
  EXPECT_EQ(Events(), 0);
  EXPECT_EQ(notified_, 0);
  EXPECT_EQ(committed_, 0);

  const auto second = outbox_.Transact(TestCall(), kName, [&](events::Tx& tx) -> absl::StatusOr<Outcome> {
    tx.Append({"t.Type", "subject", "payload"});
    return Outcome(7);
  });
  ASSERT_THAT(second, IsOk());
  EXPECT_EQ(std::get<0>(*second), 7);
  EXPECT_EQ(Events(), 1);
  EXPECT_EQ(notified_, 1);
}

TEST_P(TransactionEnd, ARunThatIsRepeatedLeavesNothingForTheCommit) {
  int runs = 0;
  EXPECT_THAT(outbox_.Transact(TestCall(), kName,
                               [&](events::Tx& tx) -> absl::Status {
                                 tx.Append({"t.Type", "subject", "payload"});
                                 tx.OnCommit([&] { ++committed_; });
                                 if (++runs == 1) return db::MakeSqlError(db::SqlError::kRetry, "test", "conflict");
                                 return absl::OkStatus();
                               }),
              IsOk());
  EXPECT_EQ(runs, 2);
  EXPECT_EQ(Events(), 1);
  EXPECT_EQ(notified_, 1);
  EXPECT_EQ(committed_, 1);
}

// The pool has one session: if it were still in use, nobody else would get one.
TEST_P(TransactionEnd, OnCommitIsCalledAfterTheSessionIsGivenBack) {
  const auto hurried = [] { return Call::Background(absl::Seconds(5)); };
  absl::Status read = absl::UnknownError("not called");
  absl::Status written = absl::UnknownError("not called");
  EXPECT_THAT(storage_.database.Transact(
                  TestCall(), kName,
                  [&](db::Tx& tx) {
                    tx.OnCommit([&] {
                      read = storage_.database.Read(hurried(), [&](db::Connection& connection) -> absl::Status {
                        CROSSKEY_ASSIGN_OR_RETURN(const auto row, connection.QueryOne<int64_t>(kCountItems));
                        EXPECT_EQ(std::get<0>(*row), 1) << "committed";
                        return absl::OkStatus();
                      });
                      written = storage_.database.Transact(
                          hurried(), kName, [](db::Tx& own) { return own.Insert(kInsertItem, "b").status(); });
                    });
                    return tx.Insert(kInsertItem, "a").status();
                  }),
              IsOk());
  EXPECT_THAT(read, IsOk());
  EXPECT_THAT(written, IsOk());
  EXPECT_EQ(storage_.Names(), "a,b");
}

TEST_P(TransactionEnd, OnCommitIsNotCalledWithoutAKnownCommit) {
  const auto transact = [&](const absl::Status& result) {
    return storage_.database.Transact(TestCall(), kName, [&](db::Tx& tx) {
      tx.OnCommit([&] { ++committed_; });
      return result;
    });
  };
  EXPECT_FALSE(transact(absl::NotFoundError("the body's own")).ok());
  for (const char* point : {"guarded_write.before_commit=fail", "guarded_write.after_commit=fail"}) {
    SetFault(point);
    EXPECT_THAT(transact(absl::OkStatus()), StatusIs(StatusCode::kUnavailable, "DATABASE_UNAVAILABLE")) << point;
  }
  EXPECT_EQ(committed_, 0);
  EXPECT_THAT(transact(absl::OkStatus()), IsOk());
  EXPECT_EQ(committed_, 1);
}

class RecordedAnswer : public TransactionEnd {
 protected:
  RecordedAnswer()
      : answers_(
            storage_.database, [] { return absl::Now(); }, limits::kMebibyte) {
    answer_.set_note("first");
  }

  absl::Status Store(idempotency::Recorder& recorder) {
    return storage_.database.Transact(TestCall(), kName, [&](db::Tx& tx) { return recorder.Store(tx); });
  }
  // The note of the stored answer, as another process finds it.
  std::string Stored() {
    const auto found = answers_.Find(TestCall(), key_->id);
    EXPECT_THAT(found, IsOk());
    if (!found.ok() || !found->has_value()) return "nothing";
    t::Type stored;
    EXPECT_TRUE(stored.ParseFromString((*found)->bytes));
    return stored.note();
  }

  idempotency::Answers answers_;
  const std::optional<idempotency::Request> key_ =
      idempotency::Request{"00000000-0000-4000-8000-000000000001", "fingerprint"};
  const t::Type asked_;
  t::Type answer_;
};
CROSSKEY_ON_EVERY_DATABASE(RecordedAnswer);

TEST_P(RecordedAnswer, IsStoredWithTheCommit) {
  idempotency::Recorder recorder(answers_, key_, std::nullopt, asked_, answer_);
  EXPECT_FALSE(recorder.stored());
  EXPECT_THAT(Store(recorder), IsOk());
  EXPECT_TRUE(recorder.stored());
  EXPECT_FALSE(recorder.IsOutdated());
  EXPECT_EQ(Stored(), "first");
}

TEST_P(RecordedAnswer, OfATransactionThatIsUndoneIsNotTakenForStored) {
  idempotency::Recorder recorder(answers_, key_, std::nullopt, asked_, answer_);
  const auto undone = storage_.database.Transact(TestCall(), kName, [&](db::Tx& tx) -> absl::StatusOr<Outcome> {
    CROSSKEY_RETURN_IF_ERROR(recorder.Store(tx));
    return Outcome(db::RollBack<std::string>{"found"});
  });
  EXPECT_THAT(undone, IsOk());
  EXPECT_FALSE(recorder.stored());
  EXPECT_EQ(storage_.database
                .Transact(TestCall(), kName,
                          [&](db::Tx& tx) -> absl::Status {
                            CROSSKEY_RETURN_IF_ERROR(recorder.Store(tx));
                            return absl::NotFoundError("the body's own");
                          })
                .code(),
            StatusCode::kNotFound);
  EXPECT_FALSE(recorder.stored());
  EXPECT_EQ(Answers(), 0);
  // No transaction has stored the answer, so it has to be stored by a transaction of its own.
  EXPECT_TRUE(recorder.IsOutdated());
  EXPECT_THAT(Store(recorder), IsOk());
  EXPECT_EQ(Stored(), "first");
}

TEST_P(RecordedAnswer, OfACommitWhoseAnswerIsLostIsNotTakenForStored) {
  idempotency::Recorder recorder(answers_, key_, std::nullopt, asked_, answer_);
  SetFault("guarded_write.before_commit=fail");
  EXPECT_THAT(Store(recorder), StatusIs(StatusCode::kUnavailable, "DATABASE_UNAVAILABLE"));
  EXPECT_FALSE(recorder.stored());
  EXPECT_EQ(Stored(), "nothing");
  SetFault("guarded_write.after_commit=fail");
  EXPECT_THAT(Store(recorder), StatusIs(StatusCode::kUnavailable, "DATABASE_UNAVAILABLE"));
  EXPECT_FALSE(recorder.stored()) << "it is, but nobody can know";
  EXPECT_EQ(Stored(), "first");
}

TEST_P(RecordedAnswer, IsReplacedWhereTheCallKnowsMoreAtItsEnd) {
  idempotency::Recorder recorder(answers_, key_, std::nullopt, asked_, answer_);
  EXPECT_THAT(Store(recorder), IsOk());
  answer_.set_note("second");
  EXPECT_TRUE(recorder.IsOutdated());
  EXPECT_THAT(Store(recorder), IsOk());
  EXPECT_FALSE(recorder.IsOutdated());
  EXPECT_EQ(Stored(), "second");
  EXPECT_EQ(Answers(), 1);
}

TEST_P(RecordedAnswer, OfAnotherCallIsNotReplaced) {
  idempotency::Recorder faster(answers_, key_, std::nullopt, asked_, answer_);
  EXPECT_THAT(Store(faster), IsOk());
  t::Type other;
  other.set_note("slower");
  idempotency::Recorder slower(answers_, key_, std::nullopt, asked_, other);
  EXPECT_EQ(db::SqlErrorOf(Store(slower)), db::SqlError::kDuplicate);
  EXPECT_FALSE(slower.stored());
  EXPECT_EQ(Stored(), "first");
}

TEST_P(RecordedAnswer, WithoutAKeyIsNotStored) {
  const std::optional<idempotency::Request> none;
  idempotency::Recorder recorder(answers_, none, std::nullopt, asked_, answer_);
  EXPECT_THAT(Store(recorder), IsOk());
  EXPECT_FALSE(recorder.stored());
  EXPECT_FALSE(recorder.IsOutdated());
  EXPECT_EQ(Answers(), 0);
}

TEST_P(RecordedAnswer, IsMadeOfTheResultAndAnewInEveryRun) {
  idempotency::Recorder recorder(answers_, key_, std::nullopt, asked_, answer_);
  const idempotency::Record<int64_t> record = recorder.Of<int64_t>([&](const int64_t& run) {
    EXPECT_EQ(answer_.note(), "") << "empty before";
    answer_.set_note(run == 1 ? "of the first run" : "of the second run");
  });
  int64_t run = 0;
  EXPECT_THAT(storage_.database.Transact(TestCall(), kName,
                                         [&](db::Tx& tx) -> absl::Status {
                                           CROSSKEY_RETURN_IF_ERROR(record(tx, ++run));
                                           if (run > 1) return absl::OkStatus();
                                           return db::MakeSqlError(db::SqlError::kRetry, "test", "conflict");
                                         }),
              IsOk());
  EXPECT_TRUE(recorder.stored());
  EXPECT_FALSE(recorder.IsOutdated());
  EXPECT_EQ(Stored(), "of the second run");
}

}  // namespace
}  // namespace crosskey::testing
