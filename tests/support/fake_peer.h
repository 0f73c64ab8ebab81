// The other service, with answers that a test decides.
#pragma once

#include <functional>
#include <mutex>
#include <utility>
#include <vector>

#include "common/relation/peer.h"

namespace crosskey::testing {

// Answers by scripts. A script runs on the caller's thread, so whatever it does before it returns happens between the
// question and the answer. Without a script the answer is PEER_UNAVAILABLE. Thread-safe; scripts may run at the same
// time.
class FakePeer final : public relation::Peer {
 public:
  using LookupScript = std::function<absl::StatusOr<relation::LookupAnswer>(const std::vector<int64_t>& ids)>;
  using ReleaseScript = std::function<absl::StatusOr<relation::ReleaseAnswer>(const relation::ReleaseRequest& request)>;

  void OnLookup(LookupScript script) {
    std::lock_guard lock(mutex_);
    lookup_ = std::move(script);
  }
  void OnRelease(ReleaseScript script) {
    std::lock_guard lock(mutex_);
    release_ = std::move(script);
  }

  absl::StatusOr<relation::LookupAnswer> Lookup(const Call&, const std::string&,
                                                const std::vector<RowId>& rows) override {
    LookupScript script;
    std::vector<int64_t> ids;
    for (const RowId row : rows) ids.push_back(Value(row));
    {
      std::lock_guard lock(mutex_);
      lookups_.push_back(ids);
      script = lookup_;
    }
    if (!script) return errors::PeerUnavailable("the peer");
    return script(ids);
  }

  absl::StatusOr<relation::ReleaseAnswer> Release(const Call&, const relation::ReleaseRequest& request) override {
    ReleaseScript script;
    {
      std::lock_guard lock(mutex_);
      releases_.push_back(request);
      script = release_;
    }
    if (!script) return errors::PeerUnavailable("the peer");
    return script(request);
  }

  // What it was asked, in order.
  std::vector<std::vector<int64_t>> lookups() const {
    std::lock_guard lock(mutex_);
    return lookups_;
  }
  std::vector<relation::ReleaseRequest> releases() const {
    std::lock_guard lock(mutex_);
    return releases_;
  }

 private:
  mutable std::mutex mutex_;
  LookupScript lookup_;
  ReleaseScript release_;
  std::vector<std::vector<int64_t>> lookups_;
  std::vector<relation::ReleaseRequest> releases_;
};

}  // namespace crosskey::testing
