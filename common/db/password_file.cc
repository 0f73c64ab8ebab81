#include "common/db/password_file.h"

#include "absl/strings/str_cat.h"
#include "common/files/read_file.h"
#include "common/status/limits.h"

namespace crosskey::db {
namespace {

absl::Status Bad(absl::string_view why) { return absl::UnavailableError(absl::StrCat("the password file ", why)); }

}  // namespace

absl::StatusOr<std::string> ReadPasswordFile(const std::string& path) {
  absl::StatusOr<std::string> text = files::ReadFile(path, limits::kPasswordFileBytes);
  if (!text.ok()) return Bad(text.status().message());
  while (!text->empty() && (text->back() == '\n' || text->back() == '\r')) text->pop_back();
  if (text->empty()) return Bad(path + ": is empty");
  return text;
}

}  // namespace crosskey::db
