#include "tests/support/cluster.h"

#include <algorithm>
#include <cstdlib>

#include <gtest/gtest.h>
#include <unistd.h>

#include "absl/strings/str_cat.h"
#include "common/rpc/listener.h"
#include "tests/support/free_port.h"
#include "tests/support/integrity.h"
#include "tests/support/internal_channel.h"
#include "tests/support/pair.h"
#include "tests/support/secured.h"
#include "tests/support/wait.h"

namespace crosskey::testing {
namespace {

void Append(std::vector<std::string>& words, const std::vector<std::string>& more) {
  words.insert(words.end(), more.begin(), more.end());
}

}  // namespace

Cluster::Cluster(const std::string& backend, Options options)
    : options_(std::move(options)), user_db_(backend), post_db_(backend) {
  for (int i = 0; i < options_.replicas; ++i) {
    user_replicas_.push_back({FreePort(), FreePort(), FreePort(), nullptr, nullptr});
    post_replicas_.push_back({FreePort(), FreePort(), FreePort(), nullptr, nullptr});
    users_.push_back(user::v1::UserService::NewStub(OpenPublic(Side::kUsers, i)));
    posts_.push_back(post::v1::PostService::NewStub(OpenPublic(Side::kPosts, i)));
  }
  if (options_.gates) {
    for (int i = 0; i < options_.replicas; ++i) {
      At(Side::kUsers, i).peer_gate = std::make_unique<TcpGate>(internal_port(Side::kPosts, i));
      At(Side::kPosts, i).peer_gate = std::make_unique<TcpGate>(internal_port(Side::kUsers, i));
    }
    if (!user_db_.is_sqlite() && user_db_.nodes() == 1) {
      user_db_gate_ = std::make_unique<TcpGate>(user_db_.port());
      post_db_gate_ = std::make_unique<TcpGate>(post_db_.port());
    }
  }
  for (const Side side : {Side::kUsers, Side::kPosts}) {
    std::string output;
    EXPECT_EQ(Run(side, "migrate", {}, &output), 0) << output;
  }
}

Cluster::~Cluster() = default;

std::shared_ptr<grpc::Channel> Cluster::OpenInternal(Side side, int replica) const {
  const auto credentials =
      options_.secured == nullptr ? grpc::InsecureChannelCredentials() : options_.secured->AsPeerOf(side);
  return OpenInternalChannel(internal_port(side, replica), user_db_, post_db_, side == Side::kPosts, credentials);
}

std::shared_ptr<grpc::Channel> Cluster::OpenPublic(Side side, int replica) const {
  const int at = port(side, replica);
  return options_.secured == nullptr ? OpenChannel(at) : options_.secured->OpenAs(at, "both");
}

std::vector<std::string> Cluster::SecurityFlags(Side side) const {
  return options_.secured == nullptr ? std::vector<std::string>() : options_.secured->Flags(side);
}

Cluster::Replica& Cluster::At(Side side, int replica) {
  return (side == Side::kUsers ? user_replicas_ : post_replicas_)[static_cast<size_t>(replica)];
}

const Cluster::Replica& Cluster::At(Side side, int replica) const {
  return (side == Side::kUsers ? user_replicas_ : post_replicas_)[static_cast<size_t>(replica)];
}

int Cluster::NodeOf(Side side, int replica) const {
  return (side == Side::kUsers ? replica : replica + 1) % user_db_.nodes();
}

std::vector<std::string> Cluster::EventFlags() const {
  const char* events = std::getenv("CROSSKEY_TEST_EVENTS");
  if (events == nullptr ||
      std::find(options_.flags.begin(), options_.flags.end(), "--events") != options_.flags.end()) {
    return {};
  }
  // Streams belong to one pair.
  return {"--events", absl::StrCat(events, "/t", getpid(), "_", internal_port(Side::kUsers)), "--events-replicas", "3"};
}

std::string Cluster::Program(Side side) const {
  const std::string name = side == Side::kUsers ? "user-service" : "post-service";
  return (options_.shipped ? name : "tests") + "/" + name;
}

std::vector<std::string> Cluster::Flags(Side side, int replica) const {
  const Replica& own = At(side, replica);
  const bool user = side == Side::kUsers;
  const Side other = user ? Side::kPosts : Side::kUsers;
  const int peer = own.peer_gate ? own.peer_gate->port() : internal_port(other, replica);
  const auto& gate = user ? user_db_gate_ : post_db_gate_;
  const TestDatabase& database = user ? user_db_ : post_db_;
  std::vector<std::string> flags = {
      "--db",
      gate ? database.UrlThrough(gate->port(), options_.database_user)
           : database.UrlAt(NodeOf(side, replica), options_.database_user, options_.every_node),
      "--listen",
      Loopback(own.port),
      "--internal-listen",
      Loopback(own.internal_port),
      "--metrics-listen",
      Loopback(own.metrics_port),
      "--peer",
      Loopback(peer),
      "--log-format",
      "json"};
  Append(flags, SecurityFlags(side));
  Append(flags, EventFlags());
  Append(flags, options_.flags);
  // For tests/mutants: a guard that is left out is left out in every process.
  const char* without = std::getenv("CROSSKEY_WITHOUT");
  if (without != nullptr && !options_.shipped) Append(flags, {"--without", without});
  return flags;
}

void Cluster::Start(Side side, int replica, const std::vector<std::string>& more, bool wait) {
  std::vector<std::string> words = {"serve"};
  Append(words, Flags(side, replica));
  Append(words, more);
  At(side, replica).process = std::make_unique<ChildProcess>(Program(side), words);
  EXPECT_TRUE(!wait || WaitFor([&] { return Healthy(side, replica); })) << process(side, replica).Output();
}

void Cluster::StartAll() {
  for (const Side side : {Side::kUsers, Side::kPosts}) {
    for (int i = 0; i < replicas(); ++i) {
      if (!Running(side, i)) Start(side, i, {}, false);
    }
  }
  for (const Side side : {Side::kUsers, Side::kPosts}) {
    for (int i = 0; i < replicas(); ++i) {
      EXPECT_TRUE(WaitFor([&] { return Healthy(side, i); })) << process(side, i).Output();
    }
  }
}

int Cluster::Run(Side side, const std::string& command, const std::vector<std::string>& more, std::string* output) {
  std::vector<std::string> words = {command};
  Append(words, Flags(side, 0));
  Append(words, more);
  return RunProgram(Program(side), words, output);
}

void Cluster::Kill(Side side, int replica) { At(side, replica).process.reset(); }

bool Cluster::Running(Side side, int replica) const {
  const auto& process = At(side, replica).process;
  return process != nullptr && !process->Wait(absl::ZeroDuration()).has_value();
}

bool Cluster::Healthy(Side side, int replica) const {
  return rpc::CheckHealth(Loopback(port(side, replica)), "readiness", absl::Seconds(3), options_.secured != nullptr)
      .ok();
}

void Cluster::AwaitQuiet() {
  EXPECT_TRUE(testing::AwaitQuiet(user_db_, post_db_)) << "events are left, or hidden rows";
}

int64_t Cluster::Orphans() { return testing::Orphans(user_db_, post_db_); }

}  // namespace crosskey::testing
