// An event as a message of NATS: CloudEvents 1.0 in the binary mode of its protocol binding for NATS. The data is the
// payload, the rest are headers.
#pragma once

#include <cstdint>
#include <memory>
#include <string>

#include <nats/nats.h>

#include "absl/status/statusor.h"
#include "common/events/event.h"

namespace crosskey::events {

struct NatsMsgDelete {
  void operator()(natsMsg* message) const { natsMsg_Destroy(message); }
};
using NatsMsg = std::unique_ptr<natsMsg, NatsMsgDelete>;

// An event of a stream, and whose it is.
struct StreamedEvent {
  Event event;
  std::string feed_id;      // the history that the sequence belongs to
  std::string instance_id;  // of the service that published it
};

// The streams of one service: "PREFIX_user-service", with the subjects "PREFIX.user-service.>".
std::string StreamOf(const std::string& prefix, const std::string& service);
std::string SubjectsOf(const std::string& prefix, const std::string& service);

// Messages need the open library: nats_Open, which a connection calls. RESOURCE_EXHAUSTED: no memory.
absl::StatusOr<NatsMsg> ToNats(const std::string& prefix, const StreamedEvent& event);

// INVALID_ARGUMENT: it is no event of ours, and why.
absl::StatusOr<StreamedEvent> FromNats(natsMsg& message);

}  // namespace crosskey::events
