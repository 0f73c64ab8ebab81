// The way of an answer into the transaction of its effect.
#pragma once

#include <functional>
#include <optional>
#include <string>

#include <google/protobuf/message.h>

#include "common/idempotency/answers.h"

namespace crosskey::idempotency {

// Takes the result of a write, in the transaction of its effect and as its last statement: the answer is made of it, and stored
// if the call has a request_id. Called again if the transaction is run again. An error undoes the effect.
template <typename Result>
using Record = std::function<absl::Status(db::Tx&, const Result&)>;

// Of one attempt at a write: completes its answer. What has a transaction is given the recorder, or a Record made from it; an
// answer that nobody has recorded is stored afterwards, before it is sent. For one thread.
class Recorder {
 public:
  // Without a key nothing is stored. `replaced`: the time of a stored answer that does not stand. All must outlive it.
  Recorder(Answers& answers, const std::optional<Request>& key, std::optional<int64_t> replaced,
           google::protobuf::Message& answer)
      : answers_(answers), key_(key), replaced_(replaced), answer_(answer) {}
  Recorder(const Recorder&) = delete;
  Recorder& operator=(const Recorder&) = delete;

  // Stores the answer as it is now.
  absl::Status Store(db::Tx& tx);

  // `fill` makes the answer, which is empty before, of the result.
  template <typename Result>
  Record<Result> Of(std::function<void(const Result&)> fill) {
    return [this, fill = std::move(fill)](db::Tx& tx, const Result& result) {
      answer_.Clear();
      fill(result);
      return Store(tx);
    };
  }

  // Whether a transaction has stored an answer and is known to have been committed.
  bool stored() const { return stored_.has_value(); }
  // After the call: what is stored is not the answer that is to be sent. The next Store replaces it.
  bool IsOutdated();

 private:
  struct Stored {
    std::string bytes;
    int64_t time;
  };

  Answers& answers_;
  const std::optional<Request>& key_;
  std::optional<int64_t> replaced_;
  google::protobuf::Message& answer_;
  std::optional<Stored> stored_;
};

}  // namespace crosskey::idempotency
