// Which fields an update changes (AIP-134, AIP-161).
#pragma once

#include <set>
#include <string>

#include <google/protobuf/field_mask.pb.h>
#include <google/protobuf/message.h>

#include "common/rpc/field_errors.h"

namespace crosskey::rpc {

// Returns the names of the fields to change, all of them from `mutable_fields`. Without a mask (nullptr) or without
// paths in it these are the fields that are populated in `resource`. The path "*" stands for all of `mutable_fields`. A
// path that is unknown or output only is added to `errors`.
std::set<std::string> FieldsToUpdate(const google::protobuf::FieldMask* mask, const google::protobuf::Message& resource,
                                     const std::set<std::string>& mutable_fields, FieldErrors& errors);

}  // namespace crosskey::rpc
