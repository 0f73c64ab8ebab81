// The callers whose tokens have been found good, so that a token is not checked anew at each call.
#pragma once

#include <cstdint>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <unordered_map>

#include "absl/time/time.h"
#include "common/access/digest.h"
#include "common/status/caller.h"

namespace crosskey::access {

inline constexpr size_t kVerifiedTokens = 10'000;

// Found by the SHA-256 of their tokens. Only good tokens get in, so bad ones displace nobody. Thread-safe.
class Verified {
 public:
  struct Entry {
    std::shared_ptr<const Caller> caller;
    absl::Time expires;
  };

  std::optional<Entry> Find(const Digest& digest);
  // Holds at most kVerifiedTokens. Those that have been found last stay.
  void Keep(const Digest& digest, Entry entry);

 private:
  using Entries = std::unordered_map<Digest, Entry, DigestHash>;

  void Insert(const Digest& digest, Entry entry);

  std::mutex mutex_;
  // Once the new ones are half of what may be held, they become the old ones, and the old ones go.
  Entries new_;
  Entries old_;
};

}  // namespace crosskey::access
