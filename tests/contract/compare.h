// Compares the answer that came with that of the case.
#pragma once

#include <map>
#include <string>

#include <google/protobuf/message.h>
#include <grpcpp/support/status.h>

#include "tests/contract/case.h"

namespace crosskey::contract {

// Returns the differences, a line each with its path ("posts[0].uid"); empty if there are none. `actual` must have the
// same members as `expected`, and no others. At a path that `matchers` names ([*] for any index, * for any name) both
// values must only be of that kind:
//   uuid, timestamp, etag, id (a positive number in a text), text (not empty), incident (16 hex digits),
//   optional (any text, or nothing)
std::string Differences(const Json& expected, const Json& actual, const std::map<std::string, std::string>& matchers);

// The same for errors. Their descriptions, also those in the metadata of the ErrorInfo, are for people and may change,
// so they must only not be empty. The id of an incident may be any.
std::string StatusDifferences(const Json& expected, const Json& actual);

// The message in the JSON form of protobuf, with the names of the proto file.
Json ToJson(const google::protobuf::Message& message);
// The error as google.rpc.Status, with the name of the code, and its details ordered by type. The message is left out,
// because it is for people and may change. Fails the test if the details are not a google.rpc.Status that says the same
// as the error.
Json ToJson(const grpc::Status& status);
// The error of a case in the same form.
Json Comparable(Json status);

// Fails the test if the JSON is not that of such a message.
void FromJson(const Json& json, google::protobuf::Message* message);
// The error of a case as it is on the wire.
grpc::Status StatusFromJson(const Json& json);

}  // namespace crosskey::contract
