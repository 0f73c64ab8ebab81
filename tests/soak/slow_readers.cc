#include "tests/soak/slow_readers.h"

#include "absl/time/clock.h"
#include "post/v1/post_service.pb.h"
#include "user/v1/user_service.pb.h"

namespace crosskey::testing {
namespace {

constexpr absl::Duration kRound = absl::Seconds(2);  // in which each of them calls once
constexpr absl::Duration kGo = absl::Seconds(5);
constexpr int kRows = 1000;

template <typename Request>
std::string FullPage() {
  Request request;
  request.set_page_size(kRows);
  return request.SerializeAsString();
}

}  // namespace

SlowReaders::SlowReaders(const Cluster& cluster, int count) {
  for (int i = 0; i < count; ++i) {
    const bool of_posts = i % 2 == 0;
    readers_.push_back(
        {cluster.port(of_posts ? Side::kPosts : Side::kUsers, i / 2 % cluster.replicas()), of_posts, {}});
  }
  thread_ = std::thread([this] { Run(); });
}

SlowReaders::~SlowReaders() {
  over_ = true;
  thread_.join();
}

void SlowReaders::GoOn() { until_ = absl::ToUnixSeconds(absl::Now() + kGo); }

void SlowReaders::Run() {
  const absl::Duration step = kRound / static_cast<double>(readers_.size());
  for (size_t i = 0; !over_; ++i) {
    if (absl::ToUnixSeconds(absl::Now()) < until_) Call(readers_[i % readers_.size()]);
    absl::SleepFor(step);
  }
}

void SlowReaders::Call(Reader& reader) {
  if (reader.connection == nullptr || reader.connection->has_ended()) {
    reader.connection = std::make_unique<RawHttp2>(reader.port, 0);
    ++connections_;
  }
  if (reader.of_posts) {
    reader.connection->Call("/post.v1.PostService/ListPosts", FullPage<post::v1::ListPostsRequest>());
  } else {
    reader.connection->Call("/user.v1.UserService/ListUsers", FullPage<user::v1::ListUsersRequest>());
  }
  ++calls_;
}

}  // namespace crosskey::testing
