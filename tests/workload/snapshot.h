// Reads both databases while nothing is going on, and the events of both feeds, without going through the services.
#pragma once

#include <cstdint>
#include <map>
#include <set>
#include <string>
#include <unordered_map>
#include <utility>
#include <vector>

#include "tests/support/test_database.h"
#include "tests/workload/history.h"
#include "user/v1/user.pb.h"

namespace crosskey::testing {

struct Snapshot {
  struct Deletion {
    int64_t user = 0;
    ::relation::v1::ReferentialAction action = ::relation::v1::REFERENTIAL_ACTION_UNSPECIFIED;
    user::v1::DeletionState state = user::v1::DELETION_STATE_UNSPECIFIED;
    int64_t posts = 0;
    int64_t likes = 0;
  };
  std::map<int64_t, std::string> users;      // uids by id
  std::map<int64_t, std::string> user_refs;  // ACTIVE reference rows of post-service: uids by id
  std::set<int64_t> post_refs;               // ACTIVE reference rows of user-service
  int64_t tombstones = 0;                    // all other reference rows, of both services
  int64_t hidden_posts = 0;                  // deleted, and not removed yet
  std::unordered_map<int64_t, Row> posts;
  std::set<std::pair<int64_t, int64_t>> likes;  // post and user
  std::map<int64_t, int64_t> pins;              // posts by user
  std::map<int64_t, Deletion> deletions;        // newer than the snapshot before
  // The highest ids that this or an earlier snapshot has seen.
  int64_t last_user = 0;
  int64_t last_post = 0;
  int64_t last_deletion = 0;
  int64_t user_head = 0;  // of user-service's feed
  int64_t post_head = 0;
};

// `before`: the snapshot before this one, or an empty one.
Snapshot TakeSnapshot(const TestDatabase& user_db, const TestDatabase& post_db, const Snapshot& before);

// An event of any type; what its payload does not have is 0 or empty.
struct LoggedEvent {
  int64_t sequence = 0;
  std::string id;
  std::string type;
  std::string subject;
  int64_t user = 0;
  int64_t deletion_id = 0;
  int64_t count = 0;               // posts that were reclaimed
  std::vector<int64_t> posts;      // created, updated or deleted
  int64_t likes = 0;               // likes that were reclaimed
  std::vector<std::string> paths;  // of a user that was updated
};

struct EventLog {
  std::vector<LoggedEvent> events;  // by sequence
  int64_t unnumbered = 0;
};

// The events of a service's feed with a higher sequence than `after`, less those that have been trimmed.
EventLog ReadEvents(const TestDatabase& database, int64_t after);

}  // namespace crosskey::testing
