// Carries an answer into the transaction of its effect.
#pragma once

#include <functional>
#include <optional>
#include <string>

#include <google/protobuf/message.h>

#include "common/idempotency/answers.h"

namespace crosskey::idempotency {

// A write calls it with its result, as the last statement of the transaction of its effect. It makes the answer from
// the result, and stores it if the call has a request_id. A transaction that is run again calls it again. Its error
// must be returned by the transaction, which undoes the effect.
template <typename Result>
using Record = std::function<absl::Status(db::Tx&, const Result&)>;

// Completes and stores the answer of one attempt at a write. The code that runs the transaction is given the recorder,
// or a Record made from it. If it has not stored the answer, Writes does so afterwards, before the answer is sent. For
// one thread.
class Recorder {
 public:
  // Without a key nothing is stored. `replaced` is the time of a stored answer that the new one replaces, because it
  // has expired or is provisional. `answer` is the one to the request `asked`. All but `replaced` must outlive the
  // recorder.
  Recorder(Answers& answers, const std::optional<Request>& key, std::optional<int64_t> replaced,
           const google::protobuf::Message& asked, google::protobuf::Message& answer)
      : answers_(answers), key_(key), replaced_(replaced), asked_(asked), answer_(answer) {}
  Recorder(const Recorder&) = delete;
  Recorder& operator=(const Recorder&) = delete;

  // Stores the answer as it is now.
  absl::Status Store(db::Tx& tx);

  // Makes a Record that empties the answer, lets `fill` make it from the result, and stores it.
  template <typename Result>
  Record<Result> Of(std::function<void(const Result&)> fill) {
    return [this, fill = std::move(fill)](db::Tx& tx, const Result& result) {
      answer_.Clear();
      fill(result);
      return Store(tx);
    };
  }

  // True if a transaction has stored an answer and is known to have committed.
  bool stored() const { return stored_.has_value(); }
  // To be asked after the write: true if there is a key and the answer that is to be sent is not the stored one. The
  // next Store then replaces what is stored.
  bool IsOutdated();

 private:
  struct Stored {
    std::string answer;  // whole, serialized
    int64_t time;
  };

  Answers& answers_;
  const std::optional<Request>& key_;
  std::optional<int64_t> replaced_;
  const google::protobuf::Message& asked_;
  google::protobuf::Message& answer_;
  std::optional<Stored> stored_;
};

}  // namespace crosskey::idempotency
