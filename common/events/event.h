// Events as the services hold them. On the wire they are event.v1.Event.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "absl/time/time.h"

namespace crosskey::events {

// What a change publishes.
struct Draft {
  std::string type;     // full name of the payload's message
  std::string subject;  // "users/7"
  std::string payload;  // the message, serialized
  // W3C Trace Context. Set by events::Tx.
  std::string traceparent = {};
};

// A published event.
struct Event {
  int64_t sequence = 0;
  std::string id;
  std::string source;
  std::string type;
  std::string subject;
  absl::Time time;
  std::string traceparent;
  std::string payload;
};

// Consecutive events of one feed: all with after < sequence <= through. Without events: a bookmark.
struct Batch {
  std::string feed_id;
  int64_t after = 0;
  int64_t through = 0;
  std::vector<Event> events;
};

}  // namespace crosskey::events
