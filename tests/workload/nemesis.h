// Makes faults at random, one or two at a time, in a Cluster with gates.
#pragma once

#include <functional>
#include <map>
#include <string>
#include <vector>

#include "tests/support/cluster.h"
#include "tests/workload/population.h"

namespace crosskey::testing {

// For one thread, which alone starts and ends processes of the cluster. Does not restart the database's server.
class Nemesis {
 public:
  struct Options {
    uint64_t seed = 1;
    // Replica 0 of each service is neither killed nor stopped where there are others, so that its resources can be
    // measured over a long life.
    bool spare_first = false;
    int calm_ms = 500;  // the longest time without a fault between two steps
  };

  Nemesis(Cluster& cluster, const Options& options);

  // Lets things run for a while, makes a fault or two, keeps them up for a while, and undoes them.
  void Step();
  // Undoes everything and starts what does not run.
  void Heal();

  // How often each kind of fault has been made.
  const std::map<std::string, int64_t>& counts() const { return counts_; }
  // For each process that ended without having been killed: what it had written last.
  const std::vector<std::string>& crashes() const { return crashes_; }

 private:
  struct Kind {
    const char* name;
    std::function<void()> make;
  };
  struct Target {
    Side side;
    int replica;
  };

  Target PickTarget();
  TcpGate& PickPeerGate();
  TcpGate& PickDatabaseGate();
  void Make(const std::vector<Kind>& kinds);
  void Kill(Target target);
  void Stop(Target target);
  void Undo();
  void LookForCrashes();

  Cluster& cluster_;
  const Options options_;
  Random random_;
  std::vector<Kind> process_kinds_;
  std::vector<Kind> network_kinds_;
  std::vector<Target> stopped_;
  std::vector<Target> killed_;
  std::map<std::string, int64_t> counts_;
  std::vector<std::string> crashes_;
};

}  // namespace crosskey::testing
