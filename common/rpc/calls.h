// The wrapper that every call to our services goes through.
#pragma once

#include <atomic>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include <google/protobuf/message.h>
#include <grpcpp/server_context.h>
#include <grpcpp/support/server_callback.h>
#include <grpcpp/support/status.h>

#include "absl/status/status.h"
#include "common/rpc/call_lines.h"
#include "common/rpc/caller_shares.h"
#include "common/rpc/gate.h"
#include "common/rpc/pending_call.h"
#include "common/status/call.h"
#include "common/status/identity.h"
#include "common/telemetry/audit_log.h"
#include "common/telemetry/metrics.h"

namespace crosskey::rpc {

// Decides whether a listener takes a call, and bounds how many are in flight. Begins closed. Thread-safe.
class Admission {
 public:
  struct Options {
    int max_in_flight = 256;
    // For the internal listener: decides whose calls are taken.
    Identity* identity = nullptr;
    // Decides, for each call that is not a read, whether this service takes writes now, and vouches for what it has.
    // Must not wait. Empty: always.
    std::function<absl::Status()> may_write = nullptr;
    Gate* gate = nullptr;                  // null: nobody is asked who it is
    telemetry::AuditLog* audit = nullptr;  // null: there is no record
    int caller_rate = 0;                   // calls a second of each caller; 0: any number
  };

  explicit Admission(Options options)
      : options_(std::move(options)), shares_(options_.max_in_flight, options_.caller_rate) {}

  // Whether whoever makes this call may make it: see Identity::MayTake. OK on the public listener.
  // `may_be_nobody`: a caller that does not say who it is may make it too.
  absl::Status CheckCaller(const grpc::CallbackServerContext& context, bool may_be_nobody = false) const;

  // Sets `caller` to who makes a call, null without a gate, and says whether it may: see Gate.
  absl::Status PassGate(const grpc::ServerContextBase& context, const std::string& method,
                        std::shared_ptr<const Caller>& caller) const;
  // Callers are told apart by their principals, and those that have not said who they are by their addresses, without
  // the port. A proxy is one caller.
  static std::string NameOf(const grpc::ServerContextBase& context, const Caller* caller);
  // OK: the call has taken a place, which Leave gives back. Otherwise refuses at once, without waiting:
  // RESOURCE_EXHAUSTED OVERLOADED if all places, or those of the caller (CallerShares), are taken, or the error of
  // Check.
  absl::Status Enter(const std::string& caller);
  absl::Status CheckWrites() const { return options_.may_write ? options_.may_write() : absl::OkStatus(); }
  // The call is answered. How long its client may take to read that is for Unread.
  void Leave(const std::string& caller);
  telemetry::AuditLog* audit() const { return options_.audit; }
  // UNAVAILABLE DATABASE_UNAVAILABLE before Open, UNAVAILABLE DRAINING after Drain.
  absl::Status Check() const;
  // The same for streams. They have no end of their own, so EndStreams can end them before Drain: UNAVAILABLE DRAINING
  // after either.
  absl::Status CheckStream() const;
  void Open() { open_ = true; }
  void EndStreams() { streams_end_ = true; }
  void Drain() { draining_ = true; }
  int in_flight() const { return shares_.in_flight(); }

 private:
  const Options options_;
  CallerShares shares_;
  std::atomic<bool> open_ = false;
  std::atomic<bool> streams_end_ = false;
  std::atomic<bool> draining_ = false;
};

// Takes the calls of one gRPC service: admission, deadline, metrics, log, and the last line of defence against
// exceptions. The threads of gRPC must not be held up, so a call is put into a line, and a thread of the line's workers
// answers it. Thread-safe.
class Calls {
 public:
  // `service` is the full name, "user.v1.UserService". `lines` must outlive it.
  Calls(std::string service, std::shared_ptr<Admission> admission, CallLines& lines, telemetry::Metrics& metrics);
  ~Calls();

  // Runs `body` with the call's deadline (limits::kDefaultDeadline if the client set none, 5 minutes at most),
  // cancellation and trace context, on a thread of the line that `waits` names. What the handler returns to gRPC.
  // A `request` that is larger than the method takes is refused, like every other call that is not admitted. `changes`
  // are the messages of a call that changes something, for the audit record.
  grpc::ServerUnaryReactor* Unary(grpc::CallbackServerContext& context, const std::string& method, Waits waits,
                                  const google::protobuf::Message& request, CallLines::Body body,
                                  Messages changes = {});

  // Runs `body`, which returns OK or an error, and then hands the call to `then`, which has to end it or to hand it on.
  // An error ends the call at once.
  grpc::ServerUnaryReactor* UnaryThen(grpc::CallbackServerContext& context, const std::string& method, Waits waits,
                                      const google::protobuf::Message& request, CallLines::Body body,
                                      std::function<void(PendingCall*)> then);

  // The same for a call that is not done by a function of its own, for example together with others: `then` puts it
  // into a line. It is not called if the call is refused.
  template <typename Then>
  grpc::ServerUnaryReactor* Take(grpc::CallbackServerContext& context, const std::string& method,
                                 const google::protobuf::Message& request, Then&& then) {
    PendingCall* call = Begin(context, method, request);
    if (call->admitted_) then(call);
    return call;
  }

  // Takes calls of this method from anybody: the one by which services meet. Before the first call.
  void TakeFromAnybody(const std::string& method);

  // Takes calls of this method even if the service takes no writes: it mends that. Before the first call.
  void TakeWithoutWrites(const std::string& method);

  // Takes requests of this method of up to so many bytes, instead of limits::kRequestKibibytes. Before the first call.
  void TakeUpTo(const std::string& method, int bytes);

  // RESOURCE_EXHAUSTED REQUEST_TOO_LARGE if the request is larger than its method takes. What this service does not
  // know of it, because it is a field of another release or of nobody, counts too.
  absl::Status CheckSize(const std::string& method, const google::protobuf::Message& request) const;
  // Whether the caller of a stream may pass the gate. Who serves a stream has to ask, before anything else.
  absl::Status PassGate(const grpc::CallbackServerContext& context, const std::string& method) const;

  // For a stream: its Call, with no deadline unless the client sets one. A stream takes no place of the admission, so
  // who serves it has to ask Admission::CheckCaller and CheckStream, and CheckSize.
  Call Stream(grpc::CallbackServerContext& context, const std::string& method);
  // Counts the end of a stream that began at `begin`. Returns what its client gets.
  grpc::Status StreamEnds(const std::string& method, const Call& call, absl::Time begin, const absl::Status& status);

  Admission& admission() { return *admission_; }
  CallLines& lines() { return lines_; }

 private:
  friend class PendingCall;

  PendingCall* Begin(grpc::CallbackServerContext& context, const std::string& method,
                     const google::protobuf::Message& request);
  grpc::Status Ends(Method& method, const Call& call, absl::Time begin, const absl::Status& status);
  void Record(const grpc::CallbackServerContext& context, const Method& method, const Call& call,
              const Messages& messages, const absl::Status& status, grpc::StatusCode code) const;

  const std::string service_;
  const std::shared_ptr<Admission> admission_;
  CallLines& lines_;
  prometheus::Gauge& in_flight_;
  std::map<std::string, std::unique_ptr<Method>> methods_;  // by name, all that the service declares
};

}  // namespace crosskey::rpc
