// The background work of a service: threads that do something again and again, some of it in one replica only.
#pragma once

#include <chrono>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "common/db/leases.h"
#include "common/events/consumer.h"
#include "common/events/nats_publisher.h"
#include "common/events/peer_watch.h"
#include "common/process/worker.h"

namespace crosskey::server {

// Add everything before Start. The Wake of a Worker that is returned here is thread-safe.
class Background {
 public:
  // `hold`: see Hooks. `leases` and `watch` must outlive it.
  Background(db::Leases& leases, const events::PeerWatch& watch, std::function<bool(const std::string& task)> hold)
      : leases_(leases), watch_(watch), hold_(std::move(hold)) {}

  // A leased task runs only while this process holds the lease of its name. Between its rounds it asks for the lease at
  // least every 5 s, so that it is renewed. A replica without the lease asks for it every second.
  Worker& Add(process::Task task);

  // Adds the leased task "reclaim", which removes what deletions have hidden. Each of `rounds` returns whether it has
  // more to do. Wake the returned worker when something has been hidden.
  Worker& AddReclaimer(std::vector<std::function<absl::StatusOr<bool>(const Call&)>> rounds);

  // Adds the leased task "consumer", which runs `consumer` again whenever the stream of the peer's feed has ended.
  void AddConsumer(events::Consumer& consumer);
  // Adds the leased task "publish", which runs `publisher` again whenever its session has ended.
  void AddPublisher(events::NatsPublisher& publisher);

  // The names of the leased tasks, which are also the names of their leases.
  const std::vector<std::string>& lease_names() const { return lease_names_; }

  void Start();
  // Cancels the rounds that are running, waits for their end, and gives the leases back.
  void Stop();

 private:
  Worker::Round Leased(const std::string& name, Worker::Round round, bool needs_peer);
  absl::Duration Upkeep(const Call& call);
  // For a round that goes on for long: CANCELLED, if another replica has got the lease meanwhile.
  absl::Status StillHolds(const std::string& lease);
  bool Holds(const Call& call, const std::string& lease);
  absl::Duration LetAnotherTry(const std::string& lease);

  db::Leases& leases_;
  const events::PeerWatch& watch_;
  const std::function<bool(const std::string& task)> hold_;
  std::vector<std::string> lease_names_;
  std::vector<std::unique_ptr<Worker>> workers_;

  struct Due {
    Worker::Round round;
    std::chrono::steady_clock::time_point next = {};
  };
  std::vector<Due> upkeep_;  // for the thread of the same name
  Worker* upkeep_worker_ = nullptr;
};

}  // namespace crosskey::server
