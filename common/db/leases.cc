#include "common/db/leases.h"

namespace crosskey::db {
namespace {

// No lease ends later than one term from now, unless the database's clock has been set back since it was taken. The
// last value is two terms: a lease that ends even later may be taken.
const Sql kHold{
    "leases.hold",
    "UPDATE leases SET holder = ?, expires_at = {now_us} + ? WHERE name = ? AND (holder = ? OR expires_at < "
    "{now_us} OR expires_at > {now_us} + ?)"};
const Sql kRelease{"leases.release", "UPDATE leases SET holder = '', expires_at = 0 WHERE name IN (?) AND holder = ?"};

const Sql kAdd{"leases.add", "INSERT INTO leases (name, holder, expires_at) VALUES (?, '', 0) {keep_named}"};

}  // namespace

Component Leases::Schema() {
  return {"leases", {{1, "0001_initial", R"(
-- Which process does a piece of background work, and until when (microseconds of the database's clock).
CREATE TABLE IF NOT EXISTS leases (
  name {ascii 40} NOT NULL PRIMARY KEY,
  holder {bytes 400} NOT NULL,
  expires_at BIGINT NOT NULL
) {table};
)"}}};
}

absl::Status Leases::Add(const Call& call, const std::vector<std::string>& names) {
  if (names.empty()) return absl::OkStatus();
  std::vector<std::vector<Argument>> rows;
  for (const std::string& name : names) rows.push_back({name});
  return database_.Transact(call, "lease", [&](Tx& tx) { return tx.ExecuteRows(kAdd, rows).status(); });
}

absl::StatusOr<bool> Leases::Hold(const Call& call, const std::string& name) {
  const Clock::time_point now = Clock::now();
  {
    std::lock_guard lock(mutex_);
    const auto held = held_since_.find(name);
    if (held != held_since_.end() && now - held->second < absl::ToChronoNanoseconds(renewal_)) return true;
  }
  CROSSKEY_ASSIGN_OR_RETURN(const bool holds, database_.Transact(call, "lease", [&](Tx& tx) -> absl::StatusOr<bool> {
    CROSSKEY_ASSIGN_OR_RETURN(const int64_t changed, tx.Execute(kHold, holder_, absl::ToInt64Microseconds(term_), name,
                                                                holder_, absl::ToInt64Microseconds(2 * term_)));
    return changed == 1;
  }));
  std::lock_guard lock(mutex_);
  held_since_.erase(name);
  if (holds) held_since_[name] = now;
  return holds;
}

absl::Status Leases::ReleaseAll(const Call& call) {
  std::vector<std::string> names;
  {
    std::lock_guard lock(mutex_);
    for (const auto& [name, since] : held_since_) names.push_back(name);
  }
  return names.empty() ? absl::OkStatus() : Give(call, names);
}

absl::Status Leases::Give(const Call& call, const std::vector<std::string>& names) {
  {
    std::lock_guard lock(mutex_);
    for (const std::string& name : names) held_since_.erase(name);
  }
  return database_.Transact(call, "lease", [&](Tx& tx) { return tx.Execute(kRelease, names, holder_).status(); });
}

}  // namespace crosskey::db
