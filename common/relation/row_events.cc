#include "common/relation/row_events.h"

#include <memory>

#include "common/relation/declarations.h"
#include "common/status/macros.h"
#include "relation/v1/relation.pb.h"

namespace crosskey::relation {
namespace {

using google::protobuf::Descriptor;
using google::protobuf::FieldDescriptor;
using google::protobuf::Message;

absl::Status CheckField(const Descriptor& event, const std::string& name, FieldDescriptor::Type type,
                        bool repeated = false) {
  const FieldDescriptor* field = event.FindFieldByName(name);
  if (field != nullptr && field->type() == type && field->is_repeated() == repeated) return absl::OkStatus();
  return absl::InvalidArgumentError(event.full_name() + " needs a field " + name + " of type " +
                                    (repeated ? "repeated " : "") + FieldDescriptor::TypeName(type));
}

absl::Status CheckRow(const Descriptor& event) {
  CROSSKEY_RETURN_IF_ERROR(CheckField(event, "id", FieldDescriptor::TYPE_INT64));
  return CheckField(event, "uid", FieldDescriptor::TYPE_STRING);
}

// Returns the repeated field that holds the rows; null if an event of this type is about one row.
const FieldDescriptor* ManyRows(const Descriptor& event) {
  for (int i = 0; i < event.field_count(); ++i) {
    const FieldDescriptor* field = event.field(i);
    if (field->is_repeated() && field->type() == FieldDescriptor::TYPE_MESSAGE) return field;
  }
  return nullptr;
}

std::unique_ptr<Message> New(const Descriptor& event) {
  return std::unique_ptr<Message>(google::protobuf::MessageFactory::generated_factory()->GetPrototype(&event)->New());
}

int64_t GetInt(const Message& message, const std::string& field) {
  const FieldDescriptor* descriptor = message.GetDescriptor()->FindFieldByName(field);
  return descriptor == nullptr ? 0 : message.GetReflection()->GetInt64(message, descriptor);
}

void SetInt(Message& message, const std::string& field, int64_t value) {
  const FieldDescriptor* descriptor = message.GetDescriptor()->FindFieldByName(field);
  if (descriptor != nullptr) message.GetReflection()->SetInt64(&message, descriptor, value);
}

void SetRow(Message& message, const std::string& id_field, const Row& row) {
  SetInt(message, id_field, Value(row.id));
  message.GetReflection()->SetString(&message, message.GetDescriptor()->FindFieldByName("uid"), row.uid);
}

Row GetRow(const Message& message, const std::string& id_field) {
  return {RowId{GetInt(message, id_field)},
          message.GetReflection()->GetString(message, message.GetDescriptor()->FindFieldByName("uid"))};
}

// Calls visit(field, relationship) for each field with the option rows_of.
template <typename Visit>
void ForEachCount(const Descriptor& message, const Visit& visit) {
  for (int i = 0; i < message.field_count(); ++i) {
    const FieldDescriptor* field = message.field(i);
    const std::string& relationship = field->options().GetExtension(::relation::v1::rows_of);
    if (!relationship.empty()) visit(field, relationship);
  }
}

}  // namespace

absl::Status CheckCreated(const Descriptor& event, const std::string&) { return CheckRow(event); }

absl::Status CheckUpdated(const Descriptor& event, const std::string&) {
  CROSSKEY_RETURN_IF_ERROR(CheckRow(event));
  return CheckField(event, "paths", FieldDescriptor::TYPE_STRING, true);
}

absl::Status CheckDeleted(const Descriptor& event, const std::string&) {
  const FieldDescriptor* many = ManyRows(event);
  return CheckRow(many == nullptr ? event : *many->message_type());
}

absl::Status CheckReclaimed(const Descriptor& event, const std::string& type) {
  CROSSKEY_RETURN_IF_ERROR(CheckField(event, "deletion_id", FieldDescriptor::TYPE_INT64));
  CROSSKEY_RETURN_IF_ERROR(CheckField(event, IdColumnOf(type), FieldDescriptor::TYPE_INT64));
  CROSSKEY_RETURN_IF_ERROR(CheckField(event, "uid", FieldDescriptor::TYPE_STRING));
  absl::Status status;
  ForEachCount(event, [&](const FieldDescriptor* field, const std::string&) {
    status.Update(CheckField(event, field->name(), FieldDescriptor::TYPE_INT64));
  });
  return status;
}

Row ReadCreated(const Message& event) { return GetRow(event, "id"); }

events::Draft MakeUpdated(const Descriptor& event, const std::string& subject, const Row& row,
                          const std::vector<std::string>& paths) {
  const auto message = New(event);
  SetRow(*message, "id", row);
  const FieldDescriptor* field = event.FindFieldByName("paths");
  for (const std::string& path : paths) message->GetReflection()->AddString(message.get(), field, path);
  return events::DraftOf(subject, *message);
}

std::vector<events::Draft> MakeDeleted(const Descriptor& event, const std::string& subject,
                                       const std::vector<Row>& rows, DeletionId deletion_id) {
  const auto message = New(event);
  SetInt(*message, "deletion_id", Value(deletion_id));
  std::vector<events::Draft> drafts;
  const FieldDescriptor* many = ManyRows(event);
  for (const Row& row : rows) {
    if (many != nullptr) {
      SetRow(*message->GetReflection()->AddMessage(message.get(), many), "id", row);
    } else {
      SetRow(*message, "id", row);
      drafts.push_back(events::DraftOf(subject, *message));
    }
  }
  if (many != nullptr) drafts.push_back(events::DraftOf(subject, *message));
  return drafts;
}

Deleted ReadDeleted(const Message& event) {
  Deleted deleted{{}, DeletionId{GetInt(event, "deletion_id")}};
  const FieldDescriptor* many = ManyRows(*event.GetDescriptor());
  if (many == nullptr) {
    deleted.rows.push_back(GetRow(event, "id"));
    return deleted;
  }
  for (int i = 0; i < event.GetReflection()->FieldSize(event, many); ++i) {
    deleted.rows.push_back(GetRow(event.GetReflection()->GetRepeatedMessage(event, many, i), "id"));
  }
  return deleted;
}

events::Draft MakeReclaimed(const Descriptor& event, const std::string& subject, const std::string& type,
                            const Reclaimed& reclaimed) {
  const auto message = New(event);
  SetInt(*message, "deletion_id", Value(reclaimed.deletion_id));
  SetRow(*message, IdColumnOf(type), reclaimed.parent);
  SetRows(reclaimed.rows, *message);
  return events::DraftOf(subject, *message);
}

Reclaimed ReadReclaimed(const Message& event, const std::string& type) {
  Reclaimed reclaimed{DeletionId{GetInt(event, "deletion_id")}, GetRow(event, IdColumnOf(type)), {}};
  ForEachCount(*event.GetDescriptor(), [&](const FieldDescriptor* field, const std::string& relationship) {
    reclaimed.rows[relationship] = event.GetReflection()->GetInt64(event, field);
  });
  return reclaimed;
}

void SetRows(const RowCounts& rows, Message& message) {
  ForEachCount(*message.GetDescriptor(), [&](const FieldDescriptor* field, const std::string& relationship) {
    const auto found = rows.find(relationship);
    if (found != rows.end()) message.GetReflection()->SetInt64(&message, field, found->second);
  });
}

}  // namespace crosskey::relation
