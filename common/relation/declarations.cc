#include "common/relation/declarations.h"

#include <google/protobuf/descriptor.h>

#include "common/status/macros.h"
#include "relation/v1/relation.pb.h"

namespace crosskey::relation {
namespace {

using google::protobuf::Descriptor;
using google::protobuf::FieldDescriptor;
using google::protobuf::FileDescriptor;

absl::Status ReadField(const FieldDescriptor& field, std::vector<Declaration>& out) {
  if (!field.options().HasExtension(::relation::v1::references)) return absl::OkStatus();
  const auto& references = field.options().GetExtension(::relation::v1::references);
  const std::string& name = field.full_name();
  if (field.type() != FieldDescriptor::TYPE_INT64 || field.is_repeated()) {
    return absl::InvalidArgumentError(name + " refers to a row, but is not an int64");
  }
  if (field.file()->pool()->FindMessageTypeByName(references.type()) == nullptr) {
    return absl::InvalidArgumentError(name + " refers to " + references.type() + ", which no linked file declares");
  }
  switch (references.on_delete()) {
    case ::relation::v1::REFERENTIAL_ACTION_RESTRICT:
    case ::relation::v1::REFERENTIAL_ACTION_CASCADE:
    case ::relation::v1::REFERENTIAL_ACTION_SET_NULL:
      out.push_back({name, references.type(), static_cast<Action>(references.on_delete())});
      return absl::OkStatus();
    default:
      return absl::InvalidArgumentError(name + " declares no known on_delete");
  }
}

absl::Status ReadMessage(const Descriptor& message, std::vector<Declaration>& out) {
  for (int i = 0; i < message.field_count(); ++i) CROSSKEY_RETURN_IF_ERROR(ReadField(*message.field(i), out));
  for (int i = 0; i < message.nested_type_count(); ++i) {
    CROSSKEY_RETURN_IF_ERROR(ReadMessage(*message.nested_type(i), out));
  }
  return absl::OkStatus();
}

}  // namespace

absl::StatusOr<Declarations> Declarations::Read(const std::vector<const FileDescriptor*>& files) {
  Declarations read;
  for (const FileDescriptor* file : files) {
    for (int i = 0; i < file->message_type_count(); ++i) {
      CROSSKEY_RETURN_IF_ERROR(ReadMessage(*file->message_type(i), read.declarations_));
    }
  }
  return read;
}

absl::StatusOr<Declaration> Declarations::Find(const std::string& relationship) const {
  for (const Declaration& declaration : declarations_) {
    if (declaration.relationship == relationship) return declaration;
  }
  return absl::NotFoundError("no relationship " + relationship + " is declared");
}

std::vector<Declaration> Declarations::To(const std::string& parent_type) const {
  std::vector<Declaration> found;
  for (const Declaration& declaration : declarations_) {
    if (declaration.parent_type == parent_type) found.push_back(declaration);
  }
  return found;
}

}  // namespace crosskey::relation
