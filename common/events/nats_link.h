// A session with NATS JetStream.
#pragma once

#include <cstdint>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <vector>

#include <nats/nats.h>

#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "common/events/nats_event.h"
#include "common/process/events_url.h"

namespace crosskey::events {

// Reads one stream in its order, by an ordered consumer: nothing is acknowledged, and the server keeps no position. For
// one thread; must end before its link.
class NatsReader {
 public:
  // An event, or a message that is none, and its place in the stream.
  struct Message {
    uint64_t stream_sequence = 0;
    absl::StatusOr<StreamedEvent> event;
  };

  explicit NatsReader(natsSubscription* subscription) : subscription_(subscription) {}
  NatsReader(const NatsReader&) = delete;
  NatsReader& operator=(const NatsReader&) = delete;
  ~NatsReader();

  // nullopt: none has come within `wait`, which may be 0. UNAVAILABLE: the session has ended.
  absl::StatusOr<std::optional<Message>> Next(absl::Duration wait);

 private:
  natsSubscription* const subscription_;
};

// The library stays open until the process ends. Version 3.4.1, once it is closed, frees a list of OpenSSL's at exit,
// which OpenSSL then frees again.
//
// It does not reconnect: whoever uses it opens another one, and looks at the stream again, because that may be another
// one then. So files of certificates and passwords are read again as well.
class NatsLink {
 public:
  // The end of a stream, and its last event, behind which there may be messages of others. A stream whose messages were
  // removed has an end, and no last event.
  struct End {
    uint64_t stream_sequence = 0;
    std::optional<StreamedEvent> last;
  };

  // Tries three servers, for a second each, and the next time the next three. UNAVAILABLE: none answers, or lets this
  // one in. What `service` asks for comes to its own inboxes, _INBOX.PREFIX.SERVICE.>, so it needs no right to see what
  // is sent to others. `does` is shown by the server with the name of the service.
  static absl::StatusOr<std::unique_ptr<NatsLink>> Open(const process::EventsOptions& options,
                                                        const std::string& service, const std::string& does);
  NatsLink(const NatsLink&) = delete;
  NatsLink& operator=(const NatsLink&) = delete;
  ~NatsLink();

  bool is_open() const;

  // Creates the stream of a service unless there is one. What is there stays as it is.
  absl::Status EnsureStream(const std::string& service, absl::Duration retention);
  // NOT_FOUND: there is no such stream. FAILED_PRECONDITION: its last 100 messages are no events.
  absl::StatusOr<End> EndOf(const std::string& service);
  // Appends events to the stream, whose end, as EndOf has told, has to be at `after`: all of them or a beginning of
  // them, in order and each once. But if somebody else's message comes between them, and the stream has several copies,
  // one of them may be missing. The check against that (Nats-Expected-Last-Msg-Id) is for streams with one copy: where
  // it fails in a cluster, servers from 2.14 on give the stream up. UNAVAILABLE: not known how many, or the server
  // remembers an event that is gone; ABORTED: the end is elsewhere. Both end the use of this link.
  absl::Status Append(const std::string& service, uint64_t after, const std::vector<StreamedEvent>& events);
  // Reads from this place of the stream on.
  absl::StatusOr<std::unique_ptr<NatsReader>> Read(const std::string& service, uint64_t stream_sequence);

 private:
  // What the server says of the messages that were sent, by threads of the library. Such a thread may be about to say
  // it when the link has gone, so it knows the link by a number that is never used again.
  class Answers {
   public:
    Answers();
    ~Answers();
    Answers(const Answers&) = delete;
    Answers& operator=(const Answers&) = delete;

    static void Arrived(jsCtx* context, natsMsg* message, jsPubAck* stored, jsPubAckErr* error, void* number);
    void* number() const { return reinterpret_cast<void*>(number_); }
    absl::Status first_error() const;

   private:
    struct All;
    static All& Living();

    void Take(const jsPubAck* stored, const jsPubAckErr* error);

    uintptr_t number_ = 0;
    mutable std::mutex mutex_;
    absl::Status first_error_;
  };

  explicit NatsLink(const process::EventsOptions& options) : options_(options) {}
  absl::Status Connect(const std::string& service, const std::string& does);
  absl::Status Prepare(natsOptions* to, const std::string& service, const std::string& does) const;

  const process::EventsOptions options_;
  Answers answers_;
  bool has_one_copy_ = false;  // the stream that EndOf was asked for
  natsConnection* connection_ = nullptr;
  jsCtx* stream_context_ = nullptr;
};

}  // namespace crosskey::events
