#include "post-service/rpc/included_users.h"

#include "common/rpc/together.h"
#include "common/status/limits.h"

namespace crosskey::posts {
namespace {

constexpr size_t kBatch = 64;
constexpr int kLanes = 2;

}  // namespace

IncludedUsers::IncludedUsers(UserDirectory& directory, batch::Workers& workers)
    : directory_(directory),
      line_(workers, {"included_users", kBatch, kLanes, batch::kPatience, true},
            [this](std::vector<Item> items) { Run(std::move(items)); }) {}

void IncludedUsers::Add(rpc::PendingCall* call, std::set<int64_t> ids, std::function<void(const Users&)> fill) {
  if (ids.empty()) return call->End(absl::OkStatus());
  line_.Add({call, std::move(ids), std::move(fill)});
}

void IncludedUsers::Run(std::vector<Item> items) {
  rpc::EndThoseThatAreLate(items);
  absl::Status failed;
  std::vector<Item> together;
  std::set<int64_t> ids;
  for (Item& item : items) {
    std::set<int64_t> more = ids;
    more.insert(item.ids.begin(), item.ids.end());
    if (more.size() > limits::kBatchIds) {
      Answer(together, ids, failed);
      together.clear();
      more = item.ids;
    }
    ids = std::move(more);
    together.push_back(std::move(item));
  }
  Answer(together, ids, failed);
}

// After one call has `failed`, the others of the batch are not tried: each could wait as long as it did.
void IncludedUsers::Answer(std::vector<Item>& items, const std::set<int64_t>& ids, absl::Status& failed) {
  if (items.empty()) return;
  Users users;
  if (failed.ok()) failed = directory_.Fetch(rpc::CallOfAll(items), ids, users);
  for (Item& item : items) {
    if (failed.ok()) item.fill(users);
    item.call->End(failed);
  }
}

}  // namespace crosskey::posts
