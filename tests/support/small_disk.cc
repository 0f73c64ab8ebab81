#include "tests/support/small_disk.h"

#include <cerrno>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <system_error>

#include <gtest/gtest.h>
#include <sys/mount.h>
#include <unistd.h>

#include "absl/strings/str_cat.h"

namespace crosskey::testing {
namespace {

constexpr char kFolderVariable[] = "TMPDIR";

}  // namespace

SmallDisk::SmallDisk(int mebibytes) {
  folder_ = std::filesystem::temp_directory_path() / "crosskey_disk_XXXXXX";
  if (mkdtemp(folder_.data()) == nullptr) return;
  mounted_ = mount("tmpfs", folder_.c_str(), "tmpfs", 0, absl::StrCat("size=", mebibytes, "m").c_str()) == 0;
  if (!mounted_) return;
  const char* before = std::getenv(kFolderVariable);
  temporary_ = before == nullptr ? "" : before;
  setenv(kFolderVariable, folder_.c_str(), 1);
}

SmallDisk::~SmallDisk() {
  if (mounted_) {
    temporary_.empty() ? unsetenv(kFolderVariable) : setenv(kFolderVariable, temporary_.c_str(), 1);
    EXPECT_EQ(umount2(folder_.c_str(), MNT_DETACH), 0);
  }
  rmdir(folder_.c_str());
}

void SmallDisk::Fill() const {
  std::ofstream file(folder_ + "/filler", std::ios::binary | std::ios::app);
  const std::string page(4096, 'x');
  while (file.write(page.data(), static_cast<std::streamsize>(page.size())) && file.flush()) {
  }
}

void SmallDisk::SetReadOnly(bool read_only) const {
  unsigned long flags = MS_REMOUNT;
  if (read_only) flags |= MS_RDONLY;
  EXPECT_EQ(mount(nullptr, folder_.c_str(), nullptr, flags, nullptr), 0) << std::generic_category().message(errno);
}

void SmallDisk::Empty() const { EXPECT_TRUE(std::filesystem::remove(folder_ + "/filler")); }

}  // namespace crosskey::testing
