// The users' table.
#pragma once

#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "common/events/outbox.h"
#include "user-service/domain/user.h"

namespace crosskey::users {

// Changes within one transaction.
class UserTx {
 public:
  explicit UserTx(events::Tx& tx) : tx_(tx) {}

  // Fills in the id. ALREADY_EXISTS USERNAME_TAKEN.
  absl::Status Insert(User& user);
  // The user, locked against every change until the end of the transaction.
  absl::StatusOr<std::optional<User>> Lock(int64_t id);
  // Stores username, version and update_time, and the pin if it is to change: one that is hidden stays for the reclaim to
  // clear. ALREADY_EXISTS USERNAME_TAKEN or ALREADY_PINNED.
  absl::Status Update(const User& user, bool with_pin);
  void Append(events::Draft event) { tx_.Append(std::move(event)); }

 private:
  events::Tx& tx_;
};

// Thread-safe.
class UserStore {
 public:
  explicit UserStore(events::Outbox& outbox) : outbox_(outbox) {}

  absl::Status Transact(const Call& call, const char* name, const std::function<absl::Status(UserTx&)>& body);
  // Those that exist, by ascending id; at most 1,000 ids.
  absl::StatusOr<std::vector<User>> Get(const Call& call, const std::vector<int64_t>& ids);
  // Users with an id above `after`, by id; only the one with this name, if it is not empty.
  absl::StatusOr<std::vector<User>> List(const Call& call, const std::string& username, int64_t after, int64_t limit);

 private:
  events::Outbox& outbox_;
};

}  // namespace crosskey::users
