// The relationships, read from the protos. Nothing else states a referential action, so no two places can disagree.
#pragma once

#include <map>
#include <string>
#include <vector>

#include <google/protobuf/descriptor.h>

#include "absl/status/statusor.h"

namespace crosskey::relation {

// The numbers are stored in the database and cast from and to relation.v1.ReferentialAction.
enum class Action { kRestrict = 1, kCascade = 2, kSetNull = 3 };

// A declared foreign key.
struct Declaration {
  std::string relationship;  // full name of the field, "post.v1.Post.user_id"
  std::string child_type;    // full name of the message with the field, "post.v1.Post"
  std::string column;        // name of the field, "user_id"
  std::string parent_type;   // full name of the message it refers to, "user.v1.User"
  Action on_delete;
  bool has_uid;  // the child's message has a field `uid`
};

// The events that are declared for a type; null: none. relation/v1/relation.proto says which fields each of them has.
struct RowEvents {
  const google::protobuf::Descriptor* created = nullptr;
  const google::protobuf::Descriptor* updated = nullptr;
  const google::protobuf::Descriptor* deleted = nullptr;
  const google::protobuf::Descriptor* reclaimed = nullptr;
};

class Declarations {
 public:
  // Reads the options of relation/v1/relation.proto in these files. INVALID_ARGUMENT, with the names: a foreign key
  // that is not a single int64, an action that is not stated or not known, a type that no linked file declares, an
  // event without a field that its kind must have, two events of one kind for one type.
  static absl::StatusOr<Declarations> Read(const std::vector<const google::protobuf::FileDescriptor*>& files);

  // NOT_FOUND: no such relationship is declared.
  absl::StatusOr<Declaration> Find(const std::string& relationship) const;
  const std::vector<Declaration>& all() const { return declarations_; }
  // The relationships that refer to the type.
  std::vector<Declaration> To(const std::string& parent_type) const;
  // Whether any relationship refers to the type.
  bool IsParent(const std::string& type) const { return !To(type).empty(); }
  RowEvents EventsOf(const std::string& type) const;

 private:
  absl::Status ReadMessage(const google::protobuf::Descriptor& message);
  absl::Status ReadField(const google::protobuf::FieldDescriptor& field);
  absl::Status ReadEvent(const google::protobuf::Descriptor& message);

  std::vector<Declaration> declarations_;
  std::map<std::string, RowEvents> events_;  // by type
};

// The names of tables and columns follow from the name of the type: "user.v1.User" is stored in `users`, referred to by
// `user_id`, shadowed in `user_refs`, and its deletions are recorded in `user_deletions`.
std::string TableOf(const std::string& type);
std::string IdColumnOf(const std::string& type);
std::string ReferenceTableOf(const std::string& type);
std::string DeletionsTableOf(const std::string& type);

// Returns "user.v1" for "user.v1.User" and for "user.v1.User.Part". The types of one package belong to one service, so
// two types are of the same service if their packages are equal.
std::string PackageOf(const std::string& type);

}  // namespace crosskey::relation
