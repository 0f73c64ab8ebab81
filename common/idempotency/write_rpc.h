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
  // All must outlive it. `service` is its full name, part of what a request_id stands for.
  Writes(std::string service, rpc::Calls& calls, db::Database& database, Answers& answers)
      : service_(std::move(service)), calls_(calls), database_(database), answers_(answers) {}

  // rpc::Calls::Unary, once for each request_id (a string field of that name). `body` fills `response` and hands the recorder to
  // the transaction of its effect. Of concurrent calls with one request_id one has an effect, and all get its answer. `body`
  // refuses a request_id that is not a UUID.
  //
  // INVALID_ARGUMENT REQUEST_ID_REUSED, and the errors of `body`.
  grpc::Status Run(grpc::ServerContext& context, const std::string& method, const google::protobuf::Message& request,
                   google::protobuf::Message& response,
                   const std::function<absl::Status(const Call&, Recorder&)>& body);

  // The same for a method whose answer may be stored before its outcome is known. As long as `is_provisional` says so of the
  // stored answer, `body` runs although there is one, and is given it; else it is given null.
  template <typename Response>
  grpc::Status RunResumable(grpc::ServerContext& context, const std::string& method,
                            const google::protobuf::Message& request, Response& response,
                            const std::function<bool(const Response&)>& is_provisional,
                            const std::function<absl::Status(const Call&, Recorder&, const Response* begun)>& body) {
    Response begun;
    return Run(
        context, method, request, response,
        [&](const Call& call, Recorder& recorder, bool resumes) {
          if (!resumes) return body(call, recorder, nullptr);
          begun.Swap(&response);
          response.Clear();
          return body(call, recorder, &begun);
        },
        [&] { return is_provisional(response); });
  }

 private:
  struct Attempt;
  using Body = std::function<absl::Status(const Call&, Recorder&, bool resumes)>;

  grpc::Status Run(grpc::ServerContext& context, const std::string& method, const google::protobuf::Message& request,
                   google::protobuf::Message& response, const Body& body, const std::function<bool()>& is_provisional);
  absl::Status RunOnce(const Call& call, Attempt& attempt);
  absl::Status Perform(const Call& call, Attempt& attempt, bool& stored);
  absl::StatusOr<bool> Recall(const Call& call, Attempt& attempt);

  const std::string service_;
  rpc::Calls& calls_;
  db::Database& database_;
  Answers& answers_;
};

}  // namespace crosskey::idempotency
