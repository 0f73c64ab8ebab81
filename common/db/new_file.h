// A file that gets its name only when it is whole.
#pragma once

#include <memory>
#include <string>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "common/status/call.h"

namespace crosskey::db {

// Errors name the path, and say what the system says. A process that is killed leaves PATH.new-XXXXXX.
class NewFile {
 public:
  // Creates an empty file beside `path`, for this user alone.
  static absl::StatusOr<std::unique_ptr<NewFile>> Beside(const std::string& path);
  // Removes the file, and what SQLite has laid beside it, unless it has got its name.
  ~NewFile();
  NewFile(const NewFile&) = delete;
  NewFile& operator=(const NewFile&) = delete;

  // Where it is until it has got its name.
  const std::string& path() const { return path_; }

  // Copies the bytes of a file. CANCELLED: the call is over.
  absl::Status CopyFrom(const Call& call, const std::string& file);
  // Gives it the owner, the group and the mode of a file.
  absl::Status LookLike(const std::string& file);

  // Gives it the name `path`, durably. ALREADY_EXISTS: there is a file of that name.
  absl::Status Publish();
  // The same in place of the file that has the name now. At each moment one of the two has it.
  absl::Status Replace();

 private:
  NewFile(std::string path, std::string temporary) : name_(std::move(path)), path_(std::move(temporary)) {}

  const std::string name_;
  const std::string path_;
};

// Gives the file `path` a second name, durably. ALREADY_EXISTS: that name is taken.
absl::Status AddName(const std::string& path, const std::string& second);

// Makes the names in the folder of a file durable.
absl::Status SyncFolderOf(const std::string& path);

}  // namespace crosskey::db
