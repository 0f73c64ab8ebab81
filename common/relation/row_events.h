// Builds and reads the events of the mechanism by their descriptors. relation/v1/relation.proto lists their fields.
#pragma once

#include <string>
#include <vector>

#include <google/protobuf/descriptor.h>
#include <google/protobuf/message.h>

#include "absl/status/status.h"
#include "common/events/event.h"
#include "common/relation/row.h"

namespace crosskey::relation {

// INVALID_ARGUMENT, with the names: a field that the event must have is missing, or has another type. The functions
// below may be called only for events that have passed this check.
absl::Status CheckCreated(const google::protobuf::Descriptor& event, const std::string& type);
absl::Status CheckUpdated(const google::protobuf::Descriptor& event, const std::string& type);
absl::Status CheckDeleted(const google::protobuf::Descriptor& event, const std::string& type);
absl::Status CheckReclaimed(const google::protobuf::Descriptor& event, const std::string& type);

Row ReadCreated(const google::protobuf::Message& event);

events::Draft MakeUpdated(const google::protobuf::Descriptor& event, const std::string& subject, const Row& row,
                          const std::vector<std::string>& paths);

// Makes one event for all rows or, if the message has no repeated field for them, one event for each row. `deletion_id`
// is 0 if the rows have no deletion record of their own.
std::vector<events::Draft> MakeDeleted(const google::protobuf::Descriptor& event, const std::string& subject,
                                       const std::vector<Row>& rows, DeletionId deletion_id);
struct Deleted {
  std::vector<Row> rows;
  DeletionId deletion_id{};
};
Deleted ReadDeleted(const google::protobuf::Message& event);

events::Draft MakeReclaimed(const google::protobuf::Descriptor& event, const std::string& subject,
                            const std::string& type, const Reclaimed& reclaimed);
Reclaimed ReadReclaimed(const google::protobuf::Message& event, const std::string& type);

// Sets each field of the message that has the option rows_of and whose relationship is in `rows`.
void SetRows(const RowCounts& rows, google::protobuf::Message& message);

}  // namespace crosskey::relation
