// The page of metrics: what it answers, TLS, and clients that would keep others out.
#include "common/telemetry/metrics_server.h"

#include <filesystem>
#include <iterator>
#include <memory>
#include <mutex>
#include <vector>

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <openssl/ssl.h>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "common/rpc/tls_files.h"
#include "common/status/limits.h"
#include "tests/support/certificates.h"
#include "tests/support/free_port.h"
#include "tests/support/http_get.h"
#include "tests/support/raw_http2.h"
#include "tests/support/status_matchers.h"
#include "tests/support/wait.h"

namespace crosskey::testing {
namespace {

using telemetry::MetricsServer;
using ::testing::AllOf;
using ::testing::EndsWith;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::Not;
using ::testing::StartsWith;

constexpr char kHalf[] = "GET /metrics HTTP/1.1\r\nHost: ";

MATCHER(IsPage, "") {
  return absl::StartsWith(arg, "HTTP/1.1 200 OK\r\n") &&
         absl::StrContains(arg, "\r\nContent-Type: text/plain; version=0.0.4; charset=utf-8\r\n") &&
         absl::StrContains(arg, "\ncrosskey_build_info{service=\"test\",version=\"0\"} 1\n");
}

int OpenDescriptors() {
  return static_cast<int>(std::distance(std::filesystem::directory_iterator("/proc/self/fd"), {}));
}

class MetricsServerTest : public ::testing::Test {
 protected:
  void Start(std::function<telemetry::PemPair()> pair = nullptr) {
    auto server = MetricsServer::Start(metrics_, "127.0.0.1:0", std::move(pair));
    ASSERT_THAT(server.status(), IsOk());
    server_ = *std::move(server);
  }
  void StartTls() {
    Present(ca_.Issue({{}, {"first.test"}}));
    Start([this] {
      std::lock_guard lock(mutex_);
      return pair_;
    });
  }
  void Present(const KeyAndCertificate& pair) { Present(pair.key + pair.certificate); }
  void Present(const std::string& pem) {
    std::lock_guard lock(mutex_);
    pair_ = std::make_shared<const std::string>(pem);
  }

  int port() const { return server_->port(); }
  std::string Answer(const std::string& request) const { return HttpAnswer(port(), request); }

  telemetry::Metrics metrics_{"test", "0"};
  const Authority ca_{"metrics"};
  std::mutex mutex_;
  telemetry::PemPair pair_;
  std::unique_ptr<MetricsServer> server_;
};

TEST_F(MetricsServerTest, ThereIsOnePageForOneMethod) {
  Start();
  EXPECT_THAT(HttpGet(port(), "/metrics"), IsPage());
  EXPECT_THAT(Answer("GET /metrics?name=x HTTP/1.1\r\nHost: a\r\nConnection: keep-alive\r\n\r\n"),
              AllOf(IsPage(), HasSubstr("\r\nConnection: close\r\n")));
  for (const std::string path : {"/", "/metrics/", "/metric", "http://a/metrics", "*"}) {
    EXPECT_THAT(HttpGet(port(), path), StartsWith("HTTP/1.1 404 Not Found\r\n")) << path;
  }
  const std::string not_allowed = "HTTP/1.1 405 Method Not Allowed\r\n";
  for (const std::string method : {"PUT", "DELETE", "OPTIONS", "NONSENSE"}) {
    EXPECT_THAT(Answer(method + " /metrics HTTP/1.1\r\n\r\n"),
                AllOf(StartsWith(not_allowed), HasSubstr("\r\nAllow: GET\r\n"), EndsWith("there is only GET\n")));
  }
  EXPECT_THAT(Answer("HEAD /metrics HTTP/1.1\r\n\r\n"), AllOf(StartsWith(not_allowed), EndsWith("\r\n\r\n")));
}

// The body is longer than what the kernel keeps, and the client reads only when it has sent all of it.
TEST_F(MetricsServerTest, NothingCanBePosted) {
  Start();
  constexpr size_t kBytes = 8 * limits::kMebibyte;
  const std::string post = absl::StrCat("POST /metrics HTTP/1.1\r\nContent-Length: ", kBytes, "\r\n\r\n");
  EXPECT_THAT(Answer(post + std::string(kBytes, 'x')), StartsWith("HTTP/1.1 405 "));
  EXPECT_THAT(Answer("POST /metrics HTTP/1.1\r\nExpect: 100-continue\r\nContent-Length: 9\r\n\r\n"),
              StartsWith("HTTP/1.1 405 "));
  EXPECT_THAT(HttpGet(port(), "/metrics"), IsPage());
}

TEST_F(MetricsServerTest, ARequestHasALimitAndASyntax) {
  Start();
  const auto get = [&](size_t bytes) {
    return Answer("GET /metrics HTTP/1.1\r\nX: " + std::string(bytes, 'x') + "\r\n\r\n");
  };
  EXPECT_THAT(get(limits::kMetricsRequestKibibytes * 1024 - 100), IsPage());
  EXPECT_THAT(get(limits::kMetricsRequestKibibytes * 1024), StartsWith("HTTP/1.1 431 "));
  EXPECT_THAT(Answer("nonsense\r\n\r\n"), StartsWith("HTTP/1.1 400 Bad Request\r\n"));
  EXPECT_THAT(HttpGet(port(), "/metrics"), IsPage());
}

TEST_F(MetricsServerTest, TakesNamesAndBothKindsOfAddresses) {
  std::vector<std::string> addresses = {"127.0.0.1:0", "localhost:0", "0.0.0.0:0"};
  if (HasIpv6()) addresses.insert(addresses.end(), {"[::1]:0", "[::]:0"});
  for (const std::string& address : addresses) {
    const auto server = MetricsServer::Start(metrics_, address);
    ASSERT_THAT(server.status(), IsOk()) << address;
    EXPECT_GT((*server)->port(), 0);
    // [::] is reached by IPv4 too.
    if (address == "[::1]:0") continue;
    EXPECT_THAT(HttpGet((*server)->port(), "/metrics"), IsPage()) << address;
  }
  Start();
  const std::vector<std::string> bad = {"no.such.host.example.invalid:0", "192.0.2.1:0", Loopback(port())};
  for (const std::string& address : bad) {
    EXPECT_EQ(MetricsServer::Start(metrics_, address).status().message(),
              absl::StrCat("metrics: cannot listen on ", address,
                           ": the port is taken, or it is no address of this machine"));
  }
}

TEST_F(MetricsServerTest, OutlivesItsMetrics) {
  auto metrics = std::make_unique<telemetry::Metrics>("test", "0");
  const auto server = MetricsServer::Start(*metrics, "127.0.0.1:0");
  ASSERT_THAT(server.status(), IsOk());
  metrics = nullptr;
  EXPECT_THAT(HttpGet((*server)->port(), "/metrics"), AllOf(StartsWith("HTTP/1.1 200 "), EndsWith("\r\n\r\n")));
}

TEST_F(MetricsServerTest, EndsWhileClientsAreConnected) {
  StartTls();
  const RawConnection silent(port());
  const RawConnection half(port(), kHalf);
  EXPECT_THAT(HttpsGet(port(), "/metrics"), IsPage());
  server_ = nullptr;
  EXPECT_TRUE(WaitFor([&] { return silent.HasEnded() && half.HasEnded(); }));
}

TEST_F(MetricsServerTest, TlsIsOfVersion12AtLeastAndKeepsNoSessions) {
  StartTls();
  EXPECT_THAT(HttpsGet(port(), "/metrics"), IsPage());
  EXPECT_FALSE(HandshakeWith(port(), TLS1_VERSION).done);
  EXPECT_FALSE(HandshakeWith(port(), TLS1_1_VERSION).done);
  const Handshake old = HandshakeWith(port(), TLS1_2_VERSION);
  EXPECT_TRUE(old.done);
  EXPECT_EQ(old.version, TLS1_2_VERSION);
  EXPECT_FALSE(old.remembered);
  EXPECT_EQ(HandshakeWith(port()).version, TLS1_3_VERSION);
}

TEST_F(MetricsServerTest, WithoutTlsNobodyIsAnsweredAndOthersAreServedOn) {
  StartTls();
  EXPECT_THAT(HttpGet(port(), "/metrics"), Not(HasSubstr("HTTP")));
  EXPECT_THAT(Answer("POST /metrics HTTP/1.1\r\n\r\n"), Not(HasSubstr("HTTP")));
  EXPECT_THAT(HttpsGet(port(), "/metrics"), IsPage());
}

TEST_F(MetricsServerTest, ANewPairIsForTheNextConnection) {
  StartTls();
  for (const std::string name : {"second.test", "third.test"}) {
    const KeyAndCertificate next = ca_.Issue({{}, {name}});
    Present(next);
    EXPECT_EQ(HandshakeWith(port()).certificate, next.certificate);
    EXPECT_THAT(HttpsGet(port(), "/metrics"), IsPage());
  }
}

TEST_F(MetricsServerTest, APairThatIsOfNoUseIsRefusedOrNotTaken) {
  const KeyAndCertificate good = ca_.Issue({{}, {"good.test"}});
  const std::string broken = good.key + "nothing";
  const std::string of_another = ca_.Issue({}).key + good.certificate;
  for (const std::string& bad : {broken, of_another}) {
    const auto server =
        MetricsServer::Start(metrics_, "127.0.0.1:0", [&] { return std::make_shared<const std::string>(bad); });
    EXPECT_EQ(server.status().code(), absl::StatusCode::kInvalidArgument);
    EXPECT_THAT(std::string(server.status().message()), StartsWith("metrics: TLS does not take the certificate: "));
  }
  StartTls();
  Present(good);
  EXPECT_EQ(HandshakeWith(port()).certificate, good.certificate);
  for (const std::string& bad : {broken, of_another}) {
    Present(bad);
    EXPECT_EQ(HandshakeWith(port()).certificate, good.certificate);
  }
}

// rpc::TlsFiles gives what it has taken last, as soon as it has looked.
TEST_F(MetricsServerTest, PresentsWhatIsInTheFiles) {
  const Folder folder;
  const auto write = [&](const KeyAndCertificate& pair) {
    return rpc::TlsPaths{folder.Write("crt", pair.certificate), folder.Write("key", pair.key), ""};
  };
  const KeyAndCertificate first = ca_.Issue({{}, {"first.test"}}), second = ca_.Issue({{}, {"second.test"}});
  const auto files = rpc::TlsFiles::Load({"public", "tls", write(first)}, metrics_);
  ASSERT_THAT(files.status(), IsOk());
  Start([&] { return (*files)->pair(); });
  EXPECT_EQ(HandshakeWith(port()).certificate, first.certificate);
  folder.Write("crt", "broken");
  (*files)->Look(absl::Now());
  EXPECT_EQ(HandshakeWith(port()).certificate, first.certificate);
  write(second);
  (*files)->Look(absl::Now());
  EXPECT_EQ(HandshakeWith(port()).certificate, second.certificate);
}

// More than there may be, of every kind. The honest client comes last, and none of the others goes by itself.
TEST_F(MetricsServerTest, ACrowdKeepsNobodyOut) {
  for (const bool tls : {false, true}) {
    tls ? StartTls() : Start();
    const auto get = [&] { return tls ? HttpsGet(port(), "/metrics") : HttpGet(port(), "/metrics"); };
    std::vector<RawConnection> crowd;
    for (int i = 0; i < 2 * limits::kMetricsConnections; ++i) {
      crowd.emplace_back(port());
      crowd.emplace_back(port(), kHalf);
      crowd.emplace_back(port(), "\x16\x03\x01\x01");  // the begin of a greeting of TLS
    }
    EXPECT_THAT(get(), IsPage());
    EXPECT_TRUE(WaitFor([&] { return crowd.front().HasEnded(); }));
  }
}

// The honest client has been there longest. Where it takes so long to make the crowd that its own time ends, all of it
// is done again.
TEST_F(MetricsServerTest, ACrowdEndsNoConnectionOfAnotherAddress) {
  Start();
  EXPECT_TRUE(WaitFor([&] {
    const RawConnection honest(port(), kHalf);
    std::vector<RawConnection> crowd;
    for (int i = 0; i < 2 * limits::kMetricsConnections; ++i) crowd.emplace_back(port(), kHalf, "127.0.0.2");
    // Comes after the others, so all of them have been accepted.
    EXPECT_THAT(HttpGet(port(), "/metrics"), IsPage());
    return crowd.front().HasEnded() && !honest.HasEnded();
  }));
}

// The clients are in this process too, and have one descriptor each.
TEST_F(MetricsServerTest, ACrowdTakesNoMoreThanTheLimit) {
  Start();
  constexpr int kClients = 4 * limits::kMetricsConnections;
  const int before = OpenDescriptors();
  std::vector<RawConnection> crowd;
  for (int i = 0; i < kClients; ++i) crowd.emplace_back(port());
  // Comes after the others, so all of them have been accepted.
  EXPECT_THAT(HttpGet(port(), "/metrics"), IsPage());
  EXPECT_LE(OpenDescriptors(), before + kClients + limits::kMetricsConnections);
}

TEST_F(MetricsServerTest, ARequestThatComesByteByByteIsEnded) {
  Start();
  const RawConnection silent(port());
  const RawConnection slow(port(), kHalf);
  EXPECT_TRUE(WaitFor([&] { return !slow.Say("x") && silent.HasEnded(); }));
  StartTls();
  const RawConnection no_greeting(port());
  EXPECT_TRUE(WaitFor([&] { return no_greeting.HasEnded(); }));
}

// The page is longer than what the kernel keeps. What has come meanwhile is not looked at.
TEST_F(MetricsServerTest, AnAnswerThatNobodyReadsIsEnded) {
  metrics_.Gauge("large", std::string(16 * limits::kMebibyte, 'x'));
  Start();
  const RawConnection deaf(port(), "GET /metrics HTTP/1.1\r\n\r\n");
  EXPECT_TRUE(WaitFor([&] { return !deaf.Say("x"); }));
  EXPECT_THAT(HttpGet(port(), "/metrics"), HasSubstr("\ncrosskey_build_info"));
}

TEST_F(MetricsServerTest, WhoStaysAfterTheAnswerIsEnded) {
  Start();
  const RawConnection stays(port(), "GET /metrics HTTP/1.1\r\n\r\n");
  EXPECT_TRUE(WaitFor([&] { return !stays.Say("x"); }));
}

}  // namespace
}  // namespace crosskey::testing
