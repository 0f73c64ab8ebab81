// The binaries as an operator meets them: commands, flags, logs, metrics, signals.
#include <atomic>
#include <filesystem>
#include <sstream>
#include <thread>

#include <gtest/gtest.h>
#include <nlohmann/json.hpp>
#include <openssl/ssl.h>
#include <signal.h>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "tests/support/certificates.h"
#include "tests/support/free_port.h"
#include "tests/support/http_get.h"
#include "tests/support/pair.h"
#include "tests/support/process_pair.h"
#include "tests/support/secrets.h"
#include "tests/support/status_matchers.h"
#include "tests/support/wait.h"

namespace crosskey::testing {
namespace {

using ::testing::HasSubstr;
using ::testing::Not;

TEST(Command, VersionAndHelpNeedNothing) {
  std::string output;
  EXPECT_EQ(RunProgram(kUserService, {"version"}, &output), 0);
  EXPECT_THAT(output, HasSubstr("user-service "));
  EXPECT_EQ(RunProgram(kUserService, {"--help"}, &output), 0);
  EXPECT_THAT(output, HasSubstr("--internal-listen"));
}

TEST(Command, MistakesAreNamed) {
  std::string output;
  EXPECT_EQ(RunProgram(kUserService, {"serve", "--listne", "x"}, &output), 2);
  EXPECT_THAT(output, HasSubstr("--listne"));
  EXPECT_EQ(RunProgram(kUserService, {"serve"}, &output, {{"CROSSKEY_USER_MAX_IN_FLIGHT", "many"}}), 2);
  EXPECT_THAT(output, HasSubstr("CROSSKEY_USER_MAX_IN_FLIGHT"));
}

TEST(Command, ATakenPortEndsTheStartWithItsAddress) {
  ProcessPair pair("sqlite");
  pair.StartUsers();
  const TestDatabase database("sqlite");
  std::string output;
  EXPECT_EQ(RunProgram(kUserService,
                       {"serve", "--db", database.url(), "--listen", pair.user_address(), "--internal-listen",
                        Loopback(FreePort()), "--metrics-listen", Loopback(FreePort())},
                       &output),
            1);
  EXPECT_THAT(output, HasSubstr(pair.user_address()));
}

// The process has its own address as that of its peer. It serves all the same, so the exit code is 0.
TEST(Command, AWrongPeerIsSaidAndThePairCanBeEnded) {
  ProcessPair pair("sqlite");
  pair.StartUsers();
  pair.StartPosts();
  const std::string paired = "SELECT COUNT(*) FROM instances WHERE name = 'post-service'";
  EXPECT_TRUE(WaitFor([&] { return pair.user_db().Number(paired) == 1; }));
  pair.DropUsers();
  const std::string address = Loopback(FreePort()), internal = Loopback(FreePort());
  const ChildProcess users(kUserService,
                           {"serve", "--db", pair.user_db().url(), "--listen", address, "--internal-listen", internal,
                            "--metrics-listen", Loopback(FreePort()), "--peer", internal});
  std::string output;
  EXPECT_TRUE(WaitFor([&] {
    const int code = RunProgram(kUserService, {"healthcheck", "--listen", address}, &output);
    return code == 0 && absl::StrContains(output, "PEER_MISMATCH");
  })) << output;
  EXPECT_TRUE(absl::StartsWith(output, "SERVING\n")) << output;
  EXPECT_EQ(RunProgram(kUserService, {"unpair", "--db", pair.user_db().url()}, &output), 0);
  EXPECT_THAT(output, HasSubstr("unpaired from post-service/"));
  EXPECT_EQ(pair.user_db().Number(paired), 0);
  EXPECT_EQ(RunProgram(kUserService, {"unpair", "--db", pair.user_db().url()}, &output), 0);
  EXPECT_THAT(output, HasSubstr("was not paired"));
}

TEST(Command, LogsAreJsonAndMetricsAreCounted) {
  ProcessPair pair("sqlite");
  pair.StartUsers();
  user::v1::CreateUserRequest request;
  request.set_username("ada");
  user::v1::CreateUserResponse response;
  ASSERT_THAT(Invoke(pair.users(), &user::v1::UserService::Stub::CreateUser, request, &response), GrpcOk());
  EXPECT_THAT(Invoke(pair.users(), &user::v1::UserService::Stub::CreateUser, request, &response),
              GrpcError(grpc::StatusCode::ALREADY_EXISTS, "USERNAME_TAKEN"));

  const std::string metrics = HttpGet(pair.user_metrics_port(), "/metrics");
  for (const char* expected :
       {"grpc_server_handled_total{grpc_code=\"OK\",grpc_method=\"CreateUser\",grpc_service=\"user.v1.UserService\","
        "grpc_type=\"unary\"} 1",
        "grpc_server_handled_total{grpc_code=\"AlreadyExists\",grpc_method=\"CreateUser\"", "crosskey_db_sessions 16",
        "crosskey_db_sessions_in_use", "crosskey_db_statements_total{statement=\"users.insert\"} 1",
        "grpc_server_handling_seconds_bucket", "crosskey_build_info"}) {
    EXPECT_THAT(metrics, HasSubstr(expected));
  }

  pair.user_process().Signal(SIGTERM);
  EXPECT_EQ(pair.user_process().Wait(), 0);
  std::istringstream lines(pair.user_process().Output());
  int count = 0;
  for (std::string line; std::getline(lines, line); ++count) {
    const auto entry = nlohmann::json::parse(line, nullptr, false);
    ASSERT_TRUE(entry.is_object()) << line;
    EXPECT_EQ(entry["service"], "user-service");
    EXPECT_TRUE(entry.contains("ts") && entry.contains("level") && entry.contains("message")) << line;
  }
  EXPECT_GT(count, 3);
}

// The settings of the machine allow what is no longer safe.
constexpr char kWeakOpenSsl[] = R"(openssl_conf = all
[all]
ssl_conf = ssl
[ssl]
system_default = weak
[weak]
MinProtocol = None
CipherString = ALL:@SECLEVEL=0
)";

TEST(Command, MetricsBeyondLoopbackAreServedByTls) {
  const Folder folder;
  const Authority authority("metrics");
  const auto write = [&] {
    const KeyAndCertificate pair = authority.Issue({{}, {"metrics.test"}});
    folder.Write("key", pair.key);
    folder.Write("crt", pair.certificate);
    return pair.certificate;
  };
  const std::string certificate = write();
  const TestDatabase database("sqlite");
  for (const std::string host : {"0.0.0.0", "127.0.0.1"}) {
    const int port = FreePort();
    const ChildProcess users(kUserService,
                             {"serve", "--db", database.url(), "--listen", Loopback(FreePort()), "--internal-listen",
                              Loopback(FreePort()), "--metrics-listen", absl::StrCat(host, ":", port), "--tls-cert",
                              folder.Path("crt"), "--tls-key", folder.Path("key")},
                             {{"OPENSSL_CONF", folder.Write("openssl.cnf", kWeakOpenSsl)}});
    const auto has_page = [](const std::string& answer) { return absl::StrContains(answer, "crosskey_build_info"); };
    if (host == "127.0.0.1") {
      EXPECT_TRUE(WaitFor([&] { return has_page(HttpGet(port, "/metrics")); })) << users.Output();
      continue;
    }
    EXPECT_TRUE(WaitFor([&] { return has_page(HttpsGet(port, "/metrics")); })) << users.Output();
    EXPECT_FALSE(has_page(HttpGet(port, "/metrics")));
    EXPECT_FALSE(HandshakeWith(port, TLS1_1_VERSION).done);
    EXPECT_TRUE(HandshakeWith(port, TLS1_2_VERSION).done);
    EXPECT_EQ(HandshakeWith(port).certificate, certificate);
    const std::string renewed = write();
    EXPECT_TRUE(WaitFor([&] { return HandshakeWith(port).certificate == renewed; }));
  }
}

TEST(Command, ADatabaseThatIsGoneIsNotMadeAnew) {
  namespace fs = std::filesystem;
  ProcessPair pair("sqlite");
  const std::string file = pair.user_db().url().substr(std::string("sqlite:").size());
  const auto start = [&] { pair.StartUsers(); };
  const auto stop = [&] {
    pair.user_process().Signal(SIGTERM);
    EXPECT_EQ(pair.user_process().Wait(), 0);
  };
  start();
  EXPECT_THAT(pair.user_process().Output(), Not(HasSubstr("others may write the database file")));
  stop();
  fs::remove(file);
  for (const char* command : {"serve", "migrate", "check"}) {
    std::string output;
    EXPECT_EQ(RunProgram(kUserService, {command, "--db", pair.user_db().url()}, &output), 1) << command;
    EXPECT_THAT(output, HasSubstr(file + " is missing, and has been there: " + file + ".exists says so")) << command;
    EXPECT_FALSE(fs::exists(file)) << command;
  }
  fs::remove(file + ".exists");
  start();
  stop();
  fs::permissions(file, fs::perms::others_write, fs::perm_options::add);
  start();
  EXPECT_THAT(pair.user_process().Output(), HasSubstr("others may write the database file"));
}

class ServiceProcess : public DatabaseTest {};
CROSSKEY_ON_EVERY_DATABASE(ServiceProcess);

TEST_P(ServiceProcess, ServesOnlyOnceTheSchemaIsThere) {
  ProcessPair pair(GetParam());
  pair.StartUsers(false);
  if (!pair.user_db().is_sqlite()) {
    // SQLite gets its schema from `serve`; a server of databases gets it from `migrate` alone.
    EXPECT_TRUE(WaitFor([&] { return absl::StrContains(pair.user_process().Output(), "run `migrate`"); }));
    EXPECT_FALSE(pair.Healthy("user-service"));
    user::v1::GetUserRequest request;
    request.set_id(1);
    user::v1::GetUserResponse response;
    EXPECT_THAT(Invoke(pair.users(), &user::v1::UserService::Stub::GetUser, request, &response),
                GrpcError(grpc::StatusCode::UNAVAILABLE, "DATABASE_UNAVAILABLE"));
    pair.Migrate();
  }
  EXPECT_TRUE(WaitFor([&] { return pair.Healthy("user-service"); }));
  pair.Migrate();  // again: nothing to do
}

TEST_P(ServiceProcess, SigtermLetsCallsFinishAndEndsWithZero) {
  ProcessPair pair(GetParam());
  pair.Migrate();
  pair.StartUsers();
  pair.StartPosts();
  std::atomic<int> acknowledged = 0;
  std::atomic<bool> refused = false;
  std::vector<std::thread> clients;
  for (int client = 0; client < 8; ++client) {
    clients.emplace_back([&, client] {
      for (int i = 0; i < 10'000; ++i) {
        grpc::ClientContext context;
        context.set_deadline(std::chrono::system_clock::now() + std::chrono::seconds(60));
        user::v1::CreateUserRequest request;
        request.set_username(absl::StrCat(kPrivate, " ", client, " ", i));
        user::v1::CreateUserResponse response;
        const grpc::Status status = pair.users().CreateUser(&context, request, &response);
        if (status.ok()) {
          ++acknowledged;
          continue;
        }
        refused = true;
        EXPECT_EQ(status.error_code(), grpc::StatusCode::UNAVAILABLE) << status.error_message();
        return;
      }
    });
  }
  EXPECT_TRUE(WaitFor([&] { return acknowledged > 50; }));
  pair.user_process().Signal(SIGTERM);
  pair.post_process().Signal(SIGTERM);
  EXPECT_EQ(pair.user_process().Wait(), 0);
  EXPECT_EQ(pair.post_process().Wait(), 0);
  for (std::thread& client : clients) client.join();
  EXPECT_TRUE(refused);
  // Nothing that was acknowledged is missing; a call whose connection broke may have been stored.
  EXPECT_GE(pair.user_db().Number("SELECT COUNT(*) FROM users"), acknowledged);
}

}  // namespace
}  // namespace crosskey::testing
