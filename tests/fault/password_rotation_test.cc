// The password of the services' account is changed while clients go on, as deploy/README.md says.
#include <atomic>
#include <cstdio>
#include <filesystem>
#include <fstream>
#include <thread>

#include <gtest/gtest.h>
#include <unistd.h>

#include "absl/strings/str_cat.h"
#include "tests/fault/calls.h"
#include "tests/support/cluster.h"
#include "tests/support/cut_sessions.h"
#include "tests/support/mariadb_server.h"
#include "tests/support/secrets.h"
#include "tests/support/wait.h"
#include "tests/support/watch.h"

namespace crosskey::testing {
namespace {

constexpr char kAccount[] = "crosskey_rotated";

// The file with the password. It is replaced at once, as Kubernetes does it.
class Secret {
 public:
  explicit Secret(const std::string& password) { Replace(password); }
  ~Secret() { std::filesystem::remove(path_); }
  Secret(const Secret&) = delete;
  Secret& operator=(const Secret&) = delete;

  const std::string& path() const { return path_; }
  void Replace(const std::string& password) const {
    std::ofstream(path_ + ".new") << password << '\n';
    std::filesystem::rename(path_ + ".new", path_);
  }

 private:
  const std::string path_ =
      (std::filesystem::temp_directory_path() / absl::StrCat("crosskey_rotation_", getpid())).string();
};

// No log shows one, see secrets.h.
std::string Password(int number) { return absl::StrCat(kPrivate, " ", number); }

std::string Method(const std::string& password) {
  return absl::StrCat("mysql_native_password USING PASSWORD('", password, "')");
}

// Sessions that wait for a COMMIT must not be ended: its answer would be lost, and the call could not know whether it
// took effect. So no client writes while the sessions are ended. All go on reading.
TEST(PasswordRotationTest, FailsNoCall) {
  ASSERT_TRUE(MariadbServer::IsInstalled()) << "deploy/install-packages test";
  const MariadbServer server;
  const TestDatabase admin("mariadb");
  const std::string account = absl::StrCat(kAccount, "@127.0.0.1");
  const Secret secret(Password(0));
  admin.Run(absl::StrCat("CREATE USER ", account, " IDENTIFIED VIA ", Method(Password(0))));
  admin.Run(absl::StrCat("GRANT ALL PRIVILEGES ON *.* TO ", account));
  Cluster::Options options;
  options.database_user = kAccount;
  options.flags = {"--db-password-file", secret.path()};
  Cluster cluster("mariadb", options);
  cluster.StartAll();
  const int64_t keeper = CreateUser(cluster.users(), "keeper");
  const int64_t post = CreatePosts(cluster.posts(), keeper, 1).front();

  Outcomes outcomes;
  std::atomic<bool> over = false;
  std::atomic<int64_t> reads = 0, writes = 0;
  std::atomic<bool> paused = false;  // the clients that write
  std::atomic<int> writing = 0;
  std::vector<std::thread> clients;
  for (int client = 0; client < 8; ++client) {
    clients.emplace_back([&, client] {
      for (int i = 0; !over; ++i) {
        if (client < 4) {
          outcomes.Add(i % 2 == 0 ? TryGetUser(cluster.users(), keeper) : TryGetPost(cluster.posts(), post));
          ++reads;
          continue;
        }
        ++writing;
        if (!paused) {
          int64_t user = 0;
          outcomes.Add(client == 4 ? TryCreateUser(cluster.users(), absl::StrCat("user ", i), &user)
                                   : TryCreatePost(cluster.posts(), keeper));
          ++writes;
        }
        --writing;
        EXPECT_TRUE(WaitFor([&] { return !paused; }));
      }
    });
  }
  const auto await_progress = [&] {
    const int64_t reads_before = reads, writes_before = writes;
    EXPECT_TRUE(WaitFor([&] { return reads > reads_before + 50 && writes > writes_before + 50; }));
  };
  const auto opened = [&](Side side) {
    return MetricOf(cluster.metrics_port(side), "crosskey_db_sessions_opened_total");
  };

  for (int round = 0; round < 3; ++round) {
    const std::string old = Password(round), fresh = Password(round + 1);
    await_progress();
    admin.Run(absl::StrCat("ALTER USER ", account, " IDENTIFIED VIA ", Method(fresh), " OR ", Method(old)));
    await_progress();
    secret.Replace(fresh);
    admin.Run(absl::StrCat("ALTER USER ", account, " IDENTIFIED VIA ", Method(fresh)));
    const double users_before = opened(Side::kUsers), posts_before = opened(Side::kPosts);
    paused = true;
    EXPECT_TRUE(WaitFor([&] { return writing == 0; }));
    CutSessions(cluster.user_db());
    CutSessions(cluster.post_db());
    paused = false;
    await_progress();
    EXPECT_GT(opened(Side::kUsers), users_before);
    EXPECT_GT(opened(Side::kPosts), posts_before);
  }
  over = true;
  for (std::thread& client : clients) client.join();
  std::printf("%s\n", outcomes.ToString().c_str());
  EXPECT_EQ(outcomes.Except({"OK"}), "");
}

}  // namespace
}  // namespace crosskey::testing
