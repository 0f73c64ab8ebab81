// Certificates, authorities and tokens are replaced while clients go on, as deploy/README.md says: no call fails.
#include <array>
#include <atomic>
#include <cstdio>
#include <fstream>
#include <thread>
#include <vector>

#include <gtest/gtest.h>

#include "absl/strings/str_cat.h"
#include "event/v1/event_service.grpc.pb.h"
#include "tests/fault/calls.h"
#include "tests/support/cluster.h"
#include "tests/support/internal_channel.h"
#include "tests/support/secured.h"
#include "tests/support/wait.h"

namespace crosskey::testing {
namespace {

constexpr int kClients = 8;
constexpr Side kSides[] = {Side::kUsers, Side::kPosts};

class CertificateRotationTest : public DatabaseTest {
 protected:
  CertificateRotationTest()
      : cluster_(GetParam(), {GetParam() == "sqlite" ? 1 : 2, false, {}, false, {}, secured_}),
        trusted_(secured_->ca().certificate() + next_.certificate()),
        tokens_{secured_->Token("both"), "0123456789abcdef0123456789abcdef-next"} {
    cluster_.StartAll();
  }

  ~CertificateRotationTest() override { End(); }

  void Begin() {
    for (int client = 0; client < kClients; ++client) threads_.emplace_back([this, client] { Live(client); });
  }

  void End() {
    over_ = true;
    for (std::thread& thread : threads_) thread.join();
    threads_.clear();
  }

  // Every client has made some calls since.
  ::testing::AssertionResult GoesOn() {
    std::array<int64_t, kClients> before;
    for (size_t client = 0; client < kClients; ++client) before[client] = lives_[client];
    return WaitFor([&] {
      for (size_t client = 0; client < kClients; ++client) {
        if (lives_[client] < before[client] + 3) return false;
      }
      return true;
    })
               ? ::testing::AssertionSuccess()
               : ::testing::AssertionFailure() << "a client stands still: " << outcomes_.ToString();
  }

  // Every listener presents what is in its file now.
  bool Presented() {
    return OnEveryProcess([this](Side side, int replica) {
      return HandshakeWith(cluster_.port(side, replica)).certificate == secured_->front() &&
             HandshakeWith(cluster_.internal_port(side, replica)).certificate == secured_->internal(side);
    });
  }

  // Every internal listener takes the other service's calls with a certificate of this authority. Or none does. To be
  // waited for if they should be taken: now and then a connect of the library fails for no reason.
  bool Taken(const Authority& authority, bool taken) {
    return OnEveryProcess([&](Side side, int replica) {
      const KeyAndCertificate peer = Secured::PairOf(side == Side::kUsers ? Side::kPosts : Side::kUsers, authority);
      const auto stub = event::v1::EventService::NewStub(
          OpenInternalChannel(cluster_.internal_port(side, replica), cluster_.user_db(), cluster_.post_db(),
                              side == Side::kPosts, grpc::SslCredentials({trusted_, peer.key, peer.certificate})));
      grpc::ClientContext context;
      context.set_deadline(std::chrono::system_clock::now() + std::chrono::seconds(10));
      event::v1::GetFeedInfoResponse response;
      const grpc::Status status = stub->GetFeedInfo(&context, {}, &response);
      return taken ? status.ok() : status.error_code() == grpc::StatusCode::UNAVAILABLE;
    });
  }

  // Every public listener takes a token, or none does.
  bool TokenTaken(const std::string& token, bool taken) {
    return OnEveryProcess([&](Side side, int replica) {
      const auto channel = Secured::OpenWith(cluster_.port(side, replica), token, trusted_);
      const grpc::Status status = side == Side::kUsers ? TryGetUser(*user::v1::UserService::NewStub(channel), 1)
                                                       : TryGetPost(*post::v1::PostService::NewStub(channel), 1);
      return taken == (status.error_code() != grpc::StatusCode::UNAUTHENTICATED);
    });
  }

  void WriteTokens(const std::string& entries) { secured_->folder().Write("tokens.json", entries); }

  const std::shared_ptr<Secured> secured_ = std::make_shared<Secured>();
  const Authority next_{"next"};
  Cluster cluster_;
  const std::string trusted_;
  const std::array<std::string, 2> tokens_;
  std::atomic<size_t> token_ = 0;  // which of them new calls have
  Outcomes outcomes_;

 private:
  struct Stubs {
    std::unique_ptr<UserStub> users;
    std::unique_ptr<PostStub> posts;
  };

  Stubs Open(int replica, size_t token) const {
    return {user::v1::UserService::NewStub(
                Secured::OpenWith(cluster_.port(Side::kUsers, replica), tokens_[token], trusted_)),
            post::v1::PostService::NewStub(
                Secured::OpenWith(cluster_.port(Side::kPosts, replica), tokens_[token], trusted_))};
  }

  // The whole life of one user after the other: on channels that stay open, and each fourth time on new ones. Each
  // needs calls between the services.
  void Live(int client) {
    const int replica = client % cluster_.replicas();
    const Stubs kept[] = {Open(replica, 0), Open(replica, 1)};
    for (int i = 0; !over_; ++i) {
      const size_t token = token_;
      const Stubs opened = i % 4 == 0 ? Open(replica, token) : Stubs();
      const Stubs& stubs = i % 4 == 0 ? opened : kept[token];
      int64_t user = 0;
      outcomes_.Add(TryCreateUser(*stubs.users, absl::StrCat("rotation ", client, " ", i), &user));
      outcomes_.Add(TryCreatePost(*stubs.posts, user));
      outcomes_.Add(TryGetUser(*stubs.users, user));
      outcomes_.Add(TryDelete(*stubs.users, user, ::relation::v1::REFERENTIAL_ACTION_CASCADE));
      ++lives_[static_cast<size_t>(client)];
    }
  }

  template <typename Condition>
  bool OnEveryProcess(Condition condition) {
    for (const Side side : kSides) {
      for (int replica = 0; replica < cluster_.replicas(); ++replica) {
        if (!condition(side, replica)) return false;
      }
    }
    return true;
  }

  std::atomic<bool> over_ = false;
  std::array<std::atomic<int64_t>, kClients> lives_{};
  std::vector<std::thread> threads_;
};
CROSSKEY_ON_EVERY_DATABASE(CertificateRotationTest);

TEST_P(CertificateRotationTest, FailsNoCall) {
  Begin();
  ASSERT_TRUE(GoesOn());
  // New keys and leaves, of all listeners and of the channels between the services.
  secured_->Issue(secured_->ca());
  EXPECT_TRUE(WaitFor([&] { return Presented(); }));
  EXPECT_TRUE(GoesOn());
  // A new authority: trusted beside the old one, then in use, then alone.
  EXPECT_TRUE(Taken(next_, false));
  secured_->TrustInternally(trusted_);
  EXPECT_TRUE(WaitFor([&] { return Taken(next_, true); }));
  EXPECT_TRUE(GoesOn());
  secured_->Issue(next_);
  EXPECT_TRUE(WaitFor([&] { return Presented(); }));
  EXPECT_TRUE(GoesOn());
  EXPECT_TRUE(WaitFor([&] { return Taken(secured_->ca(), true); }));
  secured_->TrustInternally(next_.certificate());
  EXPECT_TRUE(WaitFor([&] { return Taken(secured_->ca(), false); }));
  EXPECT_TRUE(WaitFor([&] { return Taken(next_, true); }));
  EXPECT_TRUE(GoesOn());
  // A new token: good beside the old one, then in use, then alone.
  const std::string before = Secured::TokenEntry("both", tokens_[0]), after = Secured::TokenEntry("both", tokens_[1]);
  EXPECT_TRUE(TokenTaken(tokens_[1], false));
  WriteTokens(absl::StrCat("{\"tokens\": [", before, ",", after, "]}"));
  EXPECT_TRUE(WaitFor([&] { return TokenTaken(tokens_[1], true); }));
  EXPECT_TRUE(GoesOn());
  token_ = 1;
  EXPECT_TRUE(GoesOn());
  WriteTokens(absl::StrCat("{\"tokens\": [", after, "]}"));
  EXPECT_TRUE(WaitFor([&] { return TokenTaken(tokens_[0], false); }));
  EXPECT_TRUE(GoesOn());
  End();
  std::printf("%s\n", outcomes_.ToString().c_str());
  EXPECT_EQ(outcomes_.Except({"OK"}), "");
  cluster_.AwaitQuiet();
  EXPECT_EQ(cluster_.Orphans(), 0);
}

}  // namespace
}  // namespace crosskey::testing
