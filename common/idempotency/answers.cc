#include "common/idempotency/answers.h"

#include <vector>

#include "common/idempotency/left_out.h"
#include "common/status/limits.h"

namespace crosskey::idempotency {
namespace {

constexpr int kPurgeBatch = 50;  // few, because one answer can have megabytes

const db::Sql kFind{"requests.find", "SELECT fingerprint, answer, time FROM requests WHERE request_id = ?"};
const db::Sql kFindAny{"requests.find_any", "SELECT request_id FROM requests WHERE request_id IN (?)"};
const db::Sql kInsert{"requests.insert",
                      "INSERT INTO requests (request_id, fingerprint, answer, time) VALUES (?, ?, {binary}?, ?)"};
const db::Sql kReplace{"requests.replace", "DELETE FROM requests WHERE request_id = ? AND time = ?"};
const db::Sql kBeforeLeftOut{"requests.before_left_out",
                             "SELECT time FROM requests WHERE time < (SELECT apply_time FROM schema_components "
                             "WHERE component = 'idempotency' AND number = 2) ORDER BY time LIMIT 1"};
const db::Sql kOld{"requests.old", "SELECT request_id FROM requests WHERE time < ? ORDER BY time LIMIT ?"};
const db::Sql kPurge{"requests.purge", "DELETE FROM requests WHERE request_id IN (?) AND time < ?"};

}  // namespace

int64_t Answers::Oldest() const { return absl::ToUnixMicros(now_() - limits::kRequestIdRetention); }

db::Component Answers::Schema() {
  return {"idempotency",
          {{1, "0001_initial", R"(
-- The first OK answer to each request_id, and what was asked (a SHA-256). time: microseconds since 1970.
CREATE TABLE IF NOT EXISTS requests (
  request_id {uuid} NOT NULL PRIMARY KEY,
  fingerprint {ascii 64} NOT NULL,
  answer {blob} NOT NULL,
  time BIGINT NOT NULL,
  {index requests_by_time (time)}
) {table};
)"},
           {2, "0002_left_out", R"(
-- Says when the first release came that leaves out of an answer what its request says too.
)"}}};
}

absl::StatusOr<std::optional<StoredAnswer>> Answers::Find(const Call& call, const std::string& id) {
  return database_.Read(call, [&](db::Connection& connection) -> absl::StatusOr<std::optional<StoredAnswer>> {
    CROSSKEY_ASSIGN_OR_RETURN(auto row, (connection.QueryOne<std::string, std::string, int64_t>(kFind, id)));
    if (!row.has_value()) return std::nullopt;
    auto& [fingerprint, bytes, time] = *row;
    return StoredAnswer{std::move(fingerprint), std::move(bytes), time, time < Oldest()};
  });
}

absl::StatusOr<std::set<std::string>> Answers::FindAny(const Call& call, const std::vector<std::string>& ids) {
  CROSSKEY_ASSIGN_OR_RETURN(const auto rows, database_.Read(call, [&](db::Connection& connection) {
    return connection.Query<std::string>(kFindAny, ids);
  }));
  std::set<std::string> found;
  for (const auto& [id] : rows) found.insert(id);
  return found;
}

// Once no answer is left from before this release's `migrate`, the release before has not been in use for a day.
absl::StatusOr<std::string> Answers::Form(db::Tx& tx, const google::protobuf::Message& answer,
                                          const google::protobuf::Message& asked) {
  std::optional<std::string> left_out = LeaveOut(answer, asked);
  if (!left_out.has_value()) return answer.SerializeAsString();
  if (!may_leave_out_) {
    CROSSKEY_ASSIGN_OR_RETURN(const auto before, tx.QueryOne<int64_t>(kBeforeLeftOut));
    if (before.has_value()) return answer.SerializeAsString();
    may_leave_out_ = true;
  }
  return *std::move(left_out);
}

void Answers::CountOnCommit(db::Tx& tx, const Request& request, const std::string& bytes) {
  tx.OnCommit([this, principal = request.principal, size = bytes.size()] { space_.Add(principal, size, now_()); });
}

absl::Status Answers::RecordAll(db::Tx& tx, const std::vector<New>& answers) {
  if (answers.empty()) return absl::OkStatus();
  const int64_t time = absl::ToUnixMicros(now_());
  std::vector<std::vector<db::Argument>> rows;
  rows.reserve(answers.size());
  for (const New& answer : answers) {
    rows.push_back({answer.request.id, answer.request.fingerprint, answer.bytes, time});
    CountOnCommit(tx, answer.request, answer.bytes);
  }
  return tx.ExecuteRows(kInsert, rows).status();
}

absl::StatusOr<int64_t> Answers::Record(db::Tx& tx, const Request& request, const std::string& bytes,
                                        std::optional<int64_t> replaced) {
  const int64_t time = absl::ToUnixMicros(now_());
  // Removes only the answer that this call has seen. If another call has replaced it since, the answer of that call
  // counts, and the insert fails as a duplicate.
  if (replaced.has_value()) CROSSKEY_RETURN_IF_ERROR(tx.Execute(kReplace, request.id, *replaced).status());
  CROSSKEY_RETURN_IF_ERROR(tx.Execute(kInsert, request.id, request.fingerprint, bytes, time).status());
  CountOnCommit(tx, request, bytes);
  return time;
}

absl::StatusOr<bool> Answers::Purge(const Call& call) {
  const int64_t oldest = Oldest();
  CROSSKEY_ASSIGN_OR_RETURN(const auto rows, database_.Read(call, [&](db::Connection& connection) {
    return connection.Query<std::string>(kOld, oldest, kPurgeBatch);
  }));
  if (rows.empty()) return false;
  std::vector<std::string> ids;
  for (const auto& [id] : rows) ids.push_back(id);
  CROSSKEY_RETURN_IF_ERROR(
      database_.Transact(call, "requests.purge", [&](db::Tx& tx) { return tx.Execute(kPurge, ids, oldest).status(); }));
  return ids.size() == kPurgeBatch;
}

}  // namespace crosskey::idempotency
