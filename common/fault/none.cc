// What the services that are shipped do at a fault point: nothing.
#include "common/fault/fault.h"

namespace crosskey::fault {

absl::Status Hit(const char*) { return absl::OkStatus(); }
absl::Status BeforeCommit(const char*) { return absl::OkStatus(); }
absl::Status AfterCommit(const char*) { return absl::OkStatus(); }

}  // namespace crosskey::fault
