#include "common/rpc/calls.h"

#include <algorithm>
#include <iterator>

#include <google/protobuf/descriptor.h>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"
#include "common/rpc/caller_of.h"
#include "common/rpc/channel.h"
#include "common/rpc/resources_of.h"
#include "common/rpc/to_wire.h"
#include "common/status/errors.h"
#include "common/status/limits.h"
#include "common/status/macros.h"
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
  Identity* const identity = options_.identity;
  if (identity == nullptr) return absl::OkStatus();
  if (may_be_nobody && context.client_metadata().count(kCallerKey) == 0) return absl::OkStatus();
  const auto value = [&](const char* key) -> std::optional<Instance> {
    const auto found = context.client_metadata().find(key);
    if (found == context.client_metadata().end()) return std::nullopt;
    return ParseInstance({found->second.data(), found->second.size()});
  };
  const std::optional<Instance> caller = value(kCallerKey), callee = value(kCalleeKey);
  if (!caller.has_value() || !callee.has_value()) return identity->MayTake(nullptr);
  const Parties parties{*caller, *callee};
  return identity->MayTake(&parties);
}

absl::Status Admission::CheckStream() const { return streams_end_ ? errors::Draining() : Check(); }

absl::Status Admission::PassGate(const grpc::ServerContextBase& context, const std::string& method,
                                 std::shared_ptr<const Caller>& caller) const {
  if (options_.gate == nullptr) return absl::OkStatus();
  CROSSKEY_ASSIGN_OR_RETURN(caller, options_.gate->Recognize(context));
  return options_.gate->Allow(*caller, method);
}

std::string Admission::NameOf(const grpc::ServerContextBase& context, const Caller* caller) {
  if (caller != nullptr && !caller->principal.empty()) return caller->principal;
  std::string peer = context.peer();  // "ipv4:127.0.0.1:4711"
  return peer.erase(std::min(peer.rfind(':'), peer.size()));
}

absl::Status Admission::Enter(const std::string& caller) {
  CROSSKEY_RETURN_IF_ERROR(Check());
  return shares_.Enter(caller, absl::Now());
}

void Admission::Leave(const std::string& caller) { shares_.Leave(caller, absl::Now()); }

// What is kept of one method: its name and its metrics. The counter of a code is made when that code is first answered,
// and kept because looking it up again costs more than counting.
struct Method {
  Method(const std::string& service, std::string method_name, telemetry::Metrics& metrics,
         const prometheus::Labels& method_labels)
      : name(std::move(method_name)),
        path(absl::StrCat("/", service, "/", name)),
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
  const std::string path;
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
        service_, method.name(), metrics,
        prometheus::Labels{{"grpc_type", type}, {"grpc_service", service_}, {"grpc_method", method.name()}});
  }
}

Calls::~Calls() = default;

PendingCall::PendingCall(Calls& calls, Method& method, const grpc::CallbackServerContext& context, Call call)
    : calls_(calls), method_(method), context_(context), call_(std::move(call)), begin_(absl::Now()) {}

absl::Status MayWait(const Call& call) {
  if (call.cancelled()) return call.Check();
  return call.Remaining() > kToAnswer ? absl::OkStatus() : errors::Overloaded("threads");
}

void PendingCall::End(const absl::Status& status) {
  if (admitted_) calls_.admission_->Leave(name_);
  const grpc::Status wire = calls_.Ends(method_, call_, begin_, status);
  calls_.Record(context_, method_, call_, changes_, status, wire.error_code());
  Finish(wire);
}

void PendingCall::OnDone() { delete this; }

PendingCall* Calls::Begin(grpc::CallbackServerContext& context, const std::string& name,
                          const google::protobuf::Message& request) {
  Method& method = *methods_.at(name);
  method.started.Increment();
  in_flight_.Increment();
  auto* call = new PendingCall(*this, method, context, MakeCall(context, limits::kDefaultDeadline, kLongestCall));
  // The gate first, so that whoever may not pass learns nothing. Then the admission, because before it opens this
  // process may not even know its own identity.
  absl::Status admitted = admission_->PassGate(context, method.path, call->call_.caller);
  if (admitted.ok()) admitted = admission_->Check();
  if (admitted.ok() && !method.from_anybody) admitted = admission_->CheckCaller(context);
  if (admitted.ok()) admitted = method.CheckSize(request);
  if (admitted.ok() && !method.is_read) admitted = admission_->CheckWrites();
  if (admitted.ok()) {
    call->name_ = Admission::NameOf(context, call->call_.caller.get());
    admitted = admission_->Enter(call->name_);
  }
  call->admitted_ = admitted.ok();
  // gRPC deletes it only after the handler has returned it, so it can still be asked.
  if (!admitted.ok()) call->End(admitted);
  return call;
}

grpc::ServerUnaryReactor* Calls::Unary(grpc::CallbackServerContext& context, const std::string& method, Waits waits,
                                       const google::protobuf::Message& request, CallLines::Body body,
                                       Messages changes) {
  return Take(context, method, request, [&](PendingCall* call) {
    call->Changes(changes);
    lines_.Add(waits, call, std::move(body));
  });
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

absl::Status Calls::PassGate(const grpc::CallbackServerContext& context, const std::string& method) const {
  const Method& asked = *methods_.at(method);
  Call call;
  const absl::Status status = admission_->PassGate(context, asked.path, call.caller);
  if (!status.ok()) Record(context, asked, call, {}, status, ToWire(status, method).error_code());
  return status;
}

// A record of who changed something, and of who was refused.
void Calls::Record(const grpc::CallbackServerContext& context, const Method& method, const Call& call,
                   const Messages& messages, const absl::Status& status, grpc::StatusCode code) const {
  telemetry::AuditLog* const audit = admission_->audit();
  if (audit == nullptr) return;
  const bool is_refusal = errors::Is(status, errors::Reason::kUnauthenticated) ||
                          errors::Is(status, errors::Reason::kPermissionDenied) ||
                          errors::Is(status, errors::Reason::kPeerMismatch);
  if (messages.request == nullptr && !is_refusal) return;
  telemetry::AuditLog::Entry entry;
  if (call.caller != nullptr) entry.principal = call.caller->principal;
  entry.address = AddressOf(context);
  entry.method = method.path;
  if (messages.request != nullptr) {
    Resources resources = ResourcesOf(method.name, *messages.request, status.ok() ? messages.response : nullptr);
    entry.resources = std::move(resources.names);
    entry.more_resources = resources.more;
    entry.deletion_id = resources.deletion_id;
  }
  entry.traceparent = call.traceparent;
  entry.outcome = CodeName(code);
  entry.reason = errors::ReasonName(status);
  entry.is_refusal = is_refusal;
  audit->Write(entry);
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
