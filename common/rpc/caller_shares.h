// What one caller may take of a listener while there are others.
#pragma once

#include <mutex>
#include <string>
#include <unordered_map>

#include "absl/status/status.h"
#include "absl/time/time.h"

namespace crosskey::rpc {

// A caller has a name: see Admission::NameOf. It is present while it holds a place, and for a second after it has asked
// for one or left one. Thread-safe.
//
// Places: a caller that is alone may take all. The last quarter of the places is for callers that have less than an
// equal share of all, so one that takes what it can get cannot keep the others out. That is why presence lasts:
// somebody who makes one call after the other holds no place in between, and it has to be kept free all the same.
//
// Rate: a token bucket (as in RFC 2697) that holds the calls of one second.
class CallerShares {
 public:
  // `rate`: calls a second of each caller; 0: any number.
  CallerShares(int places, int rate) : places_(places), rate_(rate) {}

  // OK: the caller has a place, which Leave gives back. RESOURCE_EXHAUSTED OVERLOADED, "calls", "calls of this caller"
  // or "rate of this caller".
  absl::Status Enter(const std::string& caller, absl::Time now);
  void Leave(const std::string& caller, absl::Time now);
  // Places that are taken.
  int in_flight() const;

 private:
  struct Share {
    int in_flight = 0;
    absl::Time seen = absl::InfinitePast();
    double tokens = 0;
    absl::Time filled = absl::InfinitePast();
  };

  bool TakeToken(Share& share, absl::Time now) const;
  void ForgetTheAbsent(absl::Time now);

  const int places_;
  const int rate_;
  mutable std::mutex mutex_;  // guards what follows
  int in_flight_ = 0;         // of all callers
  absl::Time swept_ = absl::InfinitePast();
  std::unordered_map<std::string, Share> present_;
};

}  // namespace crosskey::rpc
