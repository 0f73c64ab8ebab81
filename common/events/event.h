// Events as the services hold them. On the wire they are event.v1.Event.
#pragma once

#include <cstdint>
#include <string>
#include <utility>
#include <vector>

#include <google/protobuf/message.h>

#include "absl/time/time.h"
#include "common/status/ids.h"

namespace crosskey::events {

// An event that is not stored yet: what a change publishes.
struct Draft {
  std::string type;     // full name of the payload's message
  std::string subject;  // "users/7"
  std::string payload;  // the message, serialized
  // W3C Trace Context. Set by events::Tx.
  std::string traceparent = {};
};

inline Draft DraftOf(std::string subject, const google::protobuf::Message& payload) {
  return {payload.GetTypeName(), std::move(subject), payload.SerializeAsString()};
}

// A published event.
struct Event {
  Sequence sequence{};
  std::string id;
  std::string source;
  std::string type;
  std::string subject;
  absl::Time time;
  std::string traceparent;
  std::string payload;
};

// A range of one feed: the events with after < sequence <= through, of the types that the subscriber asked for. A batch
// for an empty range is a bookmark: it shows that the peer is alive and has nothing newer.
struct Batch {
  std::string feed_id;
  Sequence after{};
  Sequence through{};
  std::vector<Event> events;
  int64_t left_out = 0;         // events of the range that are of other types
  std::string through_id = {};  // of the event at `through`; empty: it is the last of `events`, or not known

  bool is_bookmark() const { return events.empty() && left_out == 0 && through == after; }
};

}  // namespace crosskey::events
