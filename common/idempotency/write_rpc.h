// Methods that change something and take a request_id.
#pragma once

#include <functional>
#include <string>

#include <google/protobuf/message.h>

#include "common/idempotency/answers.h"
#include "common/rpc/calls.h"

namespace crosskey::idempotency {

// Runs the writing methods of one gRPC service. Thread-safe.
class Writes {
 public:
  // All must outlive it. `service` is its full name, part of what a request_id stands for.
  Writes(std::string service, rpc::Calls& calls, db::Database& database, Answers& answers)
      : service_(std::move(service)), calls_(calls), database_(database), answers_(answers) {}

  // rpc::Calls::Unary, once for each request_id (a string field of that name). `body` fills `response` within the
  // transaction of its effect, in which the response is then stored; a response that the body completes later, or without
  // a transaction, is stored before it is sent. Of concurrent calls with one request_id one has an effect, and all get
  // its answer. `body` refuses a request_id that is not a UUID.
  //
  // `is_provisional`: whether the response has been stored before its outcome was known. Then `body` runs although there
  // is a stored response, and finds it in `response`.
  //
  // INVALID_ARGUMENT REQUEST_ID_REUSED, and the errors of `body`.
  grpc::Status Run(grpc::ServerContext& context, const std::string& method, const google::protobuf::Message& request,
                   google::protobuf::Message& response, const std::function<absl::Status(const Call&)>& body,
                   const std::function<bool()>& is_provisional = nullptr);

 private:
  struct Attempt;

  absl::Status RunOnce(const Call& call, Attempt& attempt);
  absl::Status Perform(const Call& call, Attempt& attempt);
  absl::StatusOr<bool> Recall(const Call& call, Attempt& attempt);
  absl::Status Store(db::Tx& tx, Attempt& attempt);

  const std::string service_;
  rpc::Calls& calls_;
  db::Database& database_;
  Answers& answers_;
};

}  // namespace crosskey::idempotency
