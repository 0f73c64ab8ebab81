#include "tests/workload/nemesis.h"

#include <algorithm>
#include <csignal>
#include <thread>

#include "absl/strings/str_cat.h"

namespace crosskey::testing {
namespace {

void Pause(Random& random, int64_t low, int64_t high) {
  std::this_thread::sleep_for(std::chrono::milliseconds(Between(random, low, high)));
}

}  // namespace

Nemesis::Nemesis(Cluster& cluster, const Options& options)
    : cluster_(cluster), options_(options), random_(options.seed) {
  process_kinds_ = {
      {"kill", [this] { Kill(PickTarget()); }},
      {"kill one of each",
       [this] {
         const int replica = PickTarget().replica;
         Kill({Side::kUsers, replica});
         Kill({Side::kPosts, replica});
       }},
      {"stop", [this] { Stop(PickTarget()); }},
  };
  network_kinds_ = {
      {"cut the peers", [this] { PickPeerGate().CutAll(); }},
      {"refuse the peer",
       [this] {
         TcpGate& gate = PickPeerGate();
         gate.Refuse(true);
         gate.CutAll();
       }},
      {"let the peer hang",
       [this] {
         TcpGate& gate = PickPeerGate();
         gate.StopAccepting(true);
         gate.CutAll();
       }},
      {"lose requests to the peer", [this] { PickPeerGate().SwallowToTarget(true); }},
      {"lose answers of the peer", [this] { PickPeerGate().SwallowFromTarget(true); }},
      {"partition the peers",
       [this] {
         TcpGate& gate = PickPeerGate();
         gate.SwallowToTarget(true);
         gate.SwallowFromTarget(true);
       }},
      {"delay the peer", [this] { PickPeerGate().Delay(static_cast<int>(Between(random_, 5, 100))); }},
      {"cut the peer in its answers", [this] { PickPeerGate().CutAfterFromTarget(Between(random_, 0, 4000)); }},
  };
  if (cluster_.database_gate(Side::kUsers) == nullptr) return;
  const std::vector<Kind> of_databases = {
      {"cut the database", [this] { PickDatabaseGate().CutAll(); }},
      {"refuse the database",
       [this] {
         TcpGate& gate = PickDatabaseGate();
         gate.Refuse(true);
         gate.CutAll();
       }},
      {"lose answers of the database", [this] { PickDatabaseGate().SwallowFromTarget(true); }},
      {"delay the database", [this] { PickDatabaseGate().Delay(static_cast<int>(Between(random_, 1, 20))); }},
      {"cut the database in its answers",
       [this] { PickDatabaseGate().CutAfterFromTarget(Between(random_, 0, 20000)); }},
  };
  network_kinds_.insert(network_kinds_.end(), of_databases.begin(), of_databases.end());
}

Nemesis::Target Nemesis::PickTarget() {
  const int first = options_.spare_first && cluster_.replicas() > 1 ? 1 : 0;
  return {Between(random_, 0, 1) == 0 ? Side::kUsers : Side::kPosts,
          static_cast<int>(Between(random_, first, cluster_.replicas() - 1))};
}

TcpGate& Nemesis::PickPeerGate() {
  const Side side = Between(random_, 0, 1) == 0 ? Side::kUsers : Side::kPosts;
  return *cluster_.peer_gate(side, static_cast<int>(Between(random_, 0, cluster_.replicas() - 1)));
}

TcpGate& Nemesis::PickDatabaseGate() {
  return *cluster_.database_gate(Between(random_, 0, 1) == 0 ? Side::kUsers : Side::kPosts);
}

void Nemesis::Kill(Target target) {
  LookForCrashes();
  killed_.push_back(target);
  cluster_.Kill(target.side, target.replica);
}

void Nemesis::Stop(Target target) {
  if (!cluster_.Running(target.side, target.replica)) return;
  stopped_.push_back(target);
  cluster_.process(target.side, target.replica).Signal(SIGSTOP);
}

void Nemesis::Make(const std::vector<Kind>& kinds) {
  const Kind& kind = kinds[static_cast<size_t>(Between(random_, 0, static_cast<int64_t>(kinds.size()) - 1))];
  ++counts_[kind.name];
  kind.make();
}

void Nemesis::Step() {
  Pause(random_, options_.calm_ms / 10, options_.calm_ms);
  LookForCrashes();
  const int64_t dice = Between(random_, 1, 10);
  if (dice <= 5) Make(process_kinds_);
  if (dice >= 4) Make(network_kinds_);
  // Most faults are short, so that there are many of them. Some may last longer than a call to a peer may take.
  Pause(random_, 50, Between(random_, 1, 4) == 1 ? 3000 : 500);
  Undo();
}

void Nemesis::Undo() {
  // The network is healed first, because a process that starts needs its database.
  for (const Side side : {Side::kUsers, Side::kPosts}) {
    for (int i = 0; i < cluster_.replicas(); ++i) cluster_.peer_gate(side, i)->Heal();
    if (cluster_.database_gate(side) != nullptr) cluster_.database_gate(side)->Heal();
  }
  for (const Target& target : stopped_) {
    if (cluster_.Running(target.side, target.replica)) cluster_.process(target.side, target.replica).Signal(SIGCONT);
  }
  stopped_.clear();
  LookForCrashes();
  for (const Target& target : killed_) cluster_.Start(target.side, target.replica);
  killed_.clear();
}

void Nemesis::LookForCrashes() {
  for (const Side side : {Side::kUsers, Side::kPosts}) {
    for (int i = 0; i < cluster_.replicas(); ++i) {
      const bool ours = std::any_of(killed_.begin(), killed_.end(),
                                    [&](const Target& target) { return target.side == side && target.replica == i; });
      if (ours || cluster_.Running(side, i)) continue;
      const std::string output = cluster_.process(side, i).Output();
      crashes_.push_back(absl::StrCat(side == Side::kUsers ? "user" : "post", "-service ", i, " ended by itself: ",
                                      output.substr(output.size() < 2000 ? 0 : output.size() - 2000)));
      cluster_.Start(side, i);
    }
  }
}

void Nemesis::Heal() {
  Undo();
  cluster_.StartAll();
}

}  // namespace crosskey::testing
