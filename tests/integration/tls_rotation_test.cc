// TLS while keys, certificates and authorities are replaced: nobody notices, and nothing broken is taken.
#include <atomic>
#include <filesystem>
#include <functional>
#include <memory>
#include <mutex>
#include <thread>
#include <vector>

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <openssl/ssl.h>

#include "absl/strings/match.h"
#include "tests/integration/tls_listener.h"

namespace crosskey::testing {
namespace {

class TlsRotationTest : public TlsTest {};

// Calls on an open channel and on new ones, all the time, until told to stop.
class Caller {
 public:
  using Attempt = std::function<grpc::Status()>;
  explicit Caller(std::vector<Attempt> attempts)
      : attempts_(std::move(attempts)), thread_([this] {
          while (!stop_) {
            for (const Attempt& attempt : attempts_) {
              const grpc::Status status = attempt();
              ++calls_;
              if (!status.ok()) ADD_FAILURE() << "call " << calls_ << ": " << status.error_message();
            }
          }
        }) {}
  ~Caller() {
    stop_ = true;
    thread_.join();
  }
  // Whether some more calls have been made.
  bool GoesOn() {
    const int64_t before = calls_;
    return WaitFor([&] { return calls_ > before + 2 * static_cast<int64_t>(attempts_.size()); });
  }

 private:
  const std::vector<Attempt> attempts_;
  std::atomic<int64_t> calls_ = 0;
  std::atomic<bool> stop_ = false;
  std::thread thread_;
};

// Another server, to see what the peer's channel has taken: its certificate is of `authority`, which it trusts.
struct Probe {
  Probe(const Authority& authority, ClientCertificates clients, const Folder& folder, telemetry::Metrics& metrics)
      : service(true, metrics) {
    const KeyAndCertificate pair = authority.Issue({{kUsers}});
    const rpc::TlsPaths paths{folder.Write("probe.crt", pair.certificate), folder.Write("probe.key", pair.key),
                              folder.Write("probe.ca", authority.certificate())};
    rpc::Listener::Options options{"probe", "127.0.0.1:0", 1024, limits::kMebibyte};
    options.tls = *TlsFiles::Load({"probe", "probe", paths}, metrics);
    options.client_certificates = clients;
    listener = *rpc::Listener::Start(options, {&service}, metrics);
  }
  ~Probe() { listener->Shutdown(absl::Now()); }

  TlsService service;
  std::unique_ptr<rpc::Listener> listener;
};

TEST_F(TlsRotationTest, LeafKeyAndAuthorityAreReplacedWithoutAFailedCall) {
  const auto server = Load(Write("server", ca_.Issue({{kUsers}}), ca_.certificate()));
  const auto peer = Load(Write("peer", ca_.Issue({{kPosts}}), ca_.certificate()), "peer");
  Start(ClientCertificates::kRequired, server, std::vector<std::string>{kPosts});
  const auto open = Peer(peer);
  const auto look = [&] {
    server->Look(absl::Now());
    peer->Look(absl::Now());
  };
  // Whether the server takes clients of this authority, and whether the peer's channel gets through to a server of it.
  const auto accepts = [&](const Authority& authority) {
    const KeyAndCertificate client = authority.Issue({{kPosts}});
    return Get(grpc::SslCredentials({ca_.certificate() + other_.certificate(), client.key, client.certificate}), true)
        .ok();
  };
  const Probe trusts(other_, ClientCertificates::kNone, folder_, metrics_);
  const Probe presents(other_, ClientCertificates::kRequired, folder_, metrics_);
  const auto gets_to = [&](const Probe& probe) {
    return Get(rpc::Connect(Loopback(probe.listener->port()), {peer, {kUsers}})).ok();
  };
  const std::string both = ca_.certificate() + other_.certificate();
  {
    Caller caller({[&] { return Get(open, true); }, [&] { return Get(Peer(peer), true); }});
    ASSERT_TRUE(caller.GoesOn());
    // A new key and a new leaf, of both sides.
    KeyAndCertificate next = ca_.Issue({{kUsers}, {kHost}});
    Write("server", next, ca_.certificate());
    Write("peer", ca_.Issue({{kPosts}}), ca_.certificate());
    look();
    EXPECT_TRUE(Shows(listener_->port(), next.certificate));
    EXPECT_TRUE(caller.GoesOn());
    // Both authorities are trusted first,
    EXPECT_FALSE(accepts(other_));
    EXPECT_FALSE(gets_to(trusts));
    folder_.Write("server.ca", both);
    folder_.Write("peer.ca", both);
    look();
    EXPECT_TRUE(WaitFor([&] { return accepts(other_); }));
    EXPECT_TRUE(WaitFor([&] { return gets_to(trusts); }));
    EXPECT_TRUE(caller.GoesOn());
    // then leaves are of the new one,
    EXPECT_FALSE(gets_to(presents));
    next = other_.Issue({{kUsers}, {kHost}});
    Write("server", next, both);
    Write("peer", other_.Issue({{kPosts}}), both);
    look();
    EXPECT_TRUE(Shows(listener_->port(), next.certificate));
    EXPECT_TRUE(WaitFor([&] { return gets_to(presents); }));
    EXPECT_TRUE(caller.GoesOn());
    // then the old one is not trusted any more.
    EXPECT_TRUE(accepts(ca_));
    folder_.Write("server.ca", other_.certificate());
    folder_.Write("peer.ca", other_.certificate());
    look();
    EXPECT_TRUE(WaitFor([&] { return !accepts(ca_); }));
    EXPECT_TRUE(caller.GoesOn());
  }
  EXPECT_TRUE(accepts(other_));
  EXPECT_EQ(Problem(), 0);
}

TEST_F(TlsRotationTest, WhatIsBrokenIsNotTakenAndWhatIsGoodAgainIs) {
  const KeyAndCertificate first = ca_.Issue({{kUsers}, {kHost}});
  const auto files = Load(Write("server", first, ca_.certificate()));
  Start(ClientCertificates::kOptional, files);
  const double end = End();
  EXPECT_NEAR(end, absl::ToDoubleSeconds(absl::Now() + absl::Hours(24) - absl::UnixEpoch()), 600);
  const KeyAndCertificate next =
      ca_.Issue({{kUsers}, {kHost}, absl::Now() - absl::Hours(1), absl::Now() + absl::Hours(48)});
  const std::vector<std::function<void()>> breaks = {
      [&] {
        Write("server", {first.key, next.certificate});
      },
      [&] { folder_.Write("server.crt", next.certificate.substr(0, next.certificate.size() / 2)); },
      [&] { Write("server", expired_); },
      [&] { std::filesystem::remove(folder_.Path("server.key")); },
      [&] { folder_.Write("server.ca", "nothing"); },
  };
  for (size_t i = 0; i < breaks.size(); ++i) {
    breaks[i]();
    files->Look(absl::Now());
    EXPECT_EQ(Problem(), 1) << i;
    EXPECT_NEAR(End(), end, 600) << i;
    files->Look(absl::Now());
    EXPECT_EQ(Problem(), 1) << i;
    // gRPC has looked once the next good pair is there.
    const KeyAndCertificate good = ca_.Issue({{kUsers}, {kHost}});
    EXPECT_EQ(CodeOf(right_), kOk) << i;
    Write("server", good, ca_.certificate());
    files->Look(absl::Now());
    EXPECT_EQ(Problem(), 0) << i;
    EXPECT_TRUE(Shows(listener_->port(), good.certificate)) << i;
  }
  Write("server", next, ca_.certificate());
  files->Look(absl::Now());
  EXPECT_NEAR(End() - end, 24 * 3600, 600);
}

}  // namespace
}  // namespace crosskey::testing
