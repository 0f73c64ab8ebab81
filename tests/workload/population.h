// The users and posts that the clients of a workload share, so that they meet at the same ones.
#pragma once

#include <array>
#include <cstdint>
#include <mutex>
#include <random>
#include <vector>

namespace crosskey::testing {

using Random = std::mt19937_64;

// A number from `low` to `high`.
int64_t Between(Random& random, int64_t low, int64_t high);

// Holds a bounded number of ids. A deleted user stays in it for a while, because the tests are about what happens to a
// user after its deletion. Thread-safe.
class Population {
 public:
  Population(int users, int posts) : users_(static_cast<size_t>(users)), posts_(static_cast<size_t>(posts)) {}

  // All of these return 0 if the place that was picked is empty. A third of the users are quiet: few clients write to
  // them, so that RESTRICT has a chance.
  int64_t AnyUser(Random& random);
  int64_t BusyUser(Random& random);
  int64_t QuietUser(Random& random);
  int64_t LivingUser(Random& random);  // not known to be deleted
  int64_t NewestUser();                // so that its first post and a RESTRICT often come at the same time
  int64_t AnyPost(Random& random);
  int64_t HotPost(Random& random);  // one of a few that all clients use, until it is dropped

  // A like that a client has lately given or taken back. Others pick it as well, so that several change it at once.
  struct Like {
    int64_t post = 0;
    int64_t user = 0;
  };
  Like RecentLike(Random& random);
  void PutLike(Random& random, Like like);
  void DropLike(Like like);

  // A place for a new user. `user` has it now and has to be deleted first; 0: the place can be used.
  struct Place {
    size_t index;
    int64_t user;
  };
  Place PickPlace(Random& random);
  void PutUser(size_t index, int64_t user);
  void MarkDeleted(int64_t user);
  void PutPost(Random& random, int64_t post);
  void DropPost(int64_t post);

 private:
  struct Slot {
    int64_t user = 0;
    bool deleted = true;
  };
  int64_t UserBetween(Random& random, size_t low, size_t high);

  std::mutex mutex_;
  int64_t newest_ = 0;
  std::vector<Slot> users_;
  std::vector<int64_t> posts_;
  std::array<int64_t, 6> hot_{};
  std::array<Like, 12> likes_{};
};

}  // namespace crosskey::testing
