// A MariaDB server of a test's own, which the test may stop, kill and hang. See tests/mariadb for the one that others share.
#pragma once

#include <memory>
#include <string>

#include "tests/support/child_process.h"

namespace crosskey::testing {

class MariadbServer {
 public:
  // Whether there is a server program on this machine.
  static bool IsInstalled();

  // A new, empty server on a free port, that answers; while it lives, databases of the backend "mariadb" are created
  // there. The test fails if it does not start. Databases must be dropped before it goes.
  MariadbServer();
  ~MariadbServer();
  MariadbServer(const MariadbServer&) = delete;
  MariadbServer& operator=(const MariadbServer&) = delete;

  // Returns once it answers. On the same port and data as before.
  void Start();
  // SIGTERM, or SIGKILL; returns when it has ended.
  void Stop(int signal);
  // SIGSTOP and SIGCONT: connections stay open, and nothing is answered.
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
