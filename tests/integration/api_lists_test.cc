// Lists: order, pages, tokens, limits, and included users.
#include <algorithm>
#include <functional>

#include "absl/strings/str_cat.h"
#include "common/status/limits.h"
#include "tests/integration/api_client.h"

namespace crosskey::testing {
namespace {

using post::v1::ListPostsRequest;
using post::v1::ListPostsResponse;
using ::testing::ElementsAre;
using ::testing::IsEmpty;
using user::v1::ListUsersRequest;

class ApiLists : public ApiTest {};
CROSSKEY_ON_EVERY_DATABASE(ApiLists);

struct Walk {
  std::vector<int64_t> ids;
  int pages = 0;
};

std::vector<int64_t> RowsOf(const ListPostsResponse& page) { return Ids(page.posts()); }
std::vector<int64_t> RowsOf(const user::v1::ListUsersResponse& page) { return Ids(page.users()); }

// Reads all pages; `between` runs after each.
template <typename Request>
Walk WalkAll(
    Pair& pair, Request request, const std::function<void()>& between = [] {}) {
  Walk walk;
  do {
    const auto page = Send(pair, request);
    EXPECT_THAT(page.status, GrpcOk());
    const std::vector<int64_t> rows = RowsOf(page.response);
    walk.ids.insert(walk.ids.end(), rows.begin(), rows.end());
    ++walk.pages;
    const int64_t asked = request.page_size() == 0 ? limits::kDefaultPageRows : request.page_size();
    EXPECT_LE(static_cast<int64_t>(rows.size()), asked);
    request.set_page_token(page->next_page_token());
    between();
  } while (!request.page_token().empty() && walk.pages < 1000);
  return walk;
}

ListPostsRequest PostsOf(int64_t user, bool newest_first, int page_size) {
  ListPostsRequest request;
  request.set_user_id(user);
  request.set_newest_first(newest_first);
  request.set_page_size(page_size);
  return request;
}

std::vector<int64_t> Reversed(std::vector<int64_t> ids) {
  std::reverse(ids.begin(), ids.end());
  return ids;
}

TEST_P(ApiLists, EveryPageSizeGivesEachPostOnceInOrder) {
  Pair pair(GetParam());
  const int64_t ada = pair.CreateUser("ada");
  const int64_t grace = pair.CreateUser("grace");
  std::vector<int64_t> all;
  std::vector<int64_t> adas;
  for (int i = 0; i < 9; ++i) {
    const bool of_ada = i % 3 != 1;
    all.push_back(pair.CreatePost(of_ada ? ada : grace));
    if (of_ada) adas.push_back(all.back());
  }
  for (int size = 1; size <= 10; ++size) {
    SCOPED_TRACE(size);
    const Walk forward = WalkAll(pair, PostsOf(0, false, size));
    EXPECT_EQ(forward.ids, all);
    EXPECT_EQ(forward.pages, (9 + size - 1) / size);
    EXPECT_EQ(WalkAll(pair, PostsOf(0, true, size)).ids, Reversed(all));
    EXPECT_EQ(WalkAll(pair, PostsOf(ada, false, size)).ids, adas);
    EXPECT_EQ(WalkAll(pair, PostsOf(ada, true, size)).ids, Reversed(adas));
  }
  EXPECT_THAT(WalkAll(pair, PostsOf(kNoSuchId, false, 1)).ids, IsEmpty());
}

TEST_P(ApiLists, EveryPageSizeGivesEachUserOnceInOrder) {
  Pair pair(GetParam());
  std::vector<int64_t> all;
  for (const char* name : {"e", "d", "c", "b", "a"}) all.push_back(pair.CreateUser(name));
  for (int size = 1; size <= 6; ++size) {
    SCOPED_TRACE(size);
    ListUsersRequest request;
    request.set_page_size(size);
    const Walk walk = WalkAll(pair, request);
    EXPECT_EQ(walk.ids, all);
    EXPECT_EQ(walk.pages, (5 + size - 1) / size);
  }
}

TEST_P(ApiLists, APageHasFiftyRowsByDefaultAndAThousandAtMost) {
  const int64_t user = pair().CreateUser(NewName());
  const std::vector<int64_t> all = pair().CreatePosts(user, 1001);
  for (const auto& [requested, rows] : std::map<int, int>{{0, 50}, {1000, 1000}, {1001, 1000}, {2147483647, 1000}}) {
    SCOPED_TRACE(requested);
    const auto page = Send(pair(), PostsOf(user, false, requested));
    ASSERT_THAT(page.status, GrpcOk());
    EXPECT_EQ(page->posts_size(), rows);
    EXPECT_NE(page->next_page_token(), "");
    EXPECT_EQ(WalkAll(pair(), PostsOf(user, false, requested)).ids, all);
  }
}

TEST_P(ApiLists, APageOfUsersHasFiftyRowsByDefaultAndAThousandAtMost) {
  std::string values;
  for (int i = 0; i < 1001; ++i) {
    absl::StrAppend(&values, i == 0 ? "" : ", ", "('00000000-0000-4000-8000-", 100'000'000'000 + i, "', 'many ", i,
                    "', 1, 1, 1, 1)");
  }
  Pair pair(GetParam());
  pair.user_db().Run("INSERT INTO users (uid, username, state, version, create_time, update_time) VALUES " + values);
  for (const auto& [requested, size] : std::map<int, int>{{0, 50}, {1000, 1000}, {1001, 1000}, {2147483647, 1000}}) {
    ListUsersRequest request;
    request.set_page_size(requested);
    EXPECT_EQ(Send(pair, request)->users_size(), size) << requested;
    EXPECT_EQ(WalkAll(pair, request).ids.size(), 1001U) << requested;
  }
}

// Rows that come and go during a walk do not make it miss or repeat any of the others.
TEST_P(ApiLists, AWalkIsNotDisturbedByInsertsAndDeletes) {
  for (const bool newest_first : {false, true}) {
    for (const int size : {1, 2, 3, 7}) {
      SCOPED_TRACE(absl::StrCat(newest_first, " ", size));
      const int64_t user = pair().CreateUser(NewName());
      const std::vector<int64_t> all = pair().CreatePosts(user, 12);
      // These are deleted during the walk: at both ends and in the middle, so that rows before, at and after the walk's
      // position go.
      std::vector<int64_t> doomed = {all[0], all[11], all[1], all[10], all[5], all[6]};
      int created = 0;
      const Walk walk = WalkAll(pair(), PostsOf(user, newest_first, size), [&] {
        if (!doomed.empty()) {
          const auto gone = Send<post::v1::DeletePostRequest>(pair(), absl::StrCat("id: ", doomed.back()));
          EXPECT_THAT(gone.status, GrpcOk());
          doomed.pop_back();
        }
        if (created++ < 5) pair().CreatePost(user);
      });
      std::vector<int64_t> sorted = walk.ids;
      std::sort(sorted.begin(), sorted.end());
      EXPECT_EQ(std::unique(sorted.begin(), sorted.end()), sorted.end()) << "a post was answered twice";
      EXPECT_EQ(walk.ids, newest_first ? Reversed(sorted) : sorted);
      EXPECT_THAT(walk.ids, ::testing::IsSupersetOf({all[2], all[3], all[4], all[7], all[8], all[9]}));
    }
  }
}

TEST_P(ApiLists, APageEndsAtThreeMebibytes) {
  const int64_t user = pair().CreateUser(NewName());
  std::vector<int64_t> all;
  for (int i = 0; i < 50; ++i) all.push_back(pair().CreatePost(user, Repeat("\U0001F600", 100), Repeat("x", 65'535)));
  for (const bool newest_first : {false, true}) {
    ListPostsRequest request = PostsOf(user, newest_first, 1000);
    request.set_include_users(true);
    const auto page = Send(pair(), request);
    ASSERT_THAT(page.status, GrpcOk());
    EXPECT_LE(page->ByteSizeLong(), static_cast<size_t>(limits::kPageBytes));
    EXPECT_GT(page->ByteSizeLong(), static_cast<size_t>(limits::kPageBytes) - 100'000);
    EXPECT_NE(page->next_page_token(), "");
    const Walk walk = WalkAll(pair(), request);
    EXPECT_EQ(walk.ids, newest_first ? Reversed(all) : all);
    EXPECT_EQ(walk.pages, 2);
  }
}

TEST_P(ApiLists, ATokenIsBoundToItsListAndNothingElse) {
  const int64_t ada = pair().CreateUser(NewName());
  const int64_t grace = pair().CreateUser(NewName());
  const std::vector<int64_t> posts = pair().CreatePosts(ada, 3);
  pair().CreatePosts(grace, 3);
  ListPostsRequest request = PostsOf(ada, false, 1);
  const std::string token = Send(pair(), request)->next_page_token();
  ListUsersRequest users;
  users.set_page_size(1);
  const std::string users_token = Send(pair(), users)->next_page_token();
  ASSERT_NE(token, "");
  ASSERT_NE(users_token, "");

  request.set_page_token(token);
  EXPECT_EQ(Send(pair(), request)->posts(0).id(), posts[1]);
  request.set_page_size(2);
  request.set_include_users(true);
  EXPECT_EQ(Send(pair(), request)->posts(0).id(), posts[1]);

  const ErrorRow bad = {grpc::StatusCode::INVALID_ARGUMENT, "INVALID_PAGE_TOKEN", {}, {{"field", "page_token"}}};
  for (ListPostsRequest other : {PostsOf(grace, false, 1), PostsOf(0, false, 1), PostsOf(ada, true, 1)}) {
    other.set_page_token(token);
    ExpectError(Send(pair(), other).status, bad);
  }
  ListPostsRequest all = PostsOf(0, false, 1);
  all.set_page_token(users_token);
  ExpectError(Send(pair(), all).status, bad);
  users.set_page_token(token);
  ExpectError(Send(pair(), users).status, bad);
  users.set_page_token(users_token);
  EXPECT_THAT(Send(pair(), users).status, GrpcOk());
  users.set_username("other");
  ExpectError(Send(pair(), users).status, bad);

  for (const std::string& forged :
       {std::string("x"), std::string(28, 'A'), std::string("AAAAAAAAAAA"), std::string(" "), std::string("\0", 1),
        token.substr(1), token.substr(0, token.size() - 1), token + "A", token + "=", token + "\n", " " + token,
        token + token, std::string(60'000, 'A'), std::string("\U0001F600")}) {
    SCOPED_TRACE(forged.substr(0, 60));
    request.set_page_token(forged);
    ExpectError(Send(pair(), request).status, bad);
  }
  for (size_t i = 0; i < token.size(); ++i) {
    std::string forged = token;
    forged[i] = forged[i] == 'A' ? 'B' : 'A';
    request.set_page_token(forged);
    ExpectError(Send(pair(), request).status, bad);
  }
}

// The users of a whole page are read with one call and one statement, each user once.
TEST_P(ApiLists, TheUsersOfAPageAreReadWithOneCall) {
  Pair pair(GetParam());
  post::v1::BatchCreatePostsRequest create;
  std::vector<int64_t> users;
  for (int i = 0; i < 100; ++i) {
    users.push_back(pair.CreateUser(absl::StrCat("user ", i)));
    auto* post = create.add_requests();
    post->set_title("title");
    post->set_user_id(users.back());
  }
  EXPECT_THAT(Send(pair, create).status, GrpcOk());

  ListPostsRequest request = PostsOf(0, false, 100);
  EXPECT_EQ(Send(pair, request)->users_size(), 0);
  request.set_include_users(true);
  pair.user_sql().Reset();
  const auto page = Send(pair, request);
  ASSERT_THAT(page.status, GrpcOk());
  EXPECT_EQ(page->posts_size(), 100);
  EXPECT_EQ(page->users_size(), 100);
  for (const auto& post : page->posts()) {
    ASSERT_EQ(page->users().count(post.user_id()), 1U);
    EXPECT_EQ(page->users().at(post.user_id()).id(), post.user_id());
  }
  EXPECT_EQ(page->users().at(users[7]).ShortDebugString(), GetUser(pair, users[7]).ShortDebugString());
  pair.user_sql().Reset();
  EXPECT_THAT(Send(pair, request).status, GrpcOk());
  EXPECT_EQ(pair.user_sql().counted()["users.get"], (Counted{1, 100}));

  // For more posts of the same users no more rows are read.
  EXPECT_THAT(Send(pair, create).status, GrpcOk());
  request.set_page_size(200);
  pair.user_sql().Reset();
  EXPECT_EQ(Send(pair, request)->posts_size(), 200);
  EXPECT_EQ(pair.user_sql().counted()["users.get"], (Counted{1, 100}));

  // Without posts there is no call.
  pair.user_sql().Reset();
  request.set_user_id(kNoSuchId);
  EXPECT_THAT(Send(pair, request).status, GrpcOk());
  EXPECT_EQ(pair.user_sql().counted().count("users.get"), 0U);
}

// Inserts many posts of a user that post-service knows past the service, because creating them takes long.
void InsertPosts(Pair& pair, int64_t user, int count) {
  static int64_t uid = 100'000'000'000;
  std::string values;
  for (int i = 0; i < count; ++i) {
    absl::StrAppend(&values, i == 0 ? "" : ", ", "('00000000-0000-4000-8000-", ++uid, "', ", user,
                    ", 't', '', 0, 1, 1, 1)");
  }
  pair.post_db().Run(
      "INSERT INTO posts (uid, user_id, title, content, content_bytes, version, create_time, update_time) VALUES " +
      values);
}

// A deleted user's posts lie hidden until the reclaim has removed them. A walk over them costs bounded work a page, and
// still finds every visible post.
TEST_P(ApiLists, HiddenPostsCostABoundedNumberOfRowsAPage) {
  Pair pair(GetParam());
  pair.hold_reclaim = true;
  const int64_t ada = pair.CreateUser("ada");
  const int64_t grace = pair.CreateUser("grace");
  std::vector<int64_t> visible = {pair.CreatePost(ada), pair.CreatePost(ada)};
  pair.CreatePost(grace);
  InsertPosts(pair, grace, 12'500);
  visible.push_back(pair.CreatePost(ada));
  InsertPosts(pair, grace, 12'500);
  visible.push_back(pair.CreatePost(ada));
  pair.Delete(grace);

  for (const bool newest_first : {false, true}) {
    const std::string statement = newest_first ? "posts.scan_back" : "posts.scan";
    // A small page is read at once first, which shows that some of its rows are hidden.
    const std::string at_once = newest_first ? "posts.page_back" : "posts.page";
    for (const int size : {1, 2, 50, 1000}) {
      SCOPED_TRACE(absl::StrCat(statement, " ", size));
      pair.post_sql().Reset();
      const Walk walk = WalkAll(pair, PostsOf(0, newest_first, size), [&] {
        EXPECT_LE(pair.post_sql().counted()[statement].rows, limits::kRowsExamined);
        EXPECT_LE(pair.post_sql().counted()[at_once].rows, limits::kDefaultPageRows + 1);
        EXPECT_GT(pair.post_sql().counted()[statement].rows + pair.post_sql().counted()[at_once].rows, 0);
        pair.post_sql().Reset();
      });
      EXPECT_EQ(walk.ids, newest_first ? Reversed(visible) : visible);
      EXPECT_GE(walk.pages, 3);
      EXPECT_LE(walk.pages, 8);
    }
    const std::string of_user = newest_first ? "posts.scan_user_back" : "posts.scan_user";
    const Walk hidden = WalkAll(pair, PostsOf(grace, newest_first, 50), [&] {
      EXPECT_LE(pair.post_sql().counted()[of_user].rows, limits::kRowsExamined);
      pair.post_sql().Reset();
    });
    EXPECT_THAT(hidden.ids, IsEmpty());
    EXPECT_EQ(WalkAll(pair, PostsOf(ada, newest_first, 50)).ids, newest_first ? Reversed(visible) : visible);
  }
}

}  // namespace
}  // namespace crosskey::testing
