// Every step of the protocol once, by a client that does not give up: for tests that break one of the steps.
#pragma once

#include <cstdint>
#include <functional>
#include <vector>

#include "tests/support/cluster.h"

namespace crosskey::testing {

// The constructor makes users with everything in working order. Then Attempt may be called with anything broken, and again
// until it returns true with nothing broken any more; then Check.
class DeletionsScenario {
 public:
  explicit DeletionsScenario(Cluster& cluster);

  // Writes a post of a user that post-service knows and one of a user that it has to ask for, pins a post that user-service
  // has to ask for and deletes it, and deletes a user by CASCADE, one with a post by RESTRICT (refused) and one without by
  // RESTRICT (done). True if every answer was a final one.
  bool Attempt();

  // Waits until all is quiet. Every outcome is as it was answered and as it should be, no orphan, every event once.
  void Check();

 private:
  struct Written {
    int64_t user;
    int64_t acknowledged;
  };

  int64_t CreateUser();
  bool Write(Written& to, int64_t* id = nullptr);
  bool PinAndDeletePost(int64_t post);
  bool Delete(int64_t user, bool restrict, bool expect_refusal);
  bool Exists(int64_t user);

  Cluster& cluster_;
  Written known_;
  std::vector<Written> unknown_;  // each good for one lookup
  size_t asked_ = 0;              // how many of them have been tried
  std::vector<int64_t> pinned_;   // posts of known_, each good for one pin
  Written cascaded_;
  Written restricted_;
  int64_t empty_;
};

}  // namespace crosskey::testing
