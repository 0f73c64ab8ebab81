#include "post-service/rpc/included_users.h"

#include "common/rpc/together.h"

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
  const auto ask = [this](const Call& call, const std::set<int64_t>& ids) { return directory_.Fetch(call, ids); };
  rpc::AskTogether<int64_t>(std::move(items), ask, [](Item& item, const absl::StatusOr<Users>& users) {
    if (users.ok()) item.fill(*users);
    item.call->End(users.status());
  });
}

}  // namespace crosskey::posts
