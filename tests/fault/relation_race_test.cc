// Runs likes and pins against the deletions of what they refer to, and against each other.
#include <atomic>
#include <functional>
#include <mutex>
#include <set>
#include <thread>

#include <gtest/gtest.h>

#include "absl/strings/str_cat.h"
#include "tests/support/faults.h"
#include "tests/support/pair.h"
#include "tests/support/status_matchers.h"
#include "tests/support/wait.h"

namespace crosskey::testing {
namespace {

using post::v1::PostService;
using user::v1::UserService;

// What calls answered: "OK" or the reason, "?" for an error that has none.
class Answers {
 public:
  std::string Add(const grpc::Status& status) {
    std::string answer = status.ok() ? "OK" : ReasonOf(status);
    if (answer.empty()) answer = "?";
    std::lock_guard lock(mutex_);
    seen_.insert(answer);
    return answer;
  }
  std::set<std::string> seen() const { return seen_; }

 private:
  std::mutex mutex_;
  std::set<std::string> seen_;
};

std::set<std::string> Without(std::set<std::string> answers, const std::set<std::string>& expected) {
  for (const std::string& answer : expected) answers.erase(answer);
  return answers;
}

class RelationRaceTest : public DatabaseTest {
 protected:
  RelationRaceTest() : pair_(GetParam()) {}
  ~RelationRaceTest() override { ClearFaults(); }

  grpc::Status Like(int64_t post, int64_t user) {
    post::v1::LikePostRequest request;
    request.set_post_id(post);
    request.set_user_id(user);
    post::v1::LikePostResponse response;
    return Invoke(pair_.posts(), &PostService::Stub::LikePost, request, &response);
  }
  grpc::Status Unlike(int64_t post, int64_t user) {
    post::v1::UnlikePostRequest request;
    request.set_post_id(post);
    request.set_user_id(user);
    post::v1::UnlikePostResponse response;
    return Invoke(pair_.posts(), &PostService::Stub::UnlikePost, request, &response);
  }
  grpc::Status DeletePost(int64_t post) {
    post::v1::DeletePostRequest request;
    request.set_id(post);
    post::v1::DeletePostResponse response;
    return Invoke(pair_.posts(), &PostService::Stub::DeletePost, request, &response);
  }
  // Post 0: removes the pin.
  grpc::Status Pin(int64_t user, int64_t post) {
    user::v1::UpdateUserRequest request;
    request.mutable_user()->set_id(user);
    if (post != 0) request.mutable_user()->set_pinned_post_id(post);
    request.mutable_update_mask()->add_paths("pinned_post_id");
    user::v1::UpdateUserResponse response;
    return Invoke(pair_.users(), &UserService::Stub::UpdateUser, request, &response);
  }
  std::vector<int64_t> CreateUsers(int count) {
    std::vector<int64_t> users;
    for (int i = 0; i < count; ++i) users.push_back(pair_.CreateUser(absl::StrCat("user ", ++names_)));
    return users;
  }
  // Makes all calls at once. Returns when all have ended.
  static void AtOnce(const std::vector<std::function<void()>>& calls) {
    std::vector<std::thread> threads;
    for (const auto& call : calls) threads.emplace_back(call);
    for (std::thread& thread : threads) thread.join();
  }
  int64_t CountOf(int64_t post) {
    post::v1::GetPostRequest request;
    request.set_id(post);
    post::v1::GetPostResponse response;
    EXPECT_THAT(Invoke(pair_.posts(), &PostService::Stub::GetPost, request, &response), GrpcOk());
    return response.post().like_count();
  }
  void ExpectNothingDangles() {
    pair_.AwaitQuiet();
    EXPECT_EQ(pair_.Orphans(), 0);
  }

  Pair pair_;

 private:
  int names_ = 0;
};
CROSSKEY_ON_EVERY_DATABASE(RelationRaceTest);

TEST_P(RelationRaceTest, ManyLikersOfOnePostAllSucceed) {
  const int64_t post = pair_.CreatePost(CreateUsers(1).front());
  const std::vector<int64_t> fans = CreateUsers(24);
  Answers answers;
  std::vector<std::function<void()>> calls;
  for (const int64_t fan : fans) {
    calls.emplace_back([&, fan] {
      for (int i = 0; i < 3; ++i) {
        answers.Add(Like(post, fan));
        answers.Add(Unlike(post, fan));
        answers.Add(Unlike(post, fan));
      }
      answers.Add(Like(post, fan));
    });
  }
  AtOnce(calls);
  EXPECT_EQ(answers.seen(), std::set<std::string>{"OK"}) << "no deadlock is left to a client";
  EXPECT_EQ(CountOf(post), 24);
  ExpectNothingDangles();
}

TEST_P(RelationRaceTest, OneLikeThatIsMadeManyTimesAtOnceIsOne) {
  const int64_t fan = CreateUsers(1).front();
  for (int round = 0; round < 40; ++round) {
    const int64_t post = pair_.CreatePost(fan);
    Answers answers;
    AtOnce(std::vector<std::function<void()>>(6, [&] { answers.Add(Like(post, fan)); }));
    ASSERT_EQ(answers.seen(), std::set<std::string>{"OK"});
    EXPECT_EQ(CountOf(post), 1);
    AtOnce(std::vector<std::function<void()>>(4, [&] { answers.Add(Unlike(post, fan)); }));
    ASSERT_EQ(answers.seen(), std::set<std::string>{"OK"});
    EXPECT_EQ(CountOf(post), 0);
  }
}

TEST_P(RelationRaceTest, LikesAgainstTheDeletionOfTheirUser) {
  const int64_t author = CreateUsers(1).front();
  const std::vector<int64_t> posts = pair_.CreatePosts(author, 12);
  Answers answers;
  for (const int64_t fan : CreateUsers(15)) {
    std::atomic<bool> deleted = false;
    std::vector<std::function<void()>> calls = {[&] {
      pair_.Delete(fan);
      deleted = true;
    }};
    for (const int64_t post : posts) {
      calls.emplace_back([&, post] {
        for (int i = 0; i < 4; ++i) {
          const bool too_late = deleted;
          const std::string answer = answers.Add(Like(post, fan));
          if (too_late) {
            EXPECT_NE(answer, "OK") << "after the deletion was answered";
          }
          answers.Add(Unlike(post, fan));
          const bool late = deleted;
          const std::string again = answers.Add(Like(post, fan));
          if (late) {
            EXPECT_NE(again, "OK");
          }
        }
      });
    }
    AtOnce(calls);
    for (const int64_t post : posts) EXPECT_EQ(CountOf(post), 0);
  }
  EXPECT_EQ(Without(answers.seen(), {"OK", "FOREIGN_KEY_VIOLATION", "PARENT_DELETING"}), std::set<std::string>());
  ExpectNothingDangles();
  EXPECT_EQ(pair_.post_db().Number("SELECT COUNT(*) FROM likes"), 0);
}

TEST_P(RelationRaceTest, LikesAgainstTheDeletionOfTheAuthorAndOfThePost) {
  const std::vector<int64_t> fans = CreateUsers(10);
  Answers answers;
  for (int round = 0; round < 15; ++round) {
    const int64_t author = CreateUsers(1).front();
    const std::vector<int64_t> posts = pair_.CreatePosts(author, 2);
    std::vector<std::function<void()>> calls = {[&] { EXPECT_THAT(DeletePost(posts[0]), GrpcOk()); },
                                                [&] { pair_.Delete(author); }};
    if (round % 2 == 0) calls.erase(calls.begin());
    for (const int64_t fan : fans) {
      calls.emplace_back([&, fan] {
        for (const int64_t post : posts) {
          answers.Add(Like(post, fan));
          answers.Add(Unlike(post, fan));
          answers.Add(Like(post, fan));
        }
      });
    }
    if (round % 2 == 1) calls.erase(calls.begin() + 1);  // each round makes only one of the two deletions
    AtOnce(calls);
  }
  EXPECT_EQ(Without(answers.seen(), {"OK", "FOREIGN_KEY_VIOLATION"}), std::set<std::string>());
  ExpectNothingDangles();
}

TEST_P(RelationRaceTest, PinsAgainstTheDeletionOfTheirPostAndAgainstEachOther) {
  const int64_t author = CreateUsers(1).front();
  const std::vector<int64_t> fans = CreateUsers(6);
  Answers answers;
  for (int round = 0; round < 20; ++round) {
    const std::vector<int64_t> posts = pair_.CreatePosts(author, 2);
    std::vector<std::function<void()>> calls = {[&] { EXPECT_THAT(DeletePost(posts[0]), GrpcOk()); }};
    for (const int64_t fan : fans) {
      calls.emplace_back([&, fan] {
        answers.Add(Pin(fan, posts[0]));
        answers.Add(Pin(fan, posts[1]));
        answers.Add(Pin(fan, posts[0]));
      });
    }
    AtOnce(calls);
  }
  EXPECT_EQ(Without(answers.seen(), {"OK", "FOREIGN_KEY_VIOLATION", "ALREADY_PINNED"}), std::set<std::string>());
  ExpectNothingDangles();
  // Nobody deletes the second post of a round, so somebody still has the last one pinned.
  EXPECT_GE(pair_.user_db().Number("SELECT COUNT(*) FROM users WHERE pinned_post_id IS NOT NULL"), 1);
}

// These need a server, where it can be seen that a transaction waits for another one.
class PinOnServer : public RelationRaceTest {};
CROSSKEY_ON_EVERY_SERVER(PinOnServer);

// The transaction of the pin holds the reference row, so the event of the deletion waits. Then the pin is cleared.
TEST_P(PinOnServer, ADeletionWaitsForAPinAndThenClearsIt) {
  const int64_t ada = CreateUsers(1).front();
  const int64_t post = pair_.CreatePost(ada);
  // From here on user-service knows the post.
  ASSERT_THAT(Pin(ada, post), GrpcOk());
  ASSERT_THAT(Pin(ada, 0), GrpcOk());
  pair_.AwaitQuiet();
  const std::string go_on = absl::StrCat(::testing::TempDir(), "/pin-goes-on-", getpid());
  ClearFaults();
  SetFault("guarded_write.locked=wait:" + go_on);
  grpc::Status pinned;
  std::thread pin([&] { pinned = Pin(ada, post); });
  EXPECT_TRUE(WaitFor([] { return TimesReached("guarded_write.locked") > 0; }));
  EXPECT_THAT(DeletePost(post), GrpcOk());
  const auto waits_or_is_over = [&] {
    const auto waits = pair_.user_db().Query("SHOW GLOBAL STATUS LIKE 'Innodb_row_lock_current_waits'");
    return waits.front().back() != "0" || pair_.user_db().Number("SELECT COUNT(*) FROM post_refs") == 0;
  };
  EXPECT_TRUE(WaitFor(waits_or_is_over));
  std::fclose(std::fopen(go_on.c_str(), "w"));
  pin.join();
  std::remove(go_on.c_str());
  EXPECT_THAT(pinned, GrpcOk());
  ExpectNothingDangles();
  EXPECT_EQ(pair_.user_db().Number("SELECT COUNT(*) FROM users WHERE pinned_post_id IS NOT NULL"), 0);
}

}  // namespace
}  // namespace crosskey::testing
