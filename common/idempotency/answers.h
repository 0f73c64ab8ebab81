// The answers to writes that carry a request_id, an idempotency key: a write that is sent again is answered with what it
// was answered at first, and has no second effect. (Idempotency-Key header, draft-ietf-httpapi-idempotency-key-header;
// AIP-155.)
#pragma once

#include <cstdint>
#include <functional>
#include <optional>
#include <string>

#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "common/db/database.h"
#include "common/db/migrations.h"

namespace crosskey::idempotency {

// A request under its key.
struct Request {
  std::string id;           // a UUID in lower case
  std::string fingerprint;  // of everything that was asked: the same for the same request only
};

struct StoredAnswer {
  std::string fingerprint;
  std::string bytes;
  int64_t time = 0;      // microseconds since 1970, when it was stored
  bool expired = false;  // longer ago than limits::kRequestIdRetention: it does not count any more
};

// The table `requests`. Thread-safe.
class Answers {
 public:
  static db::Component Schema();

  Answers(db::Database& database, std::function<absl::Time()> now) : database_(database), now_(std::move(now)) {}

  // What is stored under this id.
  absl::StatusOr<std::optional<StoredAnswer>> Find(const Call& call, const std::string& id);

  // Stores an answer in the transaction of its effect, in place of the one of the time `replaced`. Another one under the
  // same id is a duplicate (db::SqlError::kDuplicate), and undoes the effect with the transaction. Returns its time.
  absl::StatusOr<int64_t> Record(db::Tx& tx, const Request& request, const std::string& bytes,
                                 std::optional<int64_t> replaced);

  // Removes answers that have expired, at most 50. Returns whether there may be more.
  absl::StatusOr<bool> Purge(const Call& call);

 private:
  int64_t Oldest() const;  // what was stored before that has expired

  db::Database& database_;
  const std::function<absl::Time()> now_;
};

}  // namespace crosskey::idempotency
