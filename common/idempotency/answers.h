// Stores the answers to writes that carry a request_id, an idempotency key. A write that is sent again gets its first
// answer again, and has no second effect. (Idempotency-Key header, draft-ietf-httpapi-idempotency-key-header; AIP-155.)
#pragma once

#include <atomic>
#include <cstdint>
#include <functional>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include <google/protobuf/message.h>

#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "common/db/database.h"
#include "common/db/migrations.h"
#include "common/idempotency/answer_space.h"

namespace crosskey::idempotency {

// What identifies a request.
struct Request {
  std::string id;               // a UUID in lower case, of this principal alone
  std::string fingerprint;      // a hash of everything that was asked: only equal requests have the same one
  std::string principal = {};   // of the caller; empty: nobody was asked who it is
  std::string request_id = {};  // as the caller has sent it, in lower case
};

struct StoredAnswer {
  std::string fingerprint;
  std::string bytes;     // FillIn (left_out.h) makes the answer of them
  int64_t time = 0;      // microseconds since 1970, when it was stored
  bool expired = false;  // older than limits::kRequestIdRetention, so it does not count any more
};

// The table `requests`. Thread-safe.
class Answers {
 public:
  static db::Component Schema();

  // `space`: how many bytes this process may store within limits::kRequestIdRetention, see AnswerSpace.
  Answers(db::Database& database, std::function<absl::Time()> now, int64_t space)
      : database_(database), now_(std::move(now)), space_(space) {}

  // RESOURCE_EXHAUSTED OVERLOADED: too many answers are stored already to store the one to this request. To be asked
  // before the effect.
  absl::Status CheckSpace(const Request& request) { return space_.Check(request.principal, now_()); }

  // The answer that is stored under this id, expired or not; nullopt: none.
  absl::StatusOr<std::optional<StoredAnswer>> Find(const Call& call, const std::string& id);

  // The bytes by which to store the answer to `asked` in this transaction: the short form (left_out.h), or the whole
  // answer as long as a process of a release that does not know that form may have to read it.
  absl::StatusOr<std::string> Form(db::Tx& tx, const google::protobuf::Message& answer,
                                   const google::protobuf::Message& asked);

  // Stores an answer in the transaction of its effect, and returns the time that it is stored with. `replaced` is the
  // time of an earlier answer under the same id, which is removed first; nullopt: there is none. If any other answer is
  // stored under the id, the error is db::SqlError::kDuplicate; it undoes the transaction, and with it the effect.
  absl::StatusOr<int64_t> Record(db::Tx& tx, const Request& request, const std::string& bytes,
                                 std::optional<int64_t> replaced);

  // Which of these ids an answer is stored under, expired or not. At most 1,000.
  absl::StatusOr<std::set<std::string>> FindAny(const Call& call, const std::vector<std::string>& ids);

  struct New {
    Request request;
    std::string bytes;
  };
  // Stores answers in the transaction of their effects. If any answer is stored under one of the ids, the error is
  // db::SqlError::kDuplicate.
  absl::Status RecordAll(db::Tx& tx, const std::vector<New>& answers);

  // Removes answers that have expired, at most 50. Returns whether there may be more.
  absl::StatusOr<bool> Purge(const Call& call);

 private:
  void CountOnCommit(db::Tx& tx, const Request& request, const std::string& bytes);
  int64_t Oldest() const;  // microseconds since 1970; what was stored before has expired

  db::Database& database_;
  const std::function<absl::Time()> now_;
  AnswerSpace space_;
  std::atomic<bool> may_leave_out_ = false;
};

}  // namespace crosskey::idempotency
