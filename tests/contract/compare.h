// Whether an answer is the one of the case.
#pragma once

#include <map>
#include <string>

#include <google/protobuf/message.h>
#include <grpcpp/support/status.h>

#include "tests/contract/case.h"

namespace crosskey::contract {

// Empty if `actual` is as `expected`, member by member, and no member is left; else the first differences, each with its
// path ("posts[0].uid"). At a path that `matchers` names ([*] for any index, * for any name) both must only be of that kind:
//   uuid, timestamp, etag, id (a positive number in a text), text (not empty), incident (16 hex digits),
//   optional (any text, or nothing)
std::string Differences(const Json& expected, const Json& actual, const std::map<std::string, std::string>& matchers);

// The same of errors, whose descriptions, as those of the ErrorInfo's metadata, are for people and may change.
std::string StatusDifferences(const Json& expected, const Json& actual);

// In the JSON form of protobuf, with the names of the proto file.
Json ToJson(const google::protobuf::Message& message);
// An error as google.rpc.Status, with the name of the code, its details ordered by type, and without the message, which is
// for people and may change. Fails the test if the details are not a google.rpc.Status that says the same as the error.
Json ToJson(const grpc::Status& status);
// The error of a case in the same form.
Json Comparable(Json status);

// Fails the test if it is no such message.
void FromJson(const Json& json, google::protobuf::Message* message);
// The error of a case as it is on the wire.
grpc::Status StatusFromJson(const Json& json);

}  // namespace crosskey::contract
