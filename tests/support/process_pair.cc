#include "tests/support/process_pair.h"

#include <grpcpp/create_channel.h>
#include <grpcpp/security/credentials.h>
#include <gtest/gtest.h>

#include "tests/support/free_port.h"
#include "tests/support/pair.h"
#include "tests/support/wait.h"

namespace crosskey::testing {
namespace {

std::vector<std::string> Join(std::vector<std::string> words, const std::vector<std::string>& more) {
  words.insert(words.end(), more.begin(), more.end());
  return words;
}

}  // namespace

ProcessPair::ProcessPair(const std::string& backend) : user_db_(backend), post_db_(backend) {
  for (int i = 0; i < 6; ++i) ports_.push_back(FreePort());
  users_ = user::v1::UserService::NewStub(OpenChannel(ports_[0]));
  posts_ = post::v1::PostService::NewStub(OpenChannel(ports_[1]));
}

std::string ProcessPair::user_address() const { return Loopback(ports_[0]); }

std::vector<std::string> ProcessPair::Flags(int index, const TestDatabase& database) const {
  const auto port = [&](int which) { return Loopback(ports_[static_cast<size_t>(which)]); };
  return {"--db",   database.url(),  "--listen",         port(index),     "--internal-listen", port(2 + index),
          "--peer", port(3 - index), "--metrics-listen", port(4 + index), "--log-format",      "json"};
}

void ProcessPair::Migrate() {
  std::string output;
  EXPECT_EQ(RunProgram(kUserService, Join({"migrate"}, Flags(0, user_db_)), &output), 0) << output;
  EXPECT_EQ(RunProgram(kPostService, Join({"migrate"}, Flags(1, post_db_)), &output), 0) << output;
}

bool ProcessPair::Healthy(const std::string& service) const {
  const bool user = service == "user-service";
  return RunProgram(user ? kUserService : kPostService, {"healthcheck", "--listen", Loopback(ports_[user ? 0 : 1])},
                    nullptr) == 0;
}

void ProcessPair::StartUsers(bool wait, const std::vector<std::string>& more) {
  user_process_ = std::make_unique<ChildProcess>(kUserService, Join(Join({"serve"}, Flags(0, user_db_)), more));
  EXPECT_TRUE(!wait || WaitFor([&] { return Healthy("user-service"); })) << user_process_->Output();
}

void ProcessPair::StartPosts(bool wait, const std::vector<std::string>& more) {
  post_process_ = std::make_unique<ChildProcess>(kPostService, Join(Join({"serve"}, Flags(1, post_db_)), more));
  EXPECT_TRUE(!wait || WaitFor([&] { return Healthy("post-service"); })) << post_process_->Output();
}

}  // namespace crosskey::testing
