// What one caller may take of a listener while there are others.
#pragma once

#include <mutex>
#include <string>
#include <unordered_map>

#include "absl/status/status.h"
#include "absl/time/time.h"

namespace crosskey::rpc {

// Callers are told apart by their principals; all that have not said who they are count as one. Thread-safe.
//
// Places: a caller that is alone may take all. The last quarter of the places is for callers that have less than an
// equal share of all, so one that takes what it can get cannot keep the others out.
//
// Rate: a token bucket (as in RFC 2697) that holds the calls of one second.
class CallerShares {
 public:
  // `rate`: calls a second of each caller; 0: any number.
  CallerShares(int places, int rate) : places_(places), rate_(rate) {}

  // OK: the caller has a place, which Leave gives back. RESOURCE_EXHAUSTED OVERLOADED, "calls", "calls of this caller"
  // or "rate of this caller".
  absl::Status Enter(const std::string& principal, absl::Time now);
  void Leave(const std::string& principal);

 private:
  struct Share {
    int in_flight = 0;
    double tokens = 0;
    absl::Time filled = absl::InfinitePast();
  };

  bool TakeToken(Share& share, absl::Time now) const;
  void Forget();

  const int places_;
  const int rate_;
  std::mutex mutex_;   // guards what follows
  int in_flight_ = 0;  // of all callers
  int present_ = 0;    // callers that hold a place
  std::unordered_map<std::string, Share> by_principal_;
};

}  // namespace crosskey::rpc
