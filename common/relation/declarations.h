// The relationships as the protos declare them: the only place where a referential action is stated.
#pragma once

#include <string>
#include <vector>

#include "absl/status/statusor.h"

namespace google::protobuf {
class FileDescriptor;
}

namespace crosskey::relation {

// The stored and compared values; those of relation.v1.ReferentialAction.
enum class Action { kRestrict = 1, kCascade = 2, kSetNull = 3 };

// A declared foreign key.
struct Declaration {
  std::string relationship;  // full name of the field, "post.v1.Post.user_id"
  std::string parent_type;   // full name of the message it refers to, "user.v1.User"
  Action on_delete;
};

class Declarations {
 public:
  // Reads the option relation.v1.references of every field of these files. INVALID_ARGUMENT, with the names: a field
  // that is not an int64, an action that is not stated or not known, a type that no linked file declares.
  static absl::StatusOr<Declarations> Read(const std::vector<const google::protobuf::FileDescriptor*>& files);

  // NOT_FOUND: no such relationship is declared.
  absl::StatusOr<Declaration> Find(const std::string& relationship) const;
  // Those that refer to the type.
  std::vector<Declaration> To(const std::string& parent_type) const;

 private:
  std::vector<Declaration> declarations_;
};

}  // namespace crosskey::relation
