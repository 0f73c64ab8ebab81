// What tests of the parent's side of a deletion share: answers of the peer, and the state that a deletion must be in.
#pragma once

#include <string>
#include <vector>

#include <gmock/gmock.h>

#include "common/relation/parent/deletions.h"
#include "tests/conformance/relation_shop.h"

namespace crosskey::testing {

MATCHER_P(InState, state, "") {
  if (!arg.ok()) {
    *result_listener << arg.status().ToString();
    return false;
  }
  if (!arg->has_value()) return false;
  *result_listener << "state " << static_cast<int>((*arg)->state);
  return (*arg)->state == state;
}

inline const relation::ReleaseAnswer kYes{true, {}};
inline const relation::ReleaseAnswer kNo{false, {{kItemOwner, 2, false}}};

class DeletionTest : public DatabaseTest {
 protected:
  // Releases whatever it is asked for.
  static FakePeer::ReleaseScript Agree() {
    return [](const relation::ReleaseRequest&) { return kYes; };
  }
  // Refuses RESTRICT, in the preflight and in earnest.
  static FakePeer::ReleaseScript Refuse() {
    return [](const relation::ReleaseRequest&) { return kNo; };
  }
  // Lets the preflight pass, then answers so.
  static FakePeer::ReleaseScript AfterPreflight(absl::StatusOr<relation::ReleaseAnswer> answer) {
    return [answer](const relation::ReleaseRequest& request) { return request.validate_only ? kYes : answer; };
  }
  static absl::Status Away() { return errors::PeerUnavailable("item-service"); }

  // Apart from the creations.
  static std::vector<std::string> DeletedEvents(const OwnerService& owners) {
    std::vector<std::string> events;
    for (const std::string& event : owners.Events()) {
      if (event.rfind("shop.v1.OwnerDeleted", 0) == 0) events.push_back(event);
    }
    return events;
  }
};

}  // namespace crosskey::testing
