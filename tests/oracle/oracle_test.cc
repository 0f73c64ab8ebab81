// Makes one random history of writes in the pair of services and in one database with real foreign keys. Every call
// must have the same status in both, and leave the same rows.
#include "tests/oracle/oracle.h"

#include <chrono>
#include <cstdio>
#include <deque>
#include <map>
#include <set>

#include <gtest/gtest.h>

#include "absl/strings/str_cat.h"
#include "tests/oracle/comparison.h"
#include "tests/oracle/operations.h"
#include "tests/support/integrity.h"
#include "tests/support/pair.h"
#include "tests/support/wait.h"
#include "tests/workload/settings.h"

namespace crosskey::testing {
namespace {

constexpr uint64_t kSeed = 20;
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
constexpr int kSteps = 1000;  // a step takes several times as long, so this is only the first part of the same history
#else
constexpr int kSteps = 3000;
#endif
constexpr int kStepsBetweenQuiet = 250;
constexpr size_t kKept = 30;   // answers that may be asked for again
constexpr size_t kShown = 10;  // operations in the report of a difference

// Makes a history, up to the first difference.
class History {
 public:
  History(const std::string& backend, uint64_t seed)
      : pair_(backend), comparison_(pair_, oracle_, seed + 1), seed_(seed), random_(seed) {}

  void Run(int steps) {
    for (step_ = 1; step_ <= steps; ++step_) {
      if (Chance(random_, 2)) pair_.hold_reclaim = !pair_.hold_reclaim;
      if (!kept_.empty() && Chance(random_, 4)) {
        RepeatAnOldOne();
      } else {
        Step();
      }
      if (step_ % kStepsBetweenQuiet == 0 || step_ == steps) CompareInQuiet();
      if (!comparison_.differences().empty()) {
        ADD_FAILURE() << Report();
        return;
      }
    }
  }

  // How often the oracle gave each status.
  const std::map<std::string, int>& statuses() const { return statuses_; }
  int held() const { return held_; }

 private:
  struct Kept {
    Operation operation;  // in the ids of the services
    std::string bytes;
  };

  void Step() {
    const Operation operation = RandomOperation(random_, oracle_.Look());
    Remember(Describe(operation));
    Touched touched = TouchedBy(operation);
    LetReclaim(operation);
    held_ += pair_.hold_reclaim ? 1 : 0;
    const Operation sent = comparison_.ToPair(operation);
    const bool may_join = MayJoin(sent);
    if (operation.validate_only) ComparePreview(operation, sent);
    ExpectDeletion(operation);

    Oracle::Answer answer = oracle_.Apply(operation);
    ++statuses_[*answer.statuses.begin()];
    if (may_join && !answer.ok()) answer.statuses.insert("OK");
    const Outcome outcome = Send(pair_, sent);
    if (answer.statuses.count(outcome.status) == 0) {
      comparison_.Expect("the status", {answer.statuses.begin(), answer.statuses.end()}, {outcome.status});
      return;
    }
    if (operation.twice) Repeat(sent, outcome);
    if (outcome.ok()) comparison_.CompareAnswer(operation, outcome);
    if (outcome.ok() && !sent.request_id.empty() && !sent.validate_only) Keep({sent, outcome.bytes});
    AddCreated(operation, outcome, touched);
    comparison_.ComparePosts(touched);
    comparison_.CompareNames();
    const bool deletes = operation.kind == Kind::kDeletePost || operation.kind == Kind::kDeleteUser;
    if (deletes && outcome.ok()) AwaitPins();
    comparison_.CompareUsers(touched);
  }

  // What the operation concerns, in ids of the oracle. It is looked up before the operation, so that it includes what a
  // deletion takes with it.
  Touched TouchedBy(const Operation& operation) {
    Touched touched;
    if (operation.user != 0) touched.users.insert(operation.user);
    if (operation.author.has_value()) touched.users.insert(*operation.author);
    touched.users.insert(operation.authors.begin(), operation.authors.end());
    if (operation.post != 0) touched.posts.insert(operation.post);
    if (operation.pin.has_value()) touched.posts.insert(*operation.pin);
    if (operation.kind != Kind::kDeleteUser) return touched;
    for (const int64_t post :
         oracle_.Numbers(absl::StrCat("SELECT id FROM posts WHERE user_id = ", operation.user,
                                      " UNION SELECT post_id FROM likes WHERE user_id = ", operation.user))) {
      touched.posts.insert(post);
    }
    return touched;
  }

  void AddCreated(const Operation& operation, const Outcome& outcome, Touched& touched) {
    if (!outcome.ok()) return;
    if (operation.kind == Kind::kCreateUser) touched.users.insert(comparison_.users.count());
    for (size_t i = 0; operation.kind == Kind::kCreatePosts && i < operation.authors.size(); ++i) {
      touched.posts.insert(comparison_.posts.count() - static_cast<int64_t>(i));
    }
  }

  // user-service learns from the reclaim which posts went with their user. Until then it keeps the pins of such posts,
  // and lets users pin those that it knows from an earlier pin. One database would do neither, so the reclaim is let go
  // before an operation where that would show: the deletion of a user whose posts others have pinned, and a pin of a
  // post that went with its user.
  void LetReclaim(const Operation& operation) {
    if (TakesPinnedPosts(operation)) pair_.hold_reclaim = false;
    if (!operation.pin.has_value() || went_with_user_.count(*operation.pin) == 0) return;
    pair_.hold_reclaim = false;
    AwaitPins();
  }

  bool TakesPinnedPosts(const Operation& operation) {
    if (operation.kind != Kind::kDeleteUser) return false;
    return oracle_.Number(
               absl::StrCat("SELECT COUNT(*) FROM users u JOIN posts p ON p.id = u.pinned_post_id WHERE p.user_id = ",
                            operation.user, " AND u.id <> ", operation.user)) > 0;
  }

  // Whether the operation may join a deletion that is not completed, because it has the same action. Then the services
  // answer OK where one database says that there is no such user.
  bool MayJoin(const Operation& sent) {
    if (sent.kind != Kind::kDeleteUser) return false;
    user::v1::GetUserDeletionRequest request;
    request.set_user_id(sent.user);
    user::v1::GetUserDeletionResponse response;
    const grpc::Status status =
        Invoke(pair_.users(), &user::v1::UserService::Stub::GetUserDeletion, request, &response);
    return status.ok() && response.deletion().state() == user::v1::DELETION_STATE_RECLAIMING &&
           response.deletion().on_delete() == Taken(sent);
  }

  static ::relation::v1::ReferentialAction Taken(const Operation& operation) {
    return operation.action == ::relation::v1::REFERENTIAL_ACTION_UNSPECIFIED
               ? ::relation::v1::REFERENTIAL_ACTION_CASCADE
               : operation.action;
  }

  int64_t PostsOf(int64_t user) {
    return oracle_.Number(absl::StrCat("SELECT COUNT(*) FROM posts WHERE user_id = ", user));
  }

  void ComparePreview(const Operation& operation, const Operation& sent) {
    if (!oracle_.HasUser(operation.user)) return;
    const Outcome preview = Send(pair_, sent);
    if (!preview.ok()) return;  // the step itself compares the status
    const int64_t likes = oracle_.Number(absl::StrCat("SELECT COUNT(*) FROM likes WHERE user_id = ", operation.user));
    comparison_.Expect("the preview", {absl::StrCat(PostsOf(operation.user), " posts, ", likes, " likes")},
                       {absl::StrCat(preview.deletion->posts(), " posts, ", preview.deletion->likes(), " likes")});
  }

  // Notes what the record of the deletion has to say once it is completed.
  void ExpectDeletion(const Operation& operation) {
    if (operation.kind != Kind::kDeleteUser || operation.validate_only || !oracle_.HasUser(operation.user)) return;
    const int64_t posts = PostsOf(operation.user);
    if (operation.action == ::relation::v1::REFERENTIAL_ACTION_RESTRICT && posts > 0) return;
    for (const int64_t post : oracle_.Numbers(absl::StrCat("SELECT id FROM posts WHERE user_id = ", operation.user))) {
      went_with_user_.insert(post);
    }
    deletions_[operation.user] =
        absl::StrCat(::relation::v1::ReferentialAction_Name(Taken(operation)), ", COMPLETED, ", posts, " posts");
  }

  void Repeat(const Operation& sent, const Outcome& first) {
    const Outcome second = Send(pair_, sent);
    comparison_.Expect("the answer to the same request_id", {first.status, first.bytes}, {second.status, second.bytes});
  }

  void Keep(Kept kept) {
    kept_.push_back(std::move(kept));
    if (kept_.size() > kKept) kept_.pop_front();
  }

  // Repeats an earlier write under its request_id. Whatever has happened since, it must answer what it answered then,
  // and do nothing.
  void RepeatAnOldOne() {
    const auto last = static_cast<int64_t>(kept_.size()) - 1;
    const Kept& kept = kept_[static_cast<size_t>(Between(random_, 0, last))];
    Remember(absl::StrCat("again: ", Describe(kept.operation), " (ids of the services)"));
    Repeat(kept.operation, {"OK", kept.bytes, {}, {}, {}});
    comparison_.ComparePosts({});
    comparison_.CompareUsers({});
  }

  // Waits until the pins of deleted posts are gone: user-service clears them when it hears of the posts. It hears of a
  // deleted user's posts once the reclaim has marked them as deleted. While the reclaim is held back that does not
  // come, and nobody pins these posts (see LetReclaim).
  void AwaitPins() {
    const auto consumed = [this] { return AllConsumed(pair_.user_db(), pair_.post_db()); };
    const auto marked = [this] {
      return pair_.hold_reclaim || pair_.post_db().Number(
                                       "SELECT COUNT(*) FROM posts p JOIN user_refs r ON r.id = p.user_id WHERE "
                                       "r.state <> 1 AND p.state = 1") == 0;
    };
    if (!WaitFor([&] { return consumed() && marked() && consumed(); })) {
      comparison_.Expect("events", {"consumed"}, {"not consumed"});
    }
    if (!pair_.hold_reclaim) went_with_user_.clear();
  }

  void CompareInQuiet() {
    pair_.hold_reclaim = false;
    pair_.AwaitQuiet();
    went_with_user_.clear();
    comparison_.CompareTables();
    for (const auto& [user, expected] : deletions_) {
      const auto deletion = pair_.GetDeletion(comparison_.users.ToPair(user));
      const bool completed = deletion.state() == user::v1::DELETION_STATE_COMPLETED;
      comparison_.Expect(absl::StrCat("the deletion of user ", user), {expected},
                         {absl::StrCat(::relation::v1::ReferentialAction_Name(deletion.on_delete()), ", ",
                                       completed ? "COMPLETED" : "not COMPLETED", ", ", deletion.posts(), " posts")});
    }
    deletions_.clear();
  }

  void Remember(const std::string& operation) {
    last_.push_back(absl::StrCat(step_, pair_.hold_reclaim ? " (reclaim held) " : " ", operation));
    if (last_.size() > kShown) last_.pop_front();
  }

  std::string Report() const {
    std::string text = absl::StrCat("CROSSKEY_SEED=", seed_, ", step ", step_, "\n", comparison_.differences(),
                                    "The last operations:\n");
    for (const std::string& operation : last_) absl::StrAppend(&text, "  ", operation, "\n");
    return text;
  }

  Pair pair_;
  Oracle oracle_;
  Comparison comparison_;
  const uint64_t seed_;
  Random random_;
  int step_ = 0;
  int held_ = 0;
  std::set<int64_t> went_with_user_;  // posts deleted with their user, which user-service may not have been told of
  std::deque<Kept> kept_;
  std::deque<std::string> last_;
  std::map<std::string, int> statuses_;
  std::map<int64_t, std::string> deletions_;  // by user, in ids of the oracle: what its record has to say when quiet
};

class OracleTest : public DatabaseTest {};
CROSSKEY_ON_EVERY_DATABASE(OracleTest);

TEST_P(OracleTest, TheServicesDoWhatOneDatabaseWithForeignKeysDoes) {
  const auto begin = std::chrono::steady_clock::now();
  History history(GetParam(), SeedOfRun(kSeed));
  history.Run(kSteps);
  const double seconds = std::chrono::duration<double>(std::chrono::steady_clock::now() - begin).count();
  std::printf("%d steps in %.1f s, %d of them with the reclaim held back\n", kSteps, seconds, history.held());
  for (const auto& [status, count] : history.statuses()) std::printf("%6d %s\n", count, status.c_str());
  if (HasFailure()) return;
  // A history in which little goes wrong would show little.
  for (const char* status : {"OK", "ALREADY_EXISTS ALREADY_PINNED", "ALREADY_EXISTS USERNAME_TAKEN",
                             "FAILED_PRECONDITION FOREIGN_KEY_VIOLATION", "FAILED_PRECONDITION RESTRICTED",
                             "NOT_FOUND POST_NOT_FOUND", "NOT_FOUND USER_NOT_FOUND"}) {
    EXPECT_GT(history.statuses().count(status) > 0 ? history.statuses().at(status) : 0, kSteps / 200) << status;
  }
  EXPECT_GT(history.held(), kSteps / 20);
}

}  // namespace
}  // namespace crosskey::testing
