// What the tests on a Galera cluster are written with. The replicas of a service are on different nodes, so two calls
// for the same user meet on no row lock: whatever keeps the promises has to be in what the transactions write.
#pragma once

#include <functional>
#include <string>
#include <vector>

#include "absl/time/time.h"
#include "tests/support/cluster.h"
#include "tests/support/test_database.h"
#include "tests/support/wait.h"
#include "tests/workload/population.h"

namespace crosskey::testing {

// How often tests without rounds do what they do: one time for each 200 rounds, and at least once.
int TimesOfRun();

// Node 0 to 2: SIGKILL, and the start that lets it get what it has missed. Both return when that is over.
void KillNode(int node);
void RejoinNode(int node);

// Keeps a node from taking in what the others commit, for as long as this object lives. The others go on, and the node
// still answers, with what it has.
class BehindNode {
 public:
  BehindNode(const TestDatabase& database, int node);
  ~BehindNode();
  BehindNode(const BehindNode&) = delete;
  BehindNode& operator=(const BehindNode&) = delete;

 private:
  void* session_;  // a MYSQL, whose header is not for all
};

// Holds the processes of one service at a fault point while it is closed. It is open at first. Declare it before the
// processes start; they need flags().
class Barrier {
 public:
  Barrier(Cluster& cluster, Side side, std::string point);
  ~Barrier();
  Barrier(const Barrier&) = delete;
  Barrier& operator=(const Barrier&) = delete;

  std::vector<std::string> flags() const;
  void Close();
  void Open();
  // Waits until a replica is held here, or `ended`, or for `limit`. True: it is held.
  bool Await(int replica, const std::function<bool()>& ended, absl::Duration limit) const;

 private:
  size_t Seen(int replica) const;

  Cluster& cluster_;
  const Side side_;
  const std::string point_;
  std::string path_;
  std::vector<size_t> before_;  // how often each replica had been at the point when it was closed
};

// A call that is to be held at a barrier, in this replica.
struct Racer {
  std::function<void()> call;
  Barrier& barrier;
  int replica;
  bool by_event = false;  // not the call itself is held, but what its event does later
};

// Makes both calls on threads of their own, and returns when both have ended. True: each was held at its barrier until
// the other one was held too. Then both went on at almost the same time; which one first is chance.
bool Race(Random& random, const Racer& first, const Racer& second);

// Calls `look` with both databases as each of the nodes has them.
void OnEveryNode(Cluster& cluster,
                 const std::function<void(const TestDatabase& users, const TestDatabase& posts)>& look);

// Waits for rest. Then no node may have an orphan, and all nodes must have the same rows.
void ExpectWhole(Cluster& cluster);

}  // namespace crosskey::testing
