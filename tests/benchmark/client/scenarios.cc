#include "tests/benchmark/client/scenarios.h"

#include <algorithm>
#include <optional>
#include <stdexcept>
#include <thread>

#include "absl/strings/str_cat.h"
#include "tests/benchmark/client/calls.h"

namespace crosskey::benchmark {
namespace {

constexpr int kRowsOfBatch = 500;
constexpr std::chrono::minutes kPatience(3);
// A load that takes all there is slows a reclaim down. This is enough to see the latencies.
constexpr std::chrono::seconds kLongestLoad(8);
// Short against the time of a reclaim, and so seldom that the calls do not count.
constexpr std::chrono::milliseconds kPause(10);

void Check(const grpc::Status& status, const char* what) {
  if (!status.ok()) throw std::runtime_error(absl::StrCat(what, ": ", status.error_message()));
}

void AwaitConnection(const Connection& connection) {
  if (!connection.channel->WaitForConnected(std::chrono::system_clock::now() + std::chrono::seconds(20))) {
    throw std::runtime_error("no connection");
  }
}

// Calls one after the other.
class Caller {
 public:
  explicit Caller(const Servers& servers) : users_(servers.users, true), posts_(servers.posts, false) {
    AwaitConnection(users_);
    AwaitConnection(posts_);
  }

  int64_t CreateUser() {
    grpc::ClientContext context;
    user::v1::CreateUserRequest request;
    user::v1::CreateUserResponse response;
    request.set_username(NewRequestId());
    Check(users_.users->CreateUser(&context, request, &response), "CreateUser");
    return response.user().id();
  }

  // One post for each element. Returns the ids in that order.
  std::vector<int64_t> CreatePosts(const std::vector<int64_t>& users) {
    grpc::ClientContext context;
    post::v1::BatchCreatePostsRequest request;
    post::v1::BatchCreatePostsResponse response;
    for (const int64_t user : users) {
      post::v1::CreatePostRequest& post = *request.add_requests();
      post.set_title(PostTitle());
      post.set_content(PostContent());
      post.set_user_id(user);
    }
    Check(posts_.posts->BatchCreatePosts(&context, request, &response), "BatchCreatePosts");
    std::vector<int64_t> ids;
    for (const post::v1::Post& post : response.posts()) ids.push_back(post.id());
    return ids;
  }

  void DeleteUser(int64_t id) {
    grpc::ClientContext context;
    user::v1::DeleteUserRequest request;
    user::v1::DeleteUserResponse response;
    request.set_id(id);
    Check(users_.users->DeleteUser(&context, request, &response), "DeleteUser");
  }

  user::v1::UserDeletion GetUserDeletion(int64_t id) {
    grpc::ClientContext context;
    user::v1::GetUserDeletionRequest request;
    user::v1::GetUserDeletionResponse response;
    request.set_user_id(id);
    Check(users_.users->GetUserDeletion(&context, request, &response), "GetUserDeletion");
    return response.deletion();
  }

  // Returns the number of posts that were removed, or nothing if the deletion is not completed in this time.
  std::optional<int64_t> AwaitCompleted(int64_t user, Clock::duration patience) {
    const Clock::time_point deadline = Clock::now() + patience;
    for (;;) {
      const user::v1::UserDeletion deletion = GetUserDeletion(user);
      if (deletion.state() == user::v1::DELETION_STATE_COMPLETED) return deletion.posts();
      if (Clock::now() > deadline) return std::nullopt;
      std::this_thread::sleep_for(kPause);
    }
  }
  int64_t MustComplete(int64_t user) {
    const std::optional<int64_t> posts = AwaitCompleted(user, kPatience);
    if (!posts.has_value()) throw std::runtime_error("a deletion is not completed");
    return *posts;
  }

 private:
  Connection users_;
  Connection posts_;
};

std::vector<int64_t> CreateUsers(Caller& caller, int count) {
  std::vector<int64_t> users;
  for (int i = 0; i < count; ++i) users.push_back(caller.CreateUser());
  return users;
}

std::vector<int64_t> FillPosts(Caller& caller, const std::vector<int64_t>& users, int posts_each) {
  std::vector<int64_t> posts;
  for (const int64_t user : users) {
    const std::vector<int64_t> ids = caller.CreatePosts(std::vector<int64_t>(static_cast<size_t>(posts_each), user));
    posts.insert(posts.end(), ids.begin(), ids.end());
  }
  return posts;
}

double Milliseconds(Clock::duration duration) { return std::chrono::duration<double, std::milli>(duration).count(); }

}  // namespace

Population Fill(const Servers& servers, int listed, int written, int posts_each) {
  Caller caller(servers);
  Population population;
  population.posts_each = posts_each;
  population.listed_users = CreateUsers(caller, listed);
  population.read_posts = FillPosts(caller, population.listed_users, posts_each);
  population.like_posts = FillPosts(caller, CreateUsers(caller, listed), posts_each);
  population.written_users = CreateUsers(caller, written);
  population.hot_user = caller.CreateUser();
  // Each of them is referred to once: so what is measured is not the first meeting of the services.
  std::vector<int64_t> once = population.written_users;
  once.push_back(population.hot_user);
  for (size_t begin = 0; begin < once.size(); begin += kRowsOfBatch) {
    const size_t end = std::min(once.size(), begin + kRowsOfBatch);
    caller.CreatePosts({once.begin() + static_cast<int64_t>(begin), once.begin() + static_cast<int64_t>(end)});
  }
  return population;
}

int64_t FillUser(const Servers& servers, int64_t posts) {
  Caller caller(servers);
  const int64_t user = caller.CreateUser();
  for (int64_t left = posts; left > 0; left -= kRowsOfBatch) {
    caller.CreatePosts(std::vector<int64_t>(static_cast<size_t>(std::min<int64_t>(left, kRowsOfBatch)), user));
  }
  return user;
}

nlohmann::json DeleteSmall(const Servers& servers, int times) {
  Caller caller(servers);
  const std::vector<int64_t> users = CreateUsers(caller, times);
  for (const int64_t user : users) caller.CreatePosts({user});
  Samples samples;
  const Clock::time_point begin = Clock::now();
  for (const int64_t user : users) {
    const Clock::time_point called = Clock::now();
    caller.DeleteUser(user);
    samples.Add(called, Clock::now());
    // The next call is not to be slowed down by what this one has left to do.
    caller.MustComplete(user);
  }
  return samples.Summary({begin, Clock::now()});
}

nlohmann::json DeleteLarge(const Servers& servers, int64_t user_id, Load* load, Clock::duration idle,
                           ProcessUsage& usage) {
  Caller caller(servers);
  // Its connections are new. The first calls of a connection take longer, and are not to be measured.
  const int64_t small = caller.CreateUser();
  caller.CreatePosts({small});
  caller.DeleteUser(small);
  caller.MustComplete(small);
  Window before{Clock::now(), {}};
  if (load != nullptr) {
    load->Start();
    std::this_thread::sleep_for(idle / 4);  // warms up
    before.begin = Clock::now();
    std::this_thread::sleep_for(idle);
  }
  usage.Begin();
  Window during{Clock::now(), {}};
  before.end = during.begin;
  caller.DeleteUser(user_id);
  const Clock::duration call = Clock::now() - during.begin;
  std::optional<int64_t> rows = caller.AwaitCompleted(user_id, load == nullptr ? kPatience : kLongestLoad);
  during.end = Clock::now();
  nlohmann::json result = {
      {"delete_ms", Milliseconds(call)}, {"seconds", during.seconds()}, {"processes", usage.End()}};
  if (rows.has_value()) result["rows_per_second"] = static_cast<double>(*rows) / during.seconds();
  if (load != nullptr) load->Stop();
  if (!rows.has_value()) rows = caller.MustComplete(user_id);
  result["rows"] = *rows;
  if (load == nullptr) return result;
  for (const auto& [name, samples] : load->samples()) {
    result["idle"][name] = samples.Summary(before);
    result["during"][name] = samples.Summary(during);
  }
  return result;
}

}  // namespace crosskey::benchmark
