// Methods that change something and take a request_id.
#pragma once

#include <functional>
#include <string>

#include <google/protobuf/message.h>

#include "common/idempotency/recorder.h"
#include "common/rpc/calls.h"

namespace crosskey::idempotency {

// Runs the writing methods of one gRPC service. Thread-safe.
class Writes {
 public:
  // `calls`, `database` and `answers` must outlive it. `service` is the full name of the gRPC service; it is part of
  // the fingerprint of a request.
  Writes(std::string service, rpc::Calls& calls, db::Database& database, Answers& answers)
      : service_(std::move(service)), calls_(calls), database_(database), answers_(answers) {}

  // Runs `body` by rpc::Calls::Unary, on the line that `waits` names, with one effect for each request_id (a string
  // field of that name in `request`). `body` fills `response` and passes the recorder to the transaction of its effect.
  // Of concurrent calls with the same request_id one has an effect, and all get its answer. Without a request_id every
  // call has its own effect. A request_id that is no UUID, or zero, is not looked at here: `body` has to refuse it.
  //
  // INVALID_ARGUMENT REQUEST_ID_REUSED, ABORTED CONFLICT (concurrent calls with the same request_id were faster too
  // often), and the errors of `body`.
  grpc::ServerUnaryReactor* Run(grpc::CallbackServerContext& context, const std::string& method, rpc::Waits waits,
                                const google::protobuf::Message& request, google::protobuf::Message& response,
                                std::function<absl::Status(const Call&, Recorder&)> body);

  // The same for a call that has been taken already.
  void Add(rpc::PendingCall* call, const std::string& method, rpc::Waits waits,
           const google::protobuf::Message& request, google::protobuf::Message& response,
           std::function<absl::Status(const Call&, Recorder&)> body);

  // What identifies a request; nullopt if it has no request_id. A request_id belongs to the principal of its caller:
  // the same id of another one is another id.
  std::optional<Request> KeyOf(const Call& call, const std::string& method,
                               const google::protobuf::Message& request) const;

  Answers& answers() { return answers_; }
  rpc::Calls& calls() { return calls_; }

  // The same for a method that may store an answer before its outcome is known. While `is_provisional` is true for the
  // stored answer, a call that is sent again runs `body` with that answer as `begun`, so that it can go on from there.
  // Otherwise `begun` is null.
  template <typename Response>
  grpc::ServerUnaryReactor* RunResumable(
      grpc::CallbackServerContext& context, const std::string& method, rpc::Waits waits,
      const google::protobuf::Message& request, Response& response, std::function<bool(const Response&)> is_provisional,
      std::function<absl::Status(const Call&, Recorder&, const Response* begun)> body) {
    const auto resume = [&response, body = std::move(body)](const Call& call, Recorder& recorder, bool resumes) {
      if (!resumes) return body(call, recorder, nullptr);
      Response begun;
      begun.Swap(&response);
      response.Clear();
      return body(call, recorder, &begun);
    };
    return calls_.Unary(
        context, method, waits, request,
        Once(method, request, response, resume,
             [&response, is_provisional = std::move(is_provisional)] { return is_provisional(response); }),
        {&request, &response});
  }

 private:
  struct Attempt;
  using Body = std::function<absl::Status(const Call&, Recorder&, bool resumes)>;

  rpc::CallLines::Body Once(const std::string& method, const google::protobuf::Message& request,
                            google::protobuf::Message& response, Body body, std::function<bool()> is_provisional);
  absl::Status RunOnce(const Call& call, Attempt& attempt);
  absl::Status Perform(const Call& call, Attempt& attempt, bool& stored);
  absl::StatusOr<bool> Recall(const Call& call, Attempt& attempt);

  const std::string service_;
  rpc::Calls& calls_;
  db::Database& database_;
  Answers& answers_;
};

}  // namespace crosskey::idempotency
