// Every method has a limit for the size of its request. gRPC has one too, for all methods of a listener together.
#include <limits>
#include <set>
#include <string>

#include <google/protobuf/descriptor.h>

#include "absl/strings/str_cat.h"
#include "absl/strings/strip.h"
#include "common/status/limits.h"
#include "event/v1/event_service.grpc.pb.h"
#include "post-service/domain/limits.h"
#include "tests/integration/api_client.h"
#include "tests/support/internal_channel.h"

namespace crosskey::testing {
namespace {

constexpr size_t kUsual = size_t{limits::kRequestKibibytes} * limits::kKibibyte;
constexpr size_t kPost = size_t{posts::kPostRequestKibibytes} * limits::kKibibyte;

// The request with a field that no release knows, so that it has so many bytes.
template <typename Request>
Request Padded(Request request, size_t bytes) {
  constexpr int kUnknown = 1000;
  auto* const unknown = request.GetReflection()->MutableUnknownFields(&request);
  std::string* const padding = unknown->AddLengthDelimited(kUnknown);
  padding->assign(bytes, 'x');
  while (request.ByteSizeLong() > bytes) padding->resize(padding->size() - (request.ByteSizeLong() - bytes));
  EXPECT_EQ(request.ByteSizeLong(), bytes);
  return request;
}

class RequestSize : public ApiTest {
 protected:
  static ErrorRow TooLarge(size_t limit) {
    return {grpc::StatusCode::RESOURCE_EXHAUSTED,
            "REQUEST_TOO_LARGE",
            {},
            {{"bytes", absl::StrCat(limit + 1)}, {"limit", absl::StrCat(limit)}}};
  }

  // What a write changes in either database, the answers that are kept for request_ids included.
  std::string Stored() {
    std::string stored;
    for (const char* table : {"users", "outbox", "requests", "user_deletions"}) {
      absl::StrAppend(&stored, pair().user_db().Number(absl::StrCat("SELECT COUNT(*) FROM ", table)), "|");
    }
    for (const char* table : {"posts", "likes", "outbox", "requests"}) {
      absl::StrAppend(&stored, pair().post_db().Number(absl::StrCat("SELECT COUNT(*) FROM ", table)), "|");
    }
    return stored;
  }

  // A request that could be answered is refused if it has one byte more than the limit, and is taken at the limit.
  template <typename Request>
  void Bounds(const Request& request, size_t limit = kUsual) {
    const std::string method(absl::StripSuffix(Request::descriptor()->name(), "Request"));
    SCOPED_TRACE(method);
    const std::string before = Stored();
    ExpectError(Send(pair(), Padded(request, limit + 1)).status, TooLarge(limit));
    EXPECT_EQ(Stored(), before);
    EXPECT_THAT(Send(pair(), Padded(request, limit)).status, GrpcOk());
    tried_.insert(method);
  }
  template <typename Request>
  void Bounds(const std::string& text, size_t limit = kUsual) {
    Bounds(FromText<Request>(text), limit);
  }

  std::set<std::string> tried_;
};
CROSSKEY_ON_EVERY_DATABASE(RequestSize);

std::set<std::string> MethodsOf(const std::string& name) {
  std::set<std::string> methods;
  const auto* const service = google::protobuf::DescriptorPool::generated_pool()->FindServiceByName(name);
  for (int i = 0; i < service->method_count(); ++i) methods.insert(service->method(i)->name());
  return methods;
}

TEST_P(RequestSize, EveryMethodOfUserServiceHasALimit) {
  const int64_t user = pair().CreateUser(NewName());
  const std::string id = absl::StrCat(user);
  pair().AwaitQuiet();
  Bounds<user::v1::CreateUserRequest>(
      absl::StrCat("username: '", NewName(), "' request_id: '00000000-0000-4000-8000-00000000000a'"));
  Bounds<user::v1::GetUserRequest>("id: " + id);
  Bounds<user::v1::BatchGetUsersRequest>("ids: " + id);
  Bounds<user::v1::ListUsersRequest>("page_size: 1");
  Bounds<user::v1::UpdateUserRequest>(absl::StrCat("user { id: ", id, " username: '", NewName(), "' }"));
  Bounds<user::v1::DeleteUserRequest>("id: " + id);
  pair().AwaitState(user, user::v1::DELETION_STATE_COMPLETED);
  pair().AwaitQuiet();
  Bounds<user::v1::GetUserDeletionRequest>("user_id: " + id);
  EXPECT_EQ(tried_, MethodsOf("user.v1.UserService"));
}

TEST_P(RequestSize, EveryMethodOfPostServiceHasALimit) {
  const std::string user = absl::StrCat("user_id: ", pair().CreateUser(NewName()));
  const int64_t post = pair().CreatePost(pair().CreateUser(NewName()));
  const std::string id = absl::StrCat(post);
  pair().AwaitQuiet();
  Bounds<post::v1::CreatePostRequest>(user + " title: 'a' request_id: '00000000-0000-4000-8000-00000000000b'", kPost);
  Bounds<post::v1::BatchCreatePostsRequest>(absl::StrCat("requests { ", user, " title: 'a' }"),
                                            posts::kBatchCreateBytes);
  Bounds<post::v1::GetPostRequest>("id: " + id);
  Bounds<post::v1::BatchGetPostsRequest>("ids: " + id);
  Bounds<post::v1::ListPostsRequest>(user);
  Bounds<post::v1::UpdatePostRequest>(absl::StrCat("post { id: ", id, " title: 'b' }"), kPost);
  Bounds<post::v1::LikePostRequest>(absl::StrCat("post_id: ", id, " ", user));
  Bounds<post::v1::ListPostLikesRequest>("post_id: " + id);
  Bounds<post::v1::ListLikedPostsRequest>(user);
  Bounds<post::v1::UnlikePostRequest>(absl::StrCat("post_id: ", id, " ", user));
  Bounds<post::v1::DeletePostRequest>("id: " + id);
  EXPECT_EQ(tried_, MethodsOf("post.v1.PostService"));
}

TEST_P(RequestSize, EveryMethodBetweenTheServicesHasALimit) {
  const auto channel = OpenInternalChannel(pair().user_internal_port(), pair().user_db(), pair().post_db(), false);
  const auto references = ::relation::v1::ReferenceService::NewStub(channel);
  const auto events = event::v1::EventService::NewStub(channel);
  const auto refuses = [&](auto& stub, auto method, auto request) {
    SCOPED_TRACE(request.GetTypeName());
    ExpectError(Ask(stub, method, Padded(request, kUsual + 1)).status, TooLarge(kUsual));
    EXPECT_NE(ReasonOf(Ask(stub, method, Padded(request, kUsual)).status), "REQUEST_TOO_LARGE");
  };
  using References = ::relation::v1::ReferenceService::Stub;
  refuses(pair().internal_users(), &user::v1::UserService::Stub::BatchGetUsers, user::v1::BatchGetUsersRequest());
  refuses(*references, &References::LookupReferenced, ::relation::v1::LookupReferencedRequest());
  refuses(*references, &References::ReleaseReferenced, ::relation::v1::ReleaseReferencedRequest());
  refuses(*references, &References::ListOpenDeletions, ::relation::v1::ListOpenDeletionsRequest());
  refuses(*references, &References::FindReferences, ::relation::v1::FindReferencesRequest());
  refuses(*events, &event::v1::EventService::Stub::GetFeedInfo, event::v1::GetFeedInfoRequest());
  // This one takes an empty request, and would give the feed a new name.
  ExpectError(
      Ask(*references, &References::BeginRepair, Padded(::relation::v1::BeginRepairRequest(), kUsual + 1)).status,
      TooLarge(kUsual));
}

TEST_P(RequestSize, ASubscriberMayNameAsManyTypesAsTheLimitsSay) {
  const auto channel = OpenInternalChannel(pair().user_internal_port(), pair().user_db(), pair().post_db(), false);
  const auto events = event::v1::EventService::NewStub(channel);
  event::v1::SubscribeRequest request;
  for (int i = 0; i < limits::kEventTypes; ++i) request.add_types(std::string(limits::kEventTypeBytes, 'x'));
  event::v1::SubscribeResponse response;
  {
    const auto context = Context();
    const auto stream = events->Subscribe(context.get(), request);
    EXPECT_TRUE(stream->Read(&response)) << stream->Finish().error_message();
    context->TryCancel();
  }
  const auto context = Context();
  const auto stream = events->Subscribe(context.get(), Padded(request, kUsual + 1));
  EXPECT_FALSE(stream->Read(&response));
  ExpectError(stream->Finish(), TooLarge(kUsual));
}

// An id has up to nine bytes.
TEST_P(RequestSize, AsManyIdsAsABatchMayHaveFit) {
  user::v1::BatchGetUsersRequest request;
  for (int i = 0; i < limits::kBatchIds; ++i) request.add_ids(std::numeric_limits<int64_t>::max() - i);
  const auto answer = Send(pair(), request);
  EXPECT_THAT(answer.status, GrpcOk());
  EXPECT_EQ(answer->not_found_ids_size(), limits::kBatchIds);
}

// A client may send a whole post back to change its title.
TEST_P(RequestSize, TheLargestPostFits) {
  const int64_t user = pair().CreateUser(NewName());
  const std::string title = Repeat("\U0001F600", 100), content(65'535, 'x');
  const auto post = GetPost(pair(), pair().CreatePost(user, title, content));
  post::v1::UpdatePostRequest update;
  *update.mutable_post() = post;
  update.mutable_update_mask()->add_paths("title");
  update.set_request_id("00000000-0000-4000-8000-00000000000c");
  EXPECT_THAT(Send(pair(), update).status, GrpcOk());
}

}  // namespace
}  // namespace crosskey::testing
