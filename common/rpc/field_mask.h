// Which fields an update changes (AIP-134, AIP-161).
#pragma once

#include <set>
#include <string>

#include <google/protobuf/field_mask.pb.h>
#include <google/protobuf/message.h>

#include "common/rpc/field_errors.h"

namespace crosskey::rpc {

// The fields of `resource` to change, all from `mutable_fields`. Without a mask (nullptr) or without paths in it: those that are populated.
// With "*": all of them. A path that is unknown or output only is added to `errors`.
std::set<std::string> FieldsToUpdate(const google::protobuf::FieldMask* mask, const google::protobuf::Message& resource,
                                     const std::set<std::string>& mutable_fields, FieldErrors& errors);

}  // namespace crosskey::rpc
