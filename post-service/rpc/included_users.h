// Adds the users that answers are to include.
#pragma once

#include <functional>
#include <set>
#include <vector>

#include "common/batch/line.h"
#include "common/rpc/pending_call.h"
#include "post-service/peers/user_directory.h"

namespace crosskey::posts {

// Answers that wait for users at the same time share one call to user-service, so no thread waits for the users of one
// answer alone. Thread-safe.
class IncludedUsers {
 public:
  using Users = UserDirectory::Users;

  // `directory` and `workers` must outlive it.
  IncludedUsers(UserDirectory& directory, batch::Workers& workers);

  // Reads the users, at most 1,000, hands those that exist to `fill`, and ends the call. UNAVAILABLE PEER_UNAVAILABLE.
  void Add(rpc::PendingCall* call, std::set<int64_t> ids, std::function<void(const Users&)> fill);

  // The same for the users of posts or likes, which become the `users` of the response.
  template <typename Response, typename Messages>
  void AddTo(rpc::PendingCall* call, Response* response, const Messages& messages) {
    std::set<int64_t> ids;
    for (const auto& message : messages) ids.insert(message.user_id());
    Add(call, ids, [response, ids](const Users& all) {
      for (const int64_t id : ids) {
        const auto user = all.find(id);
        if (user != all.end()) (*response->mutable_users())[id] = user->second;
      }
    });
  }

 private:
  struct Item {
    rpc::PendingCall* call;
    std::set<int64_t> ids;
    std::function<void(const Users&)> fill;

    const Call& Asker() const { return call->call(); }
    const std::set<int64_t>& Ids() const { return ids; }
    absl::Status Waiting() const { return call->Waiting(); }
    void Refuse(const absl::Status& status) { call->End(status); }
  };

  void Run(std::vector<Item> items);

  UserDirectory& directory_;
  batch::Line<Item> line_;
};

}  // namespace crosskey::posts
