// A MariaDB server of a test's own, which the test may stop, kill and hang. The server that all other tests share is
// started by tests/mariadb.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "tests/support/child_process.h"

namespace crosskey::testing {

class MariadbServer {
 public:
  // Whether there is a server program on this machine.
  static bool IsInstalled();

  // Starts a new, empty server on a free port, and returns once it answers; the test fails if it does not start. As
  // long as this object lives, databases of the backend "mariadb" are created there. They must be dropped before it
  // goes.
  MariadbServer();
  ~MariadbServer();
  MariadbServer(const MariadbServer&) = delete;
  MariadbServer& operator=(const MariadbServer&) = delete;

  // Starts the server again, on the same port and data and with more options, and returns once it answers.
  void Start(const std::vector<std::string>& more = {});
  // Sends SIGTERM or SIGKILL, and returns when the server has ended.
  void Stop(int signal);
  // Stop the process and let it go on (SIGSTOP, SIGCONT). In between, connections stay open and nothing is answered.
  void Hang() const;
  void GoOn() const;

 private:
  bool Answers() const;

  const std::string folder_;
  const int port_;
  std::string shared_;  // what CROSSKEY_TEST_MARIADB was before
  std::unique_ptr<ChildProcess> process_;
};

}  // namespace crosskey::testing
