#include "common/idempotency/answers.h"

#include <vector>

#include "common/status/limits.h"

namespace crosskey::idempotency {
namespace {

constexpr int kPurgeBatch = 50;  // an answer can have megabytes

const db::Sql kFind{"requests.find", "SELECT fingerprint, answer, time FROM requests WHERE request_id = ?"};
const db::Sql kInsert{"requests.insert",
                      "INSERT INTO requests (request_id, fingerprint, answer, time) VALUES (?, ?, {binary}?, ?)"};
const db::Sql kReplace{"requests.replace", "DELETE FROM requests WHERE request_id = ? AND time = ?"};
const db::Sql kOld{"requests.old", "SELECT request_id FROM requests WHERE time < ? ORDER BY time LIMIT ?"};
const db::Sql kPurge{"requests.purge", "DELETE FROM requests WHERE request_id IN (?) AND time < ?"};

}  // namespace

int64_t Answers::Oldest() const { return absl::ToUnixMicros(now_() - limits::kRequestIdRetention); }

absl::StatusOr<std::optional<Answer>> Answers::Find(const Call& call, const std::string& id) {
  std::optional<Answer> answer;
  CROSSKEY_RETURN_IF_ERROR(database_.Read(call, [&](db::Connection& connection) -> absl::Status {
    answer.reset();
    CROSSKEY_ASSIGN_OR_RETURN(auto row, (connection.QueryOne<std::string, std::string, int64_t>(kFind, id)));
    if (!row.has_value()) return absl::OkStatus();
    auto& [fingerprint, bytes, time] = *row;
    answer = Answer{fingerprint, std::move(bytes), time, time < Oldest()};
    return absl::OkStatus();
  }));
  return answer;
}

absl::StatusOr<int64_t> Answers::Record(db::Tx& tx, const Request& request, const std::string& bytes,
                                        std::optional<int64_t> replaced) {
  const int64_t time = absl::ToUnixMicros(now_());
  // Only the one that was seen: another call may have replaced it since, and that one's answer counts.
  if (replaced.has_value()) CROSSKEY_RETURN_IF_ERROR(tx.Execute(kReplace, request.id, *replaced).status());
  CROSSKEY_RETURN_IF_ERROR(tx.Execute(kInsert, request.id, request.fingerprint, bytes, time).status());
  return time;
}

absl::StatusOr<bool> Answers::Purge(const Call& call) {
  const int64_t oldest = Oldest();
  std::vector<std::string> ids;
  CROSSKEY_RETURN_IF_ERROR(database_.Read(call, [&](db::Connection& connection) -> absl::Status {
    CROSSKEY_ASSIGN_OR_RETURN(const auto rows, connection.Query<std::string>(kOld, oldest, kPurgeBatch));
    ids.clear();
    for (const auto& [id] : rows) ids.push_back(id);
    return absl::OkStatus();
  }));
  if (ids.empty()) return false;
  CROSSKEY_RETURN_IF_ERROR(
      database_.Transact(call, "requests.purge", [&](db::Tx& tx) { return tx.Execute(kPurge, ids, oldest).status(); }));
  return ids.size() == kPurgeBatch;
}

}  // namespace crosskey::idempotency
