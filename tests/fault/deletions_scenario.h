// Makes every step of the protocol once, as a client that does not give up. It is for tests that break one of the
// steps.
#pragma once

#include <cstdint>
#include <functional>
#include <vector>

#include "tests/support/cluster.h"

namespace crosskey::testing {

// The constructor makes users while everything works. Then Attempt may be called while anything is broken, and has to
// be called again until it returns true with nothing broken any more. Then Check is called.
class DeletionsScenario {
 public:
  explicit DeletionsScenario(Cluster& cluster);

  // Writes a post of a user that post-service knows, and one of a user that it has to ask for. Pins a post that
  // user-service has to ask for, and deletes it. Deletes a user by CASCADE, a user with a post by RESTRICT, which is
  // refused, and a user without posts by RESTRICT, which is done. True if every answer was a final one.
  bool Attempt();

  // Waits until all is quiet. Every outcome must be as it was answered and as it should be, there must be no orphan,
  // and every event must be there once.
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
