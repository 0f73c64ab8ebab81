// Stops and starts one process after the other, while clients with the recommended service config call both services
// without a pause. The clients must not notice.
#include <algorithm>
#include <atomic>
#include <csignal>
#include <fstream>
#include <iterator>
#include <list>
#include <mutex>
#include <set>
#include <thread>

#include <grpcpp/create_channel.h>
#include <grpcpp/security/credentials.h>
#include <gtest/gtest.h>

#include "absl/strings/str_cat.h"
#include "common/events/uuid.h"
#include "tests/fault/calls.h"
#include "tests/support/cluster.h"
#include "tests/support/free_port.h"
#include "tests/support/secrets.h"
#include "tests/support/wait.h"

namespace crosskey::testing {
namespace {

constexpr int kClients = 8;

std::string ServiceConfig() {
  std::ifstream file(CROSSKEY_SOURCE_DIR "/deploy/clients/service_config.json");
  return {std::istreambuf_iterator<char>(file), {}};
}

// A channel to all replicas of a service, like one to a DNS name with several addresses.
std::shared_ptr<grpc::Channel> ChannelTo(const Cluster& cluster, Side side) {
  grpc::ChannelArguments arguments;
  arguments.SetInt(GRPC_ARG_ENABLE_HTTP_PROXY, 0);
  arguments.SetServiceConfigJSON(ServiceConfig());
  return grpc::CreateCustomChannel(
      absl::StrCat("ipv4:", Loopback(cluster.port(side, 0)), ",", Loopback(cluster.port(side, 1))),
      grpc::InsecureChannelCredentials(), arguments);
}

// Makes calls to both services until it is told to stop. Deadlines and retries are those of the service config.
class Client {
 public:
  Client(const Cluster& cluster, int number, Outcomes& outcomes, const std::atomic<bool>& stop)
      : users_(user::v1::UserService::NewStub(ChannelTo(cluster, Side::kUsers))),
        posts_(post::v1::PostService::NewStub(ChannelTo(cluster, Side::kPosts))),
        number_(number),
        outcomes_(outcomes),
        thread_([this, &stop] {
          while (!stop) Round();
        }) {}
  ~Client() { thread_.join(); }

  void ForgetWhoAnswered() {
    std::lock_guard lock(mutex_);
    answered_.clear();
  }
  // Whether each of these ports has answered a call since it was last forgotten.
  bool HasHeardFrom(const std::set<int>& ports) {
    std::lock_guard lock(mutex_);
    return std::all_of(ports.begin(), ports.end(),
                       [&](int port) { return answered_.count(absl::StrCat("ipv4:", Loopback(port))) > 0; });
  }

 private:
  template <typename Stub, typename Request, typename Response>
  void Call(Stub& stub, grpc::Status (Stub::*method)(grpc::ClientContext*, const Request&, Response*),
            const Request& request, Response* response) {
    grpc::ClientContext context;
    const grpc::Status status = (stub.*method)(&context, request, response);
    outcomes_.Add(status);
    std::lock_guard lock(mutex_);
    if (status.ok()) answered_.insert(context.peer());
  }

  // Creates a user, a post and a like, lists the posts with their user, and deletes the user with all of it.
  void Round() {
    user::v1::CreateUserRequest create;
    create.set_username(absl::StrCat(kPrivate, "-", number_, "-", ++round_));
    create.set_request_id(NewUuid());
    user::v1::CreateUserResponse created;
    Call(*users_, &UserStub::CreateUser, create, &created);
    const int64_t user = created.user().id();

    post::v1::CreatePostRequest post;
    post.set_user_id(user);
    post.set_title("title");
    post.set_request_id(NewUuid());
    post::v1::CreatePostResponse posted;
    Call(*posts_, &PostStub::CreatePost, post, &posted);

    post::v1::LikePostRequest like;
    like.set_post_id(posted.post().id());
    like.set_user_id(user);
    like.set_request_id(NewUuid());
    post::v1::LikePostResponse liked;
    Call(*posts_, &PostStub::LikePost, like, &liked);

    post::v1::ListPostsRequest list;
    list.set_user_id(user);
    list.set_include_users(true);
    post::v1::ListPostsResponse listed;
    Call(*posts_, &PostStub::ListPosts, list, &listed);

    user::v1::DeleteUserRequest remove;
    remove.set_id(user);
    remove.set_request_id(NewUuid());
    user::v1::DeleteUserResponse removed;
    Call(*users_, &UserStub::DeleteUser, remove, &removed);
  }

  const std::unique_ptr<UserStub> users_;
  const std::unique_ptr<PostStub> posts_;
  const int number_;
  int round_ = 0;
  Outcomes& outcomes_;
  std::mutex mutex_;
  std::set<std::string> answered_;  // the addresses that have answered
  std::thread thread_;              // last: it uses the others
};

class RollingRestartTest : public DatabaseTest {};
CROSSKEY_ON_EVERY_SERVER(RollingRestartTest);

TEST_P(RollingRestartTest, NoCallFails) {
  Cluster::Options options;
  options.replicas = 2;
  options.gates = true;  // in place of the load balancer between the services
  options.shipped = true;
  Cluster cluster(GetParam(), options);
  cluster.StartAll();

  Outcomes outcomes;
  std::atomic<bool> stop = false;
  {
    std::list<Client> clients;
    for (int i = 0; i < kClients; ++i) clients.emplace_back(cluster, i, outcomes, stop);
    const auto more_calls = [&] {
      const int64_t until = outcomes.Count("OK") + 10 * kClients;
      return WaitFor([&] { return outcomes.Count("OK") >= until; });
    };
    // A channel tries a lost address again after a second or so. Whoever restarts processes has to give clients that
    // time before the next one goes (in Kubernetes: minReadySeconds).
    const auto all_are_known = [&] {
      std::set<int> ports;
      for (const Side side : {Side::kUsers, Side::kPosts}) ports.insert({cluster.port(side, 0), cluster.port(side, 1)});
      return std::all_of(clients.begin(), clients.end(),
                         [&](Client& client) { return WaitFor([&] { return client.HasHeardFrom(ports); }); });
    };
    EXPECT_TRUE(all_are_known());
    for (const Side side : {Side::kUsers, Side::kPosts}) {
      const Side other = side == Side::kUsers ? Side::kPosts : Side::kUsers;
      for (int i = 0; i < 2; ++i) {
        // New connections of the other service go to the replica that stays.
        for (int gate = 0; gate < 2; ++gate)
          cluster.peer_gate(other, gate)->Retarget(cluster.internal_port(side, 1 - i));
        cluster.process(side, i).Signal(SIGTERM);
        EXPECT_EQ(cluster.process(side, i).Wait(), 0);
        EXPECT_TRUE(more_calls()) << "with one replica";
        // What the ended process answered says nothing of the one that takes its place.
        for (Client& client : clients) client.ForgetWhoAnswered();
        cluster.Start(side, i);
        EXPECT_TRUE(all_are_known());
      }
    }
    stop = true;
  }
  EXPECT_EQ(outcomes.Except({"OK"}), "");
  cluster.AwaitQuiet();
  EXPECT_EQ(cluster.Orphans(), 0);
  std::cout << outcomes.ToString() << std::endl;
}

}  // namespace
}  // namespace crosskey::testing
