// Calls a method by its name, with messages that are known only when the test runs.
#pragma once

#include <memory>
#include <string>

#include <google/protobuf/message.h>
#include <grpcpp/channel.h>

#include "tests/contract/case.h"

namespace crosskey::contract {

using MessagePtr = std::unique_ptr<google::protobuf::Message>;

// Empty messages of the types of a method, which is named like "user.v1.UserService/GetUser". Null, and the test fails,
// if there is no such method.
MessagePtr NewRequest(const std::string& rpc);
MessagePtr NewResponse(const std::string& rpc);

// What a call answered: one of the two.
struct Answer {
  std::optional<Json> response;
  std::optional<Json> status;  // in the form of ToJson(const grpc::Status&)
};

// Makes the call, with a deadline of a minute. If the method is a stream, the answer is its first message.
Answer CallMethod(const std::shared_ptr<grpc::Channel>& channel, const std::string& rpc, const Json& request);

}  // namespace crosskey::contract
