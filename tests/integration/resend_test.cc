// A client whose connection is cut before the answer arrives sends the same write again, under the same request_id.
#include <thread>

#include "absl/strings/str_cat.h"
#include "common/events/uuid.h"
#include "tests/integration/api_client.h"
#include "tests/support/tcp_gate.h"
#include "tests/support/wait.h"

namespace crosskey::testing {
namespace {

using post::v1::PostService;
using user::v1::UserService;

class ResendTest : public DatabaseTest {
 protected:
  ResendTest()
      : pair_(GetParam()),
        user_gate_(pair_.user_app().service().front().port()),
        post_gate_(pair_.post_app().service().front().port()),
        users_(UserService::NewStub(OpenChannel(user_gate_.port()))),
        posts_(PostService::NewStub(OpenChannel(post_gate_.port()))) {}

  // Sends the write, loses the answer, and sends the write again. Returns the answer to that.
  template <typename Stub, typename Request, typename Response>
  Response SendAgain(Stub& stub, grpc::Status (Stub::*method)(grpc::ClientContext*, const Request&, Response*),
                     const std::string& text) {
    const Request request = FromText<Request>(absl::StrCat(text, " request_id: '", NewUuid(), "'"));
    const bool at_users = std::is_same_v<Stub, UserService::Stub>;
    TcpGate& gate = at_users ? user_gate_ : post_gate_;
    TestDatabase& database = at_users ? pair_.user_db() : pair_.post_db();
    const int64_t answers = database.Number("SELECT COUNT(*) FROM requests");
    AwaitConnected(stub);
    gate.SwallowFromTarget(true);
    grpc::Status lost;
    std::thread first([&] {
      Response response;
      lost = Invoke(stub, method, request, &response);
    });
    EXPECT_TRUE(WaitFor([&] { return database.Number("SELECT COUNT(*) FROM requests") == answers + 1; })) << text;
    gate.CutAll();
    gate.Heal();
    first.join();
    EXPECT_FALSE(lost.ok()) << "the answer was lost";
    if (restart_) {
      pair_.StopUsers();
      pair_.StopPosts();
      pair_.StartUsers();
      pair_.StartPosts();
    }
    // The connection is a new one, and may need a moment.
    Response response;
    EXPECT_TRUE(WaitFor([&] {
      const grpc::Status status = Invoke(stub, method, request, &response);
      EXPECT_TRUE(status.ok() || ReasonOf(status).empty()) << text << ": " << status.error_message();
      return status.ok();
    })) << text;
    return response;
  }

  // Waits for the connection, which has to be made before its answers are swallowed.
  static void AwaitConnected(UserService::Stub& users) {
    EXPECT_TRUE(WaitFor([&] { return Ask(users, &UserService::Stub::ListUsers, {}).status.ok(); }));
  }
  static void AwaitConnected(PostService::Stub& posts) {
    EXPECT_TRUE(WaitFor([&] { return Ask(posts, &PostService::Stub::ListPosts, {}).status.ok(); }));
  }

  void EveryWrite() {
    using US = UserService::Stub;
    using PS = PostService::Stub;
    const int64_t ada = SendAgain(*users_, &US::CreateUser, "username: 'ada'").user().id();
    const int64_t fan = SendAgain(*users_, &US::CreateUser, "username: 'fan'").user().id();
    EXPECT_EQ(pair_.user_db().Number("SELECT COUNT(*) FROM users"), 2);
    const auto renamed = SendAgain(*users_, &US::UpdateUser, absl::StrCat("user { id: ", ada, " username: 'ada l' }"));
    EXPECT_EQ(GetUser(pair_, ada).etag(), renamed.user().etag());
    const int64_t post = SendAgain(*posts_, &PS::CreatePost, absl::StrCat("user_id: ", ada, " title: 't'")).post().id();
    const std::string one = absl::StrCat("requests { user_id: ", ada, " title: 't' } ");
    const int64_t batched = SendAgain(*posts_, &PS::BatchCreatePosts, one + one).posts(0).id();
    EXPECT_EQ(pair_.post_db().Number("SELECT COUNT(*) FROM posts"), 3);
    const auto updated = SendAgain(*posts_, &PS::UpdatePost, absl::StrCat("post { id: ", post, " title: 'u' }"));
    EXPECT_EQ(GetPost(pair_, post).etag(), updated.post().etag());
    const std::string like = absl::StrCat("post_id: ", post, " user_id: ", fan);
    SendAgain(*posts_, &PS::LikePost, like);
    EXPECT_EQ(GetPost(pair_, post).like_count(), 1);
    SendAgain(*posts_, &PS::UnlikePost, like);
    EXPECT_EQ(GetPost(pair_, post).like_count(), 0);
    SendAgain(*users_, &US::UpdateUser, absl::StrCat("user { id: ", fan, " pinned_post_id: ", post, " }"));
    SendAgain(*posts_, &PS::DeletePost, absl::StrCat("id: ", batched));
    const auto deletion = SendAgain(*users_, &US::DeleteUser, absl::StrCat("id: ", ada)).deletion();
    EXPECT_EQ(deletion.user_id(), ada);
    pair_.AwaitQuiet();
    EXPECT_EQ(pair_.Orphans(), 0);
    for (const auto& [type, count] : std::map<std::string, int64_t>{
             {"user.v1.UserCreated", 2}, {"user.v1.UserDeleted", 1}, {"user.v1.UserUpdated", 3}}) {
      EXPECT_EQ(pair_.user_db().Number("SELECT COUNT(*) FROM outbox WHERE type = '" + type + "'"), count) << type;
    }
    for (const auto& [type, count] :
         std::map<std::string, int64_t>{{"post.v1.PostCreated", 3}, {"post.v1.PostUpdated", 1}}) {
      EXPECT_EQ(pair_.post_db().Number("SELECT COUNT(*) FROM outbox WHERE type = '" + type + "'"), count) << type;
    }
    EXPECT_EQ(pair_.user_db().Number("SELECT COUNT(*) FROM user_deletions"), 1);
  }

  bool restart_ = false;  // whether the services are restarted before the write is sent again
  Pair pair_;
  TcpGate user_gate_;
  TcpGate post_gate_;
  std::unique_ptr<UserService::Stub> users_;
  std::unique_ptr<PostService::Stub> posts_;
};
CROSSKEY_ON_EVERY_DATABASE(ResendTest);

TEST_P(ResendTest, EveryWriteHasOneEffectAfterACutConnection) { EveryWrite(); }

TEST_P(ResendTest, EveryWriteHasOneEffectAcrossARestart) {
  restart_ = true;
  EveryWrite();
}

}  // namespace
}  // namespace crosskey::testing
