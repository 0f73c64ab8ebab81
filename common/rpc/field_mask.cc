#include "common/rpc/field_mask.h"

#include "absl/strings/str_cat.h"

namespace crosskey::rpc {
namespace {

constexpr size_t kMaxPathBytes = 60;  // an error repeats at most this much of an unknown path

}  // namespace

std::set<std::string> FieldsToUpdate(const google::protobuf::FieldMask* mask, const google::protobuf::Message& resource,
                                     const std::set<std::string>& mutable_fields, FieldErrors& errors) {
  std::set<std::string> fields;
  if (mask == nullptr || mask->paths_size() == 0) {
    for (const std::string& name : mutable_fields) {
      const auto* field = resource.GetDescriptor()->FindFieldByName(name);
      if (field != nullptr && resource.GetReflection()->HasField(resource, field)) fields.insert(name);
    }
    return fields;
  }
  for (int i = 0; i < mask->paths_size(); ++i) {
    const std::string& path = mask->paths(i);
    if (path == "*") {
      fields.insert(mutable_fields.begin(), mutable_fields.end());
    } else if (mutable_fields.count(path) > 0) {
      fields.insert(path);
    } else {
      const bool known = resource.GetDescriptor()->FindFieldByName(path) != nullptr;
      errors.Add(absl::StrCat("update_mask.paths[", i, "]"),
                 known ? absl::StrCat("\"", path, "\" is output only")
                       : absl::StrCat("\"", errors::Shortened(path, kMaxPathBytes), "\" is not a field of ",
                                      resource.GetTypeName()));
    }
  }
  return fields;
}

}  // namespace crosskey::rpc
