#include "tests/workload/client.h"

#include "absl/strings/str_cat.h"
#include "tests/support/secrets.h"

namespace crosskey::testing {
namespace {

using ::relation::v1::REFERENTIAL_ACTION_CASCADE;
using ::relation::v1::REFERENTIAL_ACTION_RESTRICT;
using ::relation::v1::REFERENTIAL_ACTION_UNSPECIFIED;
using PostStub = post::v1::PostService::Stub;
using UserStub = user::v1::UserService::Stub;

constexpr size_t kMaxCalls = 100'000;  // of one client between two checks; bounds the memory

Row ToRow(const post::v1::Post& post) { return {post.id(), post.user_id(), NumberOf(post.title()), post.like_count()}; }

Entry New(Op op, int64_t user, int64_t post = 0) {
  Entry entry;
  entry.op = op;
  entry.user = user;
  entry.post = post;
  return entry;
}

void TakeOver(const user::v1::User& user, Entry& entry) {
  entry.uid = user.uid();
  entry.pin = user.pinned_post_id();
}

void TakeOver(const user::v1::UserDeletion& deletion, Entry& entry) {
  entry.deletion_id = deletion.deletion_id();
  entry.taken = deletion.on_delete();
  entry.state = deletion.state();
}

}  // namespace

History Workload::Client::Join() {
  thread_.join();
  return std::move(history_);
}

void Workload::Client::Run() {
  while (!workload_.stopping_ && history_.size() < kMaxCalls) {
    CallSomething();
    if (Chance(5)) caller_.Repeat();
  }
  caller_.RepeatAll();
}

template <typename Stub, typename Request, typename Response>
Entry& Workload::Client::Record(Entry entry, Method<Stub, Request, Response> method, const Request& request,
                                Response* response) {
  Entry& recorded = caller_.Call(std::move(entry), method, request, response);
  // Deleted posts are asked for a few times more, not for ever.
  if (recorded.reason == "POST_NOT_FOUND" && Chance(30)) population().DropPost(recorded.post);
  return recorded;
}

void Workload::Client::CallSomething() {
  const int64_t dice = Between(random_, 1, 150);
  if (dice <= 20) {
    CreatePost();
  } else if (dice <= 24) {
    BatchCreatePosts();
  } else if (dice <= 33) {
    UpdatePost(false);
  } else if (dice <= 40) {
    UpdatePost(true);
  } else if (dice <= 46) {
    DeletePost();
  } else if (dice <= 53) {
    DeleteSomeUser();
  } else if (dice <= 61) {
    CreateUser();
  } else if (dice <= 76) {
    GetPost();
  } else if (dice <= 86) {
    ListPosts();
  } else if (dice <= 94) {
    GetUser();
  } else if (dice <= 100) {
    GetUserDeletion();
  } else if (dice <= 116) {
    LikePost();
  } else if (dice <= 126) {
    UnlikePost();
  } else if (dice <= 135) {
    ChangePin(true);
  } else if (dice <= 138) {
    ChangePin(false);
  } else if (dice <= 145) {
    ListPostLikes();
  } else {
    ListLikedPosts();
  }
}

int64_t Workload::Client::UserToWriteTo() {
  if (Chance(8)) return population().NewestUser();
  return Chance(5) ? population().QuietUser(random_) : population().BusyUser(random_);
}

void Workload::Client::CreateUser() {
  // The number of users stays bounded: a new one needs the place of one that is deleted.
  const Population::Place place = population().PickPlace(random_);
  if (place.user != 0) {
    if (Chance(30)) DeleteUser(place.user, REFERENTIAL_ACTION_CASCADE);
    return;
  }
  user::v1::CreateUserRequest request;
  request.set_username(absl::StrCat(kPrivate, " ", NextNumber()));
  user::v1::CreateUserResponse response;
  Entry& entry = Record(New(Op::kCreateUser, 0), &UserStub::CreateUser, request, &response);
  if (entry.outcome != Outcome::kOk) return;
  entry.user = response.user().id();
  entry.uid = response.user().uid();
  population().PutUser(place.index, entry.user);
}

void Workload::Client::CreatePost() {
  const int64_t user = UserToWriteTo();
  if (user == 0) return;
  post::v1::CreatePostRequest request;
  request.set_user_id(user);
  request.set_title(TitleOf(NextNumber()));
  request.set_content(kPrivate);
  post::v1::CreatePostResponse response;
  Entry& entry = Record(New(Op::kCreatePost, user), &PostStub::CreatePost, request, &response);
  if (entry.outcome != Outcome::kOk) return;
  entry.rows.push_back(ToRow(response.post()));
  population().PutPost(random_, response.post().id());
}

// Creates posts of one user, or of two. A batch is all or nothing: if one of the two users is deleted, the other gets
// no post.
void Workload::Client::BatchCreatePosts() {
  const int64_t users[] = {UserToWriteTo(), UserToWriteTo()};
  if (users[0] == 0 || users[1] == 0) return;
  post::v1::BatchCreatePostsRequest request;
  const int64_t size = Between(random_, 2, Chance(5) ? 200 : 12);
  const bool mixed = Chance(30);
  for (int64_t i = 0; i < size; ++i) {
    auto* post = request.add_requests();
    post->set_user_id(users[mixed ? i % 2 : 0]);
    post->set_title(TitleOf(NextNumber()));
    post->set_content(kPrivate);
  }
  post::v1::BatchCreatePostsResponse response;
  Entry& entry = Record(New(Op::kBatchCreatePosts, users[0]), &PostStub::BatchCreatePosts, request, &response);
  for (const auto& post : response.posts()) entry.rows.push_back(ToRow(post));
  for (size_t i = 0; i < entry.rows.size() && i < 4; ++i) population().PutPost(random_, entry.rows[i].id);
}

void Workload::Client::UpdatePost(bool move) {
  Entry wanted = New(Op::kUpdatePost, move ? UserToWriteTo() : 0, population().AnyPost(random_));
  if (wanted.post == 0 || (move && wanted.user == 0)) return;
  post::v1::UpdatePostRequest request;
  request.mutable_post()->set_id(wanted.post);
  if (move) {
    request.mutable_post()->set_user_id(wanted.user);
  } else {
    wanted.title = NextNumber();
    request.mutable_post()->set_title(TitleOf(wanted.title));
  }
  post::v1::UpdatePostResponse response;
  Entry& entry = Record(std::move(wanted), &PostStub::UpdatePost, request, &response);
  if (entry.outcome == Outcome::kOk) entry.rows.push_back(ToRow(response.post()));
}

void Workload::Client::DeletePost() {
  const int64_t post = Chance(5) ? population().HotPost(random_) : population().AnyPost(random_);
  if (post == 0) return;
  post::v1::DeletePostRequest request;
  request.set_id(post);
  post::v1::DeletePostResponse response;
  Record(New(Op::kDeletePost, 0, post), &PostStub::DeletePost, request, &response);
}

void Workload::Client::DeleteSomeUser() {
  const int64_t dice = Between(random_, 1, 100);
  const int64_t user = dice <= 30   ? population().NewestUser()
                       : dice <= 60 ? population().QuietUser(random_)
                                    : population().AnyUser(random_);
  if (user == 0) return;
  DeleteUser(user, dice <= 50   ? REFERENTIAL_ACTION_RESTRICT
                   : dice <= 75 ? REFERENTIAL_ACTION_CASCADE
                                : REFERENTIAL_ACTION_UNSPECIFIED);
}

void Workload::Client::DeleteUser(int64_t user, ::relation::v1::ReferentialAction action) {
  user::v1::DeleteUserRequest request;
  request.set_id(user);
  request.set_on_delete(action);
  user::v1::DeleteUserResponse response;
  Entry wanted = New(Op::kDeleteUser, user);
  wanted.action = action;
  Entry& entry = Record(std::move(wanted), &UserStub::DeleteUser, request, &response);
  if (entry.outcome == Outcome::kOk) TakeOver(response.deletion(), entry);
  if (entry.outcome == Outcome::kOk || entry.reason == "USER_NOT_FOUND") population().MarkDeleted(user);
}

void Workload::Client::GetPost() {
  const int64_t post = SomePost();
  if (post == 0) return;
  post::v1::GetPostRequest request;
  request.set_id(post);
  post::v1::GetPostResponse response;
  Entry& entry = Record(New(Op::kGetPost, 0, post), &PostStub::GetPost, request, &response);
  if (entry.outcome == Outcome::kOk) entry.rows.push_back(ToRow(response.post()));
}

void Workload::Client::ListPosts() {
  const int64_t user = population().AnyUser(random_);
  if (user == 0) return;
  post::v1::ListPostsRequest request;
  request.set_user_id(user);
  request.set_page_size(1000);
  request.set_newest_first(Chance(30));
  post::v1::ListPostsResponse response;
  Entry& entry = Record(New(Op::kListPosts, user), &PostStub::ListPosts, request, &response);
  for (const auto& post : response.posts()) entry.rows.push_back(ToRow(post));
  entry.whole_list = response.next_page_token().empty();
}

void Workload::Client::GetUser() {
  const int64_t user = population().AnyUser(random_);
  if (user == 0) return;
  user::v1::GetUserRequest request;
  request.set_id(user);
  user::v1::GetUserResponse response;
  Entry& entry = Record(New(Op::kGetUser, user), &UserStub::GetUser, request, &response);
  TakeOver(response.user(), entry);
}

void Workload::Client::GetUserDeletion() {
  const int64_t user = population().AnyUser(random_);
  if (user == 0) return;
  user::v1::GetUserDeletionRequest request;
  request.set_user_id(user);
  user::v1::GetUserDeletionResponse response;
  Entry& entry = Record(New(Op::kGetUserDeletion, user), &UserStub::GetUserDeletion, request, &response);
  if (entry.outcome == Outcome::kOk) TakeOver(response.deletion(), entry);
}

Population::Like Workload::Client::SomeLike() {
  const Population::Like recent = population().RecentLike(random_);
  if (recent.post != 0 && Chance(60)) return recent;
  const Population::Like like{Chance(70) ? population().HotPost(random_) : population().AnyPost(random_), UserToLike()};
  if (recent.post == 0 || Chance(5)) population().PutLike(random_, like);
  return like;
}

void Workload::Client::LikePost() {
  const Population::Like like = SomeLike();
  if (like.post == 0 || like.user == 0) return;
  post::v1::LikePostRequest request;
  request.set_post_id(like.post);
  request.set_user_id(like.user);
  post::v1::LikePostResponse response;
  const Entry& entry = Record(New(Op::kLikePost, like.user, like.post), &PostStub::LikePost, request, &response);
  if (entry.reason != "FOREIGN_KEY_VIOLATION" || !Chance(30)) return;
  population().DropLike(like);
  // The reason does not say whether the post or the user is missing.
  if (Chance(50)) population().DropPost(like.post);
}

void Workload::Client::UnlikePost() {
  const Population::Like like = SomeLike();
  if (like.post == 0 || like.user == 0) return;
  post::v1::UnlikePostRequest request;
  request.set_post_id(like.post);
  request.set_user_id(like.user);
  post::v1::UnlikePostResponse response;
  Record(New(Op::kUnlikePost, like.user, like.post), &PostStub::UnlikePost, request, &response);
}

void Workload::Client::ChangePin(bool pin) {
  const int64_t user = UserToLike();
  const int64_t post = !pin ? 0 : Chance(50) ? population().HotPost(random_) : population().AnyPost(random_);
  if (user == 0 || (pin && post == 0)) return;
  user::v1::UpdateUserRequest request;
  request.mutable_user()->set_id(user);
  if (pin) request.mutable_user()->set_pinned_post_id(post);
  request.mutable_update_mask()->add_paths("pinned_post_id");
  user::v1::UpdateUserResponse response;
  Entry& entry =
      Record(New(pin ? Op::kPinPost : Op::kUnpinPost, user, post), &UserStub::UpdateUser, request, &response);
  TakeOver(response.user(), entry);
  if (pin && entry.reason == "FOREIGN_KEY_VIOLATION" && Chance(30)) population().DropPost(post);
}

void Workload::Client::ListPostLikes() {
  const int64_t post = Chance(70) ? population().HotPost(random_) : population().AnyPost(random_);
  if (post == 0) return;
  post::v1::ListPostLikesRequest request;
  request.set_post_id(post);
  request.set_page_size(1000);
  post::v1::ListPostLikesResponse response;
  Entry& entry = Record(New(Op::kListPostLikes, 0, post), &PostStub::ListPostLikes, request, &response);
  for (const auto& like : response.likes()) entry.likers.push_back(like.user_id());
  entry.whole_list = response.next_page_token().empty();
}

void Workload::Client::ListLikedPosts() {
  const int64_t user = population().AnyUser(random_);
  if (user == 0) return;
  post::v1::ListLikedPostsRequest request;
  request.set_user_id(user);
  request.set_page_size(1000);
  post::v1::ListLikedPostsResponse response;
  Entry& entry = Record(New(Op::kListLikedPosts, user), &PostStub::ListLikedPosts, request, &response);
  for (const auto& post : response.posts()) entry.rows.push_back(ToRow(post));
  entry.whole_list = response.next_page_token().empty();
}

}  // namespace crosskey::testing
