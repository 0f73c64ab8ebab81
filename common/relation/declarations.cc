#include "common/relation/declarations.h"

#include <algorithm>

#include "absl/strings/ascii.h"
#include "absl/strings/str_cat.h"
#include "common/relation/row_events.h"
#include "common/status/macros.h"
#include "relation/v1/relation.pb.h"

namespace crosskey::relation {
namespace {

using google::protobuf::Descriptor;
using google::protobuf::FieldDescriptor;
using google::protobuf::FileDescriptor;

std::string ShortName(const std::string& type) { return absl::AsciiStrToLower(type.substr(type.rfind('.') + 1)); }

}  // namespace

std::string TableOf(const std::string& type) { return ShortName(type) + "s"; }
std::string IdColumnOf(const std::string& type) { return ShortName(type) + "_id"; }
std::string ReferenceTableOf(const std::string& type) { return ShortName(type) + "_refs"; }
std::string DeletionsTableOf(const std::string& type) { return ShortName(type) + "_deletions"; }

// Package names are in lower case and message names begin with a capital, so the first capital ends the package.
std::string PackageOf(const std::string& type) {
  size_t dot = type.find('.');
  while (dot != std::string::npos && !absl::ascii_isupper(static_cast<unsigned char>(type[dot + 1]))) {
    dot = type.find('.', dot + 1);
  }
  return type.substr(0, dot);
}

absl::Status Declarations::ReadField(const FieldDescriptor& field) {
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
      declarations_.push_back({name, field.containing_type()->full_name(), field.name(), references.type(),
                               static_cast<Action>(references.on_delete()),
                               field.containing_type()->FindFieldByName("uid") != nullptr});
      return absl::OkStatus();
    default:
      return absl::InvalidArgumentError(name + " declares no known on_delete");
  }
}

absl::Status Declarations::ReadEvent(const Descriptor& message) {
  struct Kind {
    const std::string type;
    const Descriptor* RowEvents::*const place;
    absl::Status (*const check)(const Descriptor&, const std::string& type);
  };
  const auto& options = message.options();
  const Kind kinds[] = {
      {options.GetExtension(::relation::v1::created), &RowEvents::created, CheckCreated},
      {options.GetExtension(::relation::v1::updated), &RowEvents::updated, CheckUpdated},
      {options.GetExtension(::relation::v1::deleted), &RowEvents::deleted, CheckDeleted},
      {options.GetExtension(::relation::v1::reclaimed), &RowEvents::reclaimed, CheckReclaimed},
  };
  for (const Kind& kind : kinds) {
    if (kind.type.empty()) continue;
    if (message.file()->pool()->FindMessageTypeByName(kind.type) == nullptr) {
      return absl::InvalidArgumentError(message.full_name() + " is an event of " + kind.type +
                                        ", which no linked file declares");
    }
    CROSSKEY_RETURN_IF_ERROR(kind.check(message, kind.type));
    const Descriptor*& known = events_[kind.type].*kind.place;
    if (known != nullptr) {
      return absl::InvalidArgumentError(
          absl::StrCat(message.full_name(), " and ", known->full_name(), " are the same event of ", kind.type));
    }
    known = &message;
  }
  return absl::OkStatus();
}

absl::Status Declarations::ReadMessage(const Descriptor& message) {
  CROSSKEY_RETURN_IF_ERROR(ReadEvent(message));
  for (int i = 0; i < message.field_count(); ++i) CROSSKEY_RETURN_IF_ERROR(ReadField(*message.field(i)));
  for (int i = 0; i < message.nested_type_count(); ++i) CROSSKEY_RETURN_IF_ERROR(ReadMessage(*message.nested_type(i)));
  return absl::OkStatus();
}

absl::StatusOr<Declarations> Declarations::Read(const std::vector<const FileDescriptor*>& files) {
  Declarations read;
  for (const FileDescriptor* file : files) {
    for (int i = 0; i < file->message_type_count(); ++i) {
      CROSSKEY_RETURN_IF_ERROR(read.ReadMessage(*file->message_type(i)));
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

RowEvents Declarations::EventsOf(const std::string& type) const {
  const auto found = events_.find(type);
  return found == events_.end() ? RowEvents{} : found->second;
}

}  // namespace crosskey::relation
