#include "tests/oracle/comparison.h"

#include <algorithm>

#include "absl/strings/str_cat.h"
#include "tests/support/status_matchers.h"

namespace crosskey::testing {
namespace {

using PostStub = post::v1::PostService::Stub;
using UserStub = user::v1::UserService::Stub;

// The SQL of a line for each row, with all that the API shows of it.
constexpr char kUserLine[] = "'user ' || u.id || ' ' || u.username || ' pins ' || ifnull(u.pinned_post_id, 0)";
constexpr char kPostLine[] =
    "'post ' || p.id || ' of ' || p.user_id || ' has ' || (SELECT COUNT(*) FROM likes c WHERE c.post_id = p.id) || "
    "' likes, ' || p.title || ': ' || p.content";

}  // namespace

void Ids::Add(int64_t of_pair) {
  to_pair_.push_back(of_pair);
  to_oracle_[of_pair] = count();
}

int64_t Ids::ToPair(int64_t of_oracle) const {
  const bool is_known = of_oracle > 0 && of_oracle <= count();
  return is_known ? to_pair_[static_cast<size_t>(of_oracle - 1)] : of_oracle;
}

std::string Ids::ToOracle(int64_t of_pair) const {
  const auto found = to_oracle_.find(of_pair);
  return found == to_oracle_.end() ? absl::StrCat("?", of_pair) : absl::StrCat(found->second);
}

Operation Comparison::ToPair(Operation operation) const {
  operation.user = users.ToPair(operation.user);
  operation.post = posts.ToPair(operation.post);
  if (operation.author.has_value()) operation.author = users.ToPair(*operation.author);
  if (operation.pin.has_value()) operation.pin = posts.ToPair(*operation.pin);
  for (int64_t& author : operation.authors) author = users.ToPair(author);
  return operation;
}

void Comparison::Expect(const std::string& what, const std::vector<std::string>& expected,
                        const std::vector<std::string>& got) {
  if (expected == got) return;
  absl::StrAppend(&differences_, what, ":\n");
  const auto append = [this](const char* title, const std::vector<std::string>& lines,
                             const std::vector<std::string>& others) {
    for (const std::string& line : lines) {
      const bool is_common = std::find(others.begin(), others.end(), line) != others.end();
      if (!is_common) absl::StrAppend(&differences_, "  ", title, ": ", line, "\n");
    }
  };
  append("expected", expected, got);
  append("got", got, expected);
  absl::StrAppend(&differences_, "  ", expected.size(), " lines were expected, ", got.size(), " came\n");
}

std::vector<std::string> Comparison::UserLines(const std::string& where) {
  return oracle_.Texts(absl::StrCat("SELECT ", kUserLine, " FROM users u ", where, " ORDER BY u.id"));
}

std::vector<std::string> Comparison::PostLines(const std::string& rest) {
  return oracle_.Texts(absl::StrCat("SELECT ", kPostLine, " FROM posts p ", rest));
}

std::string Comparison::LineOf(const user::v1::User& user) const {
  return absl::StrCat("user ", users.ToOracle(user.id()), " ", user.username(), " pins ",
                      user.has_pinned_post_id() ? posts.ToOracle(user.pinned_post_id()) : "0",
                      user.state() == user::v1::USER_STATE_ACTIVE ? "" : ", is not ACTIVE");
}

std::string Comparison::LineOf(const post::v1::Post& post) const {
  return absl::StrCat("post ", posts.ToOracle(post.id()), " of ", users.ToOracle(post.user_id()), " has ",
                      post.like_count(), " likes, ", post.title(), ": ", post.content());
}

template <typename Request, typename Response, typename Stub>
std::vector<Response> Comparison::Pages(Stub& stub,
                                        grpc::Status (Stub::*method)(grpc::ClientContext*, const Request&, Response*),
                                        Request request, std::string* status) {
  request.set_page_size(Chance(random_, 8) ? static_cast<int32_t>(Between(random_, 2, 6)) : 1000);
  std::vector<Response> pages;
  do {
    Response& page = pages.emplace_back();
    const grpc::Status answer = Invoke(stub, method, request, &page);
    *status = StatusText(answer);
    if (!answer.ok()) break;
    request.set_page_token(page.next_page_token());
  } while (!request.page_token().empty());
  return pages;
}

void Comparison::CompareAnswer(const Operation& operation, const Outcome& outcome) {
  if (operation.kind == Kind::kCreateUser) users.Add(outcome.users.front().id());
  if (operation.kind == Kind::kCreatePosts) {
    for (const auto& post : outcome.posts) posts.Add(post.id());
  }
  std::vector<std::string> expected;
  std::vector<std::string> got;
  for (const auto& user : outcome.users) {
    const int64_t id = operation.kind == Kind::kCreateUser ? users.count() : operation.user;
    expected = UserLines(absl::StrCat("WHERE u.id = ", id));
    got.push_back(LineOf(user));
  }
  for (const auto& post : outcome.posts) got.push_back(LineOf(post));
  if (operation.kind == Kind::kCreatePosts) {
    const size_t before = static_cast<size_t>(posts.count()) - operation.authors.size();
    expected = PostLines(absl::StrCat("WHERE p.id > ", before, " ORDER BY p.id"));
  } else if (!outcome.posts.empty()) {
    expected = PostLines(absl::StrCat("WHERE p.id = ", operation.post));
  }
  Expect("the answer", expected, got);
}

void Comparison::ComparePosts(const Touched& touched) {
  post::v1::ListPostsRequest request;
  const bool newest_first = Chance(random_, 30);
  request.set_newest_first(newest_first);
  std::string status;
  std::vector<std::string> got;
  for (const auto& page : Pages(pair_.posts(), &PostStub::ListPosts, request, &status)) {
    for (const auto& post : page.posts()) got.push_back(LineOf(post));
  }
  Expect("ListPosts", PostLines(newest_first ? "ORDER BY p.id DESC" : "ORDER BY p.id"), got);

  std::set<int64_t> all = touched.users;
  for (const int64_t user : oracle_.Numbers("SELECT id FROM users")) all.insert(user);
  for (const int64_t user : all) {
    post::v1::ListLikedPostsRequest liked;
    liked.set_user_id(users.ToPair(user));
    got.clear();
    for (const auto& page : Pages(pair_.posts(), &PostStub::ListLikedPosts, liked, &status)) {
      for (const auto& post : page.posts()) got.push_back(LineOf(post));
    }
    Expect(absl::StrCat("ListLikedPosts of ", user),
           PostLines(absl::StrCat("JOIN likes k ON k.post_id = p.id WHERE k.user_id = ", user, " ORDER BY p.id")), got);
  }
  for (const int64_t user : touched.users) ComparePostsOf(user);
  for (const int64_t post : touched.posts) CompareLikesOf(post);
  for (const int64_t post : touched.posts) ComparePost(post);
}

void Comparison::ComparePostsOf(int64_t user) {
  post::v1::ListPostsRequest request;
  request.set_user_id(users.ToPair(user));
  std::string status;
  std::vector<std::string> got;
  for (const auto& page : Pages(pair_.posts(), &PostStub::ListPosts, request, &status)) {
    for (const auto& post : page.posts()) got.push_back(LineOf(post));
  }
  Expect(absl::StrCat("ListPosts of ", user), PostLines(absl::StrCat("WHERE p.user_id = ", user, " ORDER BY p.id")),
         got);
}

void Comparison::CompareLikesOf(int64_t post) {
  post::v1::ListPostLikesRequest request;
  request.set_post_id(posts.ToPair(post));
  std::string status;
  std::vector<std::string> got;
  for (const auto& page : Pages(pair_.posts(), &PostStub::ListPostLikes, request, &status)) {
    for (const auto& like : page.likes()) {
      got.push_back(absl::StrCat("like of ", users.ToOracle(like.user_id()), " for ", posts.ToOracle(like.post_id())));
    }
  }
  got.push_back(status);
  auto expected = oracle_.Texts(absl::StrCat(
      "SELECT 'like of ' || user_id || ' for ' || post_id FROM likes WHERE post_id = ", post, " ORDER BY user_id"));
  expected.emplace_back(oracle_.HasPost(post) ? "OK" : "NOT_FOUND POST_NOT_FOUND");
  Expect(absl::StrCat("ListPostLikes of ", post), expected, got);
}

void Comparison::ComparePost(int64_t post) {
  post::v1::GetPostRequest request;
  request.set_id(posts.ToPair(post));
  post::v1::GetPostResponse response;
  const grpc::Status status = Invoke(pair_.posts(), &PostStub::GetPost, request, &response);
  std::vector<std::string> expected = PostLines(absl::StrCat("WHERE p.id = ", post));
  if (expected.empty()) expected = {"NOT_FOUND POST_NOT_FOUND"};
  Expect(absl::StrCat("GetPost of ", post), expected, {status.ok() ? LineOf(response.post()) : StatusText(status)});
}

void Comparison::CompareNames() {
  std::string status;
  std::vector<std::string> got;
  for (const auto& page : Pages(pair_.users(), &UserStub::ListUsers, user::v1::ListUsersRequest(), &status)) {
    for (const auto& user : page.users()) got.push_back(absl::StrCat(users.ToOracle(user.id()), " ", user.username()));
  }
  Expect("ListUsers", oracle_.Texts("SELECT id || ' ' || username FROM users ORDER BY id"), got);
}

void Comparison::CompareUsers(const Touched& touched) {
  std::string status;
  std::vector<std::string> got;
  for (const auto& page : Pages(pair_.users(), &UserStub::ListUsers, user::v1::ListUsersRequest(), &status)) {
    for (const auto& user : page.users()) got.push_back(LineOf(user));
  }
  Expect("ListUsers", UserLines(""), got);
  for (const int64_t user : touched.users) CompareUser(user);
  if (Chance(random_, 20)) CompareIncludedUsers();
}

void Comparison::CompareUser(int64_t user) {
  user::v1::User row;
  const grpc::Status status = pair_.TryGetUser(users.ToPair(user), &row);
  std::vector<std::string> expected = UserLines(absl::StrCat("WHERE u.id = ", user));
  if (expected.empty()) expected = {"NOT_FOUND USER_NOT_FOUND"};
  Expect(absl::StrCat("GetUser of ", user), expected, {status.ok() ? LineOf(row) : StatusText(status)});
}

void Comparison::CompareIncludedUsers() {
  std::string status;
  post::v1::ListPostsRequest request;
  request.set_include_users(true);
  std::map<int64_t, std::string> authors;
  for (const auto& page : Pages(pair_.posts(), &PostStub::ListPosts, request, &status)) {
    for (const auto& [id, user] : page.users()) authors[id] = LineOf(user);
  }
  std::vector<std::string> got;
  for (const auto& [id, line] : authors) got.push_back(line);
  Expect("the authors of ListPosts", UserLines("WHERE u.id IN (SELECT user_id FROM posts)"), got);

  for (const int64_t post : oracle_.Numbers("SELECT id FROM posts ORDER BY id DESC LIMIT 3")) {
    post::v1::ListPostLikesRequest of_post;
    of_post.set_post_id(posts.ToPair(post));
    of_post.set_include_users(true);
    std::map<int64_t, std::string> likers;
    for (const auto& page : Pages(pair_.posts(), &PostStub::ListPostLikes, of_post, &status)) {
      for (const auto& [id, user] : page.users()) likers[id] = LineOf(user);
    }
    got.clear();
    for (const auto& [id, line] : likers) got.push_back(line);
    const auto where = absl::StrCat("WHERE u.id IN (SELECT user_id FROM likes WHERE post_id = ", post, ")");
    Expect(absl::StrCat("the users of ListPostLikes of ", post), UserLines(where), got);
  }
}

void Comparison::CompareTables() {
  const auto id = [](const Ids& ids, const std::string& text) {
    return text == "NULL" ? "0" : ids.ToOracle(std::atoll(text.c_str()));
  };
  std::vector<std::string> got;
  for (const auto& row : pair_.user_db().Query("SELECT id, username, pinned_post_id FROM users ORDER BY id")) {
    got.push_back(absl::StrCat("user ", id(users, row[0]), " ", row[1], " pins ", id(posts, row[2])));
  }
  Expect("the table users", UserLines(""), got);
  got.clear();
  for (const auto& row :
       pair_.post_db().Query("SELECT id, user_id, like_count, title, content FROM posts ORDER BY id")) {
    got.push_back(absl::StrCat("post ", id(posts, row[0]), " of ", id(users, row[1]), " has ", row[2], " likes, ",
                               row[3], ": ", row[4]));
  }
  Expect("the table posts", PostLines("ORDER BY p.id"), got);
  got.clear();
  for (const auto& row : pair_.post_db().Query("SELECT post_id, user_id FROM likes ORDER BY post_id, user_id")) {
    got.push_back(absl::StrCat(id(posts, row[0]), " ", id(users, row[1])));
  }
  Expect("the table likes", oracle_.Texts("SELECT post_id || ' ' || user_id FROM likes ORDER BY post_id, user_id"),
         got);
  Expect("Orphans", {"0"}, {absl::StrCat(pair_.Orphans())});
}

}  // namespace crosskey::testing
