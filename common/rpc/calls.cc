#include "common/rpc/calls.h"

#include <algorithm>
#include <iterator>

#include <google/protobuf/descriptor.h>

#include "absl/strings/match.h"
#include "absl/time/clock.h"
#include "common/rpc/channel.h"
#include "common/rpc/to_wire.h"
#include "common/status/errors.h"
#include "common/status/limits.h"
#include "common/telemetry/log.h"

namespace crosskey::rpc {
namespace {

// No call waits longer than this for locks and sessions, whatever deadline its client sets.
constexpr absl::Duration kLongestCall = absl::Minutes(5);
// A call that waits in a line is refused this long before its deadline.
constexpr absl::Duration kToAnswer = absl::Milliseconds(50);

// Tells whether a text has the form of W3C Trace Context version 00: 2, 32, 16 and 2 lower-case hexadecimal digits with
// dashes between them. Anything else is dropped, because the value goes on into events and into calls to the peer,
// where other bytes would be an error.
bool IsTraceparent(const grpc::string_ref& text) {
  constexpr char kForm[] = "xx-xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx-xxxxxxxxxxxxxxxx-xx";
  if (text.size() != sizeof(kForm) - 1) return false;
  for (size_t i = 0; i < text.size(); ++i) {
    const char c = text.data()[i];
    const bool hexadecimal = (c >= '0' && c <= '9') || (c >= 'a' && c <= 'f');
    if (kForm[i] == '-' ? c != '-' : !hexadecimal) return false;
  }
  return true;
}

std::string CodeName(grpc::StatusCode code) {
  static const char* const kNames[] = {
      "OK",       "Canceled",       "Unknown",          "InvalidArgument",   "DeadlineExceeded",
      "NotFound", "AlreadyExists",  "PermissionDenied", "ResourceExhausted", "FailedPrecondition",
      "Aborted",  "OutOfRange",     "Unimplemented",    "Internal",          "Unavailable",
      "DataLoss", "Unauthenticated"};
  const auto index = static_cast<size_t>(code);
  return index < std::size(kNames) ? kNames[index] : "Unknown";
}

// `longest` caps the deadline; `unset` is for clients that set none (gRPC then gives a time far in the future).
Call MakeCall(grpc::CallbackServerContext& context, absl::Duration unset, absl::Duration longest) {
  Call call;
  const absl::Time now = absl::Now();
  const absl::Time deadline = absl::FromChrono(context.deadline());
  const bool is_set = deadline - now < absl::Hours(24 * 365);
  call.deadline = now + std::min(is_set ? deadline - now : unset, longest);
  call.cancelled = [&context] { return context.IsCancelled(); };
  const auto found = context.client_metadata().find("traceparent");
  if (found != context.client_metadata().end() && IsTraceparent(found->second)) {
    call.traceparent.assign(found->second.data(), found->second.size());
  }
  return call;
}

}  // namespace

absl::Status Admission::Check() const {
  if (draining_) return errors::Draining();
  return open_ ? absl::OkStatus() : errors::DatabaseUnavailable();
}

absl::Status Admission::CheckCaller(const grpc::CallbackServerContext& context, bool may_be_nobody) const {
  if (identity_ == nullptr) return absl::OkStatus();
  if (may_be_nobody && context.client_metadata().count(kCallerKey) == 0) return absl::OkStatus();
  const auto value = [&](const char* key) -> std::optional<Instance> {
    const auto found = context.client_metadata().find(key);
    if (found == context.client_metadata().end()) return std::nullopt;
    return ParseInstance({found->second.data(), found->second.size()});
  };
  const std::optional<Instance> caller = value(kCallerKey), callee = value(kCalleeKey);
  if (!caller.has_value() || !callee.has_value()) return identity_->MayTake(nullptr);
  const Parties parties{*caller, *callee};
  return identity_->MayTake(&parties);
}

absl::Status Admission::CheckStream() const { return streams_end_ ? errors::Draining() : Check(); }

absl::Status Admission::Enter() {
  const absl::Status status = Check();
  if (!status.ok()) return status;
  if (++in_flight_ <= max_in_flight_) return absl::OkStatus();
  --in_flight_;
  return errors::Overloaded("calls");
}

// What is kept of one method: its name and its metrics. The counter of a code is made when that code is first answered,
// and kept because looking it up again costs more than counting.
struct Method {
  Method(std::string method_name, telemetry::Metrics& metrics, const prometheus::Labels& method_labels)
      : name(std::move(method_name)),
        labels(method_labels),
        started(metrics.Counter("grpc_server_started_total", "Calls started on the server.", labels)),
        handled(metrics.Counters("grpc_server_handled_total", "Calls completed on the server, by code.")),
        seconds(metrics.Histogram("grpc_server_handling_seconds", "Time that the server took for a call.",
                                  {.001, .0025, .005, .01, .025, .05, .1, .25, .5, 1, 2.5, 5, 10}, labels)) {}

  void Handled(grpc::StatusCode code) {
    auto& counter = by_code[static_cast<size_t>(code) < std::size(by_code) ? static_cast<size_t>(code) : 2];
    prometheus::Counter* known = counter;
    if (known == nullptr) {
      prometheus::Labels with_code = labels;
      with_code["grpc_code"] = CodeName(code);
      counter = known = &handled.Add(with_code);  // concurrent calls get the same one
    }
    known->Increment();
  }

  // gRPC knows one limit for a whole listener, before it parses a message. This is the method's own, after that.
  absl::Status CheckSize(const google::protobuf::Message& request) const {
    const size_t bytes = request.ByteSizeLong();
    return bytes <= request_bytes ? absl::OkStatus() : errors::RequestTooLarge(bytes, request_bytes);
  }

  const std::string name;
  bool from_anybody = false;
  size_t request_bytes = size_t{limits::kRequestKibibytes} * limits::kKibibyte;  // a larger request is refused
  // The names of methods that only read begin so (AIP-131, AIP-132, AIP-231).
  bool is_read = absl::StartsWith(name, "Get") || absl::StartsWith(name, "List") || absl::StartsWith(name, "BatchGet");
  const prometheus::Labels labels;
  prometheus::Counter& started;
  prometheus::Family<prometheus::Counter>& handled;
  prometheus::Histogram& seconds;
  std::atomic<prometheus::Counter*> by_code[17] = {};
};

Calls::Calls(std::string service, std::shared_ptr<Admission> admission, CallLines& lines, telemetry::Metrics& metrics)
    : service_(std::move(service)),
      admission_(std::move(admission)),
      lines_(lines),
      in_flight_(
          metrics.Gauge("crosskey_calls_in_flight", "Calls that are being handled.", {{"grpc_service", service_}})) {
  const auto* descriptor = google::protobuf::DescriptorPool::generated_pool()->FindServiceByName(service_);
  for (int i = 0; descriptor != nullptr && i < descriptor->method_count(); ++i) {
    const auto& method = *descriptor->method(i);
    const std::string type = method.server_streaming() ? "server_stream" : "unary";
    methods_[method.name()] = std::make_unique<Method>(
        method.name(), metrics,
        prometheus::Labels{{"grpc_type", type}, {"grpc_service", service_}, {"grpc_method", method.name()}});
  }
}

Calls::~Calls() = default;

PendingCall::PendingCall(Calls& calls, Method& method, Call call)
    : calls_(calls), method_(method), call_(std::move(call)), begin_(absl::Now()) {}

absl::Status MayWait(const Call& call) {
  if (call.cancelled()) return call.Check();
  return call.Remaining() > kToAnswer ? absl::OkStatus() : errors::Overloaded("threads");
}

void PendingCall::End(const absl::Status& status) {
  if (admitted_) calls_.admission_->Leave();
  Finish(calls_.Ends(method_, call_, begin_, status));
}

void PendingCall::OnDone() { delete this; }

PendingCall* Calls::Begin(grpc::CallbackServerContext& context, const std::string& name,
                          const google::protobuf::Message& request) {
  Method& method = *methods_.at(name);
  method.started.Increment();
  in_flight_.Increment();
  auto* call = new PendingCall(*this, method, MakeCall(context, limits::kDefaultDeadline, kLongestCall));
  // The admission is asked first: before it opens, this process may not even know its own identity.
  absl::Status admitted = admission_->Check();
  if (admitted.ok() && !method.from_anybody) admitted = admission_->CheckCaller(context);
  if (admitted.ok()) admitted = method.CheckSize(request);
  if (admitted.ok() && !method.is_read) admitted = admission_->CheckWrites();
  if (admitted.ok()) admitted = admission_->Enter();
  call->admitted_ = admitted.ok();
  // gRPC deletes it only after the handler has returned it, so it can still be asked.
  if (!admitted.ok()) call->End(admitted);
  return call;
}

grpc::ServerUnaryReactor* Calls::Unary(grpc::CallbackServerContext& context, const std::string& method, Waits waits,
                                       const google::protobuf::Message& request, CallLines::Body body) {
  return Take(context, method, request, [&](PendingCall* call) { lines_.Add(waits, call, std::move(body)); });
}

grpc::ServerUnaryReactor* Calls::UnaryThen(grpc::CallbackServerContext& context, const std::string& method, Waits waits,
                                           const google::protobuf::Message& request, CallLines::Body body,
                                           std::function<void(PendingCall*)> then) {
  return Take(context, method, request, [&](PendingCall* call) {
    lines_.AddStep(waits, call, [body = std::move(body), then = std::move(then)](PendingCall* same) {
      const absl::Status status = Guarded(body, same->call());
      status.ok() ? then(same) : same->End(status);
    });
  });
}

void Calls::TakeFromAnybody(const std::string& method) { methods_.at(method)->from_anybody = true; }

void Calls::TakeWithoutWrites(const std::string& method) { methods_.at(method)->is_read = true; }

void Calls::TakeUpTo(const std::string& method, int bytes) {
  methods_.at(method)->request_bytes = static_cast<size_t>(bytes);
}

absl::Status Calls::CheckSize(const std::string& method, const google::protobuf::Message& request) const {
  return methods_.at(method)->CheckSize(request);
}

Call Calls::Stream(grpc::CallbackServerContext& context, const std::string& method) {
  methods_.at(method)->started.Increment();
  in_flight_.Increment();
  return MakeCall(context, absl::InfiniteDuration(), absl::InfiniteDuration());
}

grpc::Status Calls::StreamEnds(const std::string& method, const Call& call, absl::Time begin,
                               const absl::Status& status) {
  return Ends(*methods_.at(method), call, begin, status);
}

grpc::Status Calls::Ends(Method& method, const Call& call, absl::Time begin, const absl::Status& status) {
  const grpc::Status wire = ToWire(status, method.name);
  const absl::Duration took = absl::Now() - begin;
  in_flight_.Decrement();
  method.Handled(wire.error_code());
  method.seconds.Observe(absl::ToDoubleSeconds(took));
  // Only faults of the server are logged. A client can log its refusals; under overload they would flood this log.
  const bool fault = wire.error_code() == grpc::StatusCode::INTERNAL;
  if (!fault && !log::IsEnabled(log::Level::kDebug)) return wire;
  (fault ? log::Warning : log::Debug)("call", {{"service", service_},
                                               {"method", method.name},
                                               {"code", CodeName(wire.error_code())},
                                               {"reason", errors::ReasonName(status)},
                                               {"ms", absl::ToDoubleMilliseconds(took)},
                                               {"traceparent", call.traceparent}});
  return wire;
}

}  // namespace crosskey::rpc
