// A disk that a test may fill, or make read-only.
#pragma once

#include <string>

namespace crosskey::testing {

// A file system in memory, of that size, in which all databases are made as long as this object lives. They must be
// gone before it. Only root can mount it, and not everywhere.
class SmallDisk {
 public:
  explicit SmallDisk(int mebibytes);
  ~SmallDisk();
  SmallDisk(const SmallDisk&) = delete;
  SmallDisk& operator=(const SmallDisk&) = delete;

  bool is_mounted() const { return mounted_; }

  // Takes all the room that is left, and gives it back.
  void Fill() const;
  void Empty() const;

  // Makes it read-only, and writable again. While a process has a file open for writing it cannot become read-only.
  void SetReadOnly(bool read_only) const;

 private:
  std::string folder_;
  std::string temporary_;  // what TMPDIR was before
  bool mounted_ = false;
};

}  // namespace crosskey::testing
