// The background work of a service: threads that do something again and again, some of it in one replica only.
#pragma once

#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "common/db/leases.h"
#include "common/events/consumer.h"
#include "common/events/peer_watch.h"
#include "common/process/worker.h"

namespace crosskey::server {

// Everything is added before Start. Wake of what Add returns is thread-safe.
class Background {
 public:
  // `hold`: see Hooks. All must outlive it.
  Background(db::Leases& leases, const events::PeerWatch& watch, std::function<bool(const std::string& task)> hold)
      : leases_(leases), watch_(watch), hold_(std::move(hold)) {}

  // A leased task runs only while this process holds the lease of its name, and looks at it every 5 s at least, so that it is
  // renewed. The other replicas look again every second.
  Worker& Add(process::Task task);

  // The leased task "reclaim", which removes what deletions have hidden: each of the rounds says whether it has more to do. Wake it
  // when there is something new.
  Worker& AddReclaimer(std::vector<std::function<absl::StatusOr<bool>(const Call&)>> rounds);

  // The leased task "consumer", which runs the consumer from the peer's feed again whenever the stream has ended.
  void AddConsumer(events::Consumer& consumer);

  // Of the leased tasks.
  const std::vector<std::string>& lease_names() const { return lease_names_; }

  void Start();
  // Waits for the rounds that run, which are cancelled, and gives the leases back.
  void Stop();

 private:
  Worker& AddLeased(const std::string& name, Worker::Round round, bool needs_peer);
  bool Holds(const Call& call, const std::string& lease);
  absl::Duration LetAnotherTry(const std::string& lease);

  db::Leases& leases_;
  const events::PeerWatch& watch_;
  const std::function<bool(const std::string& task)> hold_;
  std::vector<std::string> lease_names_;
  std::vector<std::unique_ptr<Worker>> workers_;
};

}  // namespace crosskey::server
