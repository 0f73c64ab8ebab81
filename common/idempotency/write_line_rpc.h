// Concurrent calls of one writing method that share a transaction.
#pragma once

#include <functional>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "absl/status/statusor.h"
#include "common/batch/line.h"
#include "common/idempotency/together.h"
#include "common/idempotency/write_rpc.h"
#include "common/rpc/together.h"

namespace crosskey::idempotency {

// The line of a writing method: at most 64 calls share a transaction, and at most 4 such transactions run at a time.
inline batch::LineOptions LineOfWrites(std::string name) { return {std::move(name), 64, 4, batch::kPatience, true}; }

// Calls that come while a transaction runs gather, and the next transaction does the writes of all of them: one commit
// instead of many. Only what is usual is done together. A write that needs more, such as a lookup at the other service,
// a stored answer, a lock that somebody holds, or an error to be told exactly, is done alone by idempotency::Writes, as
// if there were no other. So together is never more than a faster way to the same answer.
//
// Every call keeps its own deadline, cancellation, trace, metrics, error and request_id. If the answer to the COMMIT is
// lost, nobody knows whether it took effect. Then a call with a request_id goes on alone: it finds its answer, or has
// its effect now, which the key of the answer allows once only. A call without one gets UNAVAILABLE
// DATABASE_UNAVAILABLE. After any other error nothing is stored, and each write is done alone. Thread-safe.
template <typename Request, typename Response, typename Write, typename Result>
class WriteLine {
 public:
  struct Method {
    std::string name;
    batch::LineOptions line;
    // The line for writes that are done alone.
    rpc::Waits waits;
    // Checks a request and converts it. Must not wait: gRPC's own threads run it.
    std::function<absl::StatusOr<Write>(const Request&)> read;
    // Does writes together, in one transaction.
    std::function<absl::StatusOr<Outcomes>(const Call&, const std::vector<Share<Write>>&, const RecordAll<Result>&)>
        together;
    // Does one write.
    std::function<absl::Status(const Call&, const Write&, const Record<Result>&)> alone;
    // Makes the answer, in an empty message.
    std::function<void(const Result&, Response&)> answer;
  };

  // `writes` must outlive it.
  WriteLine(Writes& writes, Method method)
      : writes_(writes),
        method_(std::move(method)),
        line_(writes.calls().lines().workers(), method_.line,
              [this](std::vector<Item> items) { Run(std::move(items)); }) {}

  // What the handler returns to gRPC.
  grpc::ServerUnaryReactor* Take(grpc::CallbackServerContext& context, const Request* request, Response* response) {
    return writes_.calls().Take(context, method_.name, *request, [&](rpc::PendingCall* call) {
      call->Changes({request, response});
      absl::StatusOr<Write> write = method_.read(*request);
      if (!write.ok()) return call->End(write.status());
      line_.Add({call, request, response, *std::move(write), std::nullopt});
    });
  }

 private:
  using Key = idempotency::Request;

  struct Item {
    rpc::PendingCall* call;
    const Request* request;
    Response* response;
    Write write;
    std::optional<Key> key;

    absl::Status Waiting() const { return call->Waiting(); }
    void Refuse(const absl::Status& status) { call->End(status); }
  };

  void Run(std::vector<Item> items) {
    rpc::EndThoseThatAreLate(items);
    std::vector<Item> alone = TakeOutTheAnswered(items);
    if (!items.empty()) DoTogether(items, alone);
    for (Item& each : alone) DoAlone(std::move(each));
  }

  // Takes out the calls under whose request_id an answer is stored, or another call in `items` is. If that cannot be
  // found out, takes out all.
  std::vector<Item> TakeOutTheAnswered(std::vector<Item>& items) {
    std::set<std::string> ids;
    std::vector<Item> first, out;
    for (Item& each : items) {
      each.key = writes_.KeyOf(each.call->call(), method_.name, *each.request);
      const bool is_first = !each.key.has_value() || ids.insert(each.key->id).second;
      (is_first ? first : out).push_back(std::move(each));
    }
    items = std::move(first);
    if (ids.empty()) return out;
    const auto answered =
        writes_.answers().FindAny(rpc::CallOfAll(items), std::vector<std::string>(ids.begin(), ids.end()));
    std::vector<Item> left;
    for (Item& each : items) {
      const bool is_answered = answered.ok() && each.key.has_value() && answered->count(each.key->id) > 0;
      // What may not be stored is refused alone.
      const bool has_space = !each.key.has_value() || writes_.answers().CheckSpace(*each.key).ok();
      (is_answered || !answered.ok() || !has_space ? out : left).push_back(std::move(each));
    }
    items = std::move(left);
    return out;
  }

  // Ends the calls that are done or refused, and adds the others to `alone`.
  void DoTogether(std::vector<Item>& items, std::vector<Item>& alone) {
    std::vector<Share<Write>> shares;
    for (const Item& each : items) shares.push_back({&each.call->call(), &each.write});
    bool may_be_stored = false;
    const absl::StatusOr<Outcomes> outcomes = Attempt(items, shares, may_be_stored);
    for (size_t i = 0; i < items.size(); ++i) {
      if (may_be_stored && !items[i].key.has_value()) {
        items[i].call->End(outcomes.status());
      } else if (outcomes.ok() && IsFinal((*outcomes)[i], items[i].key.has_value())) {
        items[i].call->End(*(*outcomes)[i]);
      } else {
        alone.push_back(std::move(items[i]));
      }
    }
  }

  // Sets `may_be_stored` if it returns an error although something may be stored.
  absl::StatusOr<Outcomes> Attempt(const std::vector<Item>& items, const std::vector<Share<Write>>& shares,
                                   bool& may_be_stored) {
    const auto record = [&](db::Tx& tx, const std::vector<std::optional<Result>>& results) -> absl::Status {
      std::vector<Answers::New> answers;
      for (size_t i = 0; i < items.size(); ++i) {
        if (!results[i].has_value()) continue;
        items[i].response->Clear();
        method_.answer(*results[i], *items[i].response);
        if (!items[i].key.has_value()) continue;
        CROSSKEY_ASSIGN_OR_RETURN(std::string form, writes_.answers().Form(tx, *items[i].response, *items[i].request));
        answers.push_back({*items[i].key, std::move(form)});
      }
      return writes_.answers().RecordAll(tx, answers);
    };
    try {
      absl::StatusOr<Outcomes> outcomes = method_.together(rpc::CallOfAll(items), shares, record);
      may_be_stored = MayBeStored(outcomes.status());
      return outcomes;
    } catch (const std::exception&) {
      may_be_stored = true;
      return absl::InternalError("an exception in writes that are done together");
    }
  }

  void DoAlone(Item item) {
    const Request* request = item.request;
    Response* response = item.response;
    writes_.Add(item.call, method_.name, method_.waits, *request, *response,
                [this, response, write = std::move(item.write)](const Call& call, Recorder& recorder) {
                  return method_.alone(call, write, recorder.Of<Result>([this, response](const Result& result) {
                    method_.answer(result, *response);
                  }));
                });
  }

  Writes& writes_;
  const Method method_;
  batch::Line<Item> line_;
};

}  // namespace crosskey::idempotency
