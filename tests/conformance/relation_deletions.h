// For the tests of the parent's side of a deletion: answers of the peer, and a matcher for the state of a deletion.
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
  // Grants every release and every preflight.
  static FakePeer::ReleaseScript Agree() {
    return [](const relation::ReleaseRequest&) { return kYes; };
  }
  // Refuses every release and every preflight.
  static FakePeer::ReleaseScript Refuse() {
    return [](const relation::ReleaseRequest&) { return kNo; };
  }
  // Lets the preflight pass, and gives `answer` to the release itself.
  static FakePeer::ReleaseScript AfterPreflight(absl::StatusOr<relation::ReleaseAnswer> answer) {
    return [answer](const relation::ReleaseRequest& request) { return request.validate_only ? kYes : answer; };
  }
  static absl::Status Away() { return errors::PeerUnavailable("item-service"); }

  // The published OwnerDeleted events, without the OwnerCreated ones.
  static std::vector<std::string> DeletedEvents(const OwnerService& owners) {
    std::vector<std::string> events;
    for (const std::string& event : owners.Events()) {
      if (event.rfind("shop.v1.OwnerDeleted", 0) == 0) events.push_back(event);
    }
    return events;
  }
};

}  // namespace crosskey::testing
