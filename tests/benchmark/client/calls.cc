#include "tests/benchmark/client/calls.h"

#include <chrono>
#include <fstream>
#include <iterator>
#include <random>
#include <stdexcept>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"

namespace crosskey::benchmark {
namespace {

constexpr int kBatch = 100;
constexpr std::chrono::seconds kDeadline(30);
// How many likes belong to one seed: more than a measurement makes.
constexpr int64_t kLikesOfSeed = 500'000;

template <typename Response>
class UnaryFlight : public Flight {
 public:
  using Check = std::function<bool(const Response&)>;
  explicit UnaryFlight(Check check) : check_(std::move(check)) {}
  void Go(std::unique_ptr<grpc::ClientAsyncResponseReader<Response>> reader, void* tag) {
    reader_ = std::move(reader);
    reader_->StartCall();
    reader_->Finish(&response_, &status, tag);
  }
  bool IsRight() const override { return check_(response_); }

 private:
  Check check_;
  Response response_;
  std::unique_ptr<grpc::ClientAsyncResponseReader<Response>> reader_;
};

// Mixes the bits, so that neighbours are far from each other (splitmix64).
uint64_t Mix(uint64_t value) {
  value += 0x9e3779b97f4a7c15;
  value = (value ^ (value >> 30)) * 0xbf58476d1ce4e5b9;
  value = (value ^ (value >> 27)) * 0x94d049bb133111eb;
  return value ^ (value >> 31);
}

std::mt19937_64& Random() {
  thread_local std::mt19937_64 random{std::random_device{}()};
  return random;
}

// MakeMethod<Stub, Request, Response>(prepare, request of call n, check of the answer to the request)
template <typename Stub, typename Request, typename Response>
Method MakeMethod(std::unique_ptr<Stub> Connection::*stub,
                  std::unique_ptr<grpc::ClientAsyncResponseReader<Response>> (Stub::*prepare)(grpc::ClientContext*,
                                                                                              const Request&,
                                                                                              grpc::CompletionQueue*),
                  std::function<Request(int64_t n)> request_of,
                  std::function<bool(const Request&, const Response&)> check) {
  const bool to_users = std::is_same_v<Stub, user::v1::UserService::Stub>;
  return {to_users, [=](Connection& connection, grpc::CompletionQueue* queue, void* tag, int64_t n) {
            const Request request = request_of(n);
            auto flight = std::make_unique<UnaryFlight<Response>>(
                [check, request](const Response& response) { return check(request, response); });
            UnaryFlight<Response>& started = *flight;
            started.Go(((*(connection.*stub)).*prepare)(&started.context, request, queue), tag);
            return flight;
          }};
}

using PostStub = post::v1::PostService::Stub;
using UserStub = user::v1::UserService::Stub;

Method GetPost(const std::vector<int64_t>& ids, bool include_user, int64_t seed) {
  using post::v1::GetPostRequest;
  using post::v1::GetPostResponse;
  return MakeMethod<PostStub, GetPostRequest, GetPostResponse>(
      &Connection::posts, &PostStub::PrepareAsyncGetPost,
      [&ids, include_user, seed](int64_t n) {
        GetPostRequest request;
        request.set_id(Choose(ids, seed, n));
        request.set_include_user(include_user);
        return request;
      },
      [](const GetPostRequest& request, const GetPostResponse& response) {
        return response.post().id() == request.id() && response.has_user() == request.include_user();
      });
}

Method ListPosts(const Population& population, bool include_users, int64_t seed) {
  using post::v1::ListPostsRequest;
  using post::v1::ListPostsResponse;
  return MakeMethod<PostStub, ListPostsRequest, ListPostsResponse>(
      &Connection::posts, &PostStub::PrepareAsyncListPosts,
      [&population, include_users, seed](int64_t n) {
        ListPostsRequest request;
        request.set_user_id(Choose(population.listed_users, seed, n));
        request.set_page_size(population.posts_each);
        request.set_include_users(include_users);
        return request;
      },
      [each = population.posts_each](const ListPostsRequest& request, const ListPostsResponse& response) {
        return response.posts_size() == each && response.users_size() == (request.include_users() ? 1 : 0);
      });
}

post::v1::CreatePostRequest NewPost(int64_t user) {
  post::v1::CreatePostRequest request;
  request.set_title(PostTitle());
  request.set_content(PostContent());
  request.set_user_id(user);
  return request;
}

Method CreatePost(std::function<int64_t(int64_t n)> user_of, bool with_request_id) {
  using post::v1::CreatePostRequest;
  using post::v1::CreatePostResponse;
  return MakeMethod<PostStub, CreatePostRequest, CreatePostResponse>(
      &Connection::posts, &PostStub::PrepareAsyncCreatePost,
      [user_of, with_request_id](int64_t n) {
        CreatePostRequest request = NewPost(user_of(n));
        if (with_request_id) request.set_request_id(NewRequestId());
        return request;
      },
      [](const CreatePostRequest& request, const CreatePostResponse& response) {
        return response.post().id() > 0 && response.post().user_id() == request.user_id();
      });
}

Method BatchCreatePosts(const Population& population, int64_t seed) {
  using post::v1::BatchCreatePostsRequest;
  using post::v1::BatchCreatePostsResponse;
  return MakeMethod<PostStub, BatchCreatePostsRequest, BatchCreatePostsResponse>(
      &Connection::posts, &PostStub::PrepareAsyncBatchCreatePosts,
      [&population, seed](int64_t n) {
        BatchCreatePostsRequest request;
        for (int i = 0; i < kBatch; ++i) {
          *request.add_requests() = NewPost(Choose(population.written_users, seed, n * kBatch + i));
        }
        return request;
      },
      [](const BatchCreatePostsRequest& request, const BatchCreatePostsResponse& response) {
        return response.posts_size() == request.requests_size();
      });
}

// Every call is a like that is not there yet.
Method LikePost(const Population& population, int64_t seed) {
  using post::v1::LikePostRequest;
  using post::v1::LikePostResponse;
  return MakeMethod<PostStub, LikePostRequest, LikePostResponse>(
      &Connection::posts, &PostStub::PrepareAsyncLikePost,
      [&population, seed](int64_t n) {
        const auto users = static_cast<int64_t>(population.written_users.size());
        const auto posts = static_cast<int64_t>(population.like_posts.size());
        const int64_t number = seed * kLikesOfSeed + n;
        const int64_t user = number % users;
        LikePostRequest request;
        request.set_user_id(population.written_users[static_cast<size_t>(user)]);
        // The users begin at different posts, so that calls at the same time are about different posts.
        request.set_post_id(population.like_posts[static_cast<size_t>((number / users + user) % posts)]);
        return request;
      },
      [](const LikePostRequest&, const LikePostResponse&) { return true; });
}

Method CreateUser() {
  using user::v1::CreateUserRequest;
  using user::v1::CreateUserResponse;
  return MakeMethod<UserStub, CreateUserRequest, CreateUserResponse>(
      &Connection::users, &UserStub::PrepareAsyncCreateUser,
      [](int64_t) {
        CreateUserRequest request;
        request.set_username(NewRequestId());
        return request;
      },
      [](const CreateUserRequest& request, const CreateUserResponse& response) {
        return response.user().id() > 0 && response.user().username() == request.username();
      });
}

std::shared_ptr<grpc::ChannelCredentials>& Credentials() {
  static auto* const credentials = new std::shared_ptr<grpc::ChannelCredentials>(grpc::InsecureChannelCredentials());
  return *credentials;
}

}  // namespace

void ConnectSecurely(const std::string& ca_file, const std::string& token) {
  std::ifstream file(ca_file);
  const std::string ca((std::istreambuf_iterator<char>(file)), std::istreambuf_iterator<char>());
  Credentials() =
      grpc::CompositeChannelCredentials(grpc::SslCredentials({ca, "", ""}), grpc::AccessTokenCredentials(token));
}

std::string PostTitle() { return "A title of some length"; }

std::string PostContent() { return std::string(200, 'c'); }

Connection::Connection(const std::string& address, bool to_users) {
  grpc::ChannelArguments arguments;
  // Without it channels to the same address share one connection.
  arguments.SetInt(GRPC_ARG_USE_LOCAL_SUBCHANNEL_POOL, 1);
  channel = grpc::CreateCustomChannel(address, Credentials(), arguments);
  if (to_users) {
    users = user::v1::UserService::NewStub(channel);
  } else {
    posts = post::v1::PostService::NewStub(channel);
  }
}

Flight::Flight() { context.set_deadline(std::chrono::system_clock::now() + kDeadline); }

Method FindMethod(const std::string& name, const Population& population, int64_t seed) {
  const auto anyone = [&population, seed](int64_t n) { return Choose(population.written_users, seed, n); };
  if (name == "GetPost") return GetPost(population.read_posts, false, seed);
  if (name == "GetPostWithUser") return GetPost(population.read_posts, true, seed);
  if (name == "GetLikedPost") return GetPost(population.liked_posts, false, seed);
  if (name == "ListPosts") return ListPosts(population, false, seed);
  if (name == "ListPostsWithUsers") return ListPosts(population, true, seed);
  if (name == "CreatePost") return CreatePost(anyone, false);
  if (name == "CreatePostWithRequestId") return CreatePost(anyone, true);
  if (name == "CreatePostForHotUser") {
    return CreatePost([&population](int64_t) { return population.hot_user; }, false);
  }
  if (name == "BatchCreatePosts") return BatchCreatePosts(population, seed);
  if (name == "LikePost") return LikePost(population, seed);
  if (name == "CreateUser") return CreateUser();
  throw std::invalid_argument("no such method: " + name);
}

int64_t Choose(const std::vector<int64_t>& ids, int64_t seed, int64_t n) {
  if (ids.empty()) throw std::invalid_argument("the population has nothing to choose from");
  return ids[static_cast<size_t>(ChooseBelow(static_cast<int64_t>(ids.size()), seed, n))];
}

int64_t ChooseBelow(int64_t size, int64_t seed, int64_t n) {
  const uint64_t mixed = Mix((static_cast<uint64_t>(seed) << 40) + static_cast<uint64_t>(n));
  return static_cast<int64_t>(mixed % static_cast<uint64_t>(size));
}

std::string NewRequestId() {
  const uint64_t high = Random()(), low = Random()();
  return absl::StrFormat("%08x-%04x-4%03x-%04x-%012x", high >> 32, (high >> 16) & 0xffff, high & 0xfff,
                         0x8000 | ((low >> 48) & 0x3fff), low & 0xffffffffffff);
}

}  // namespace crosskey::benchmark
