// Calls that are done together.
#pragma once

#include <algorithm>
#include <set>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "common/rpc/pending_call.h"
#include "common/status/limits.h"

namespace crosskey::rpc {

// A call with its messages, as an item of a batch::Line.
template <typename Request, typename Response>
struct Asked {
  PendingCall* call;
  const Request* request;
  Response* response;

  absl::Status Waiting() const { return call->Waiting(); }
  void Refuse(const absl::Status& status) { call->End(status); }
};

// Ends the calls that are cancelled or past their deadline, and takes them out of `items`.
template <typename Item>
void EndThoseThatAreLate(std::vector<Item>& items) {
  const auto late = [](Item& item) {
    const absl::Status status = item.call->call().Check();
    if (!status.ok()) item.call->End(status);
    return !status.ok();
  };
  items.erase(std::remove_if(items.begin(), items.end(), late), items.end());
}

// What the layers below are given as the call that they work for: the call itself if there is one, otherwise a call
// that lasts as long as the last one of `calls`, at least one, and is cancelled once all of them are. Valid as long as
// none of them has ended. Never has an Attempt.
inline Call CallOfAll(std::vector<const Call*> calls) {
  Call all;
  if (calls.size() == 1) {
    all = *calls.front();
    all.attempt = nullptr;
    return all;
  }
  all.deadline = absl::InfinitePast();
  for (const Call* call : calls) all.deadline = std::max(all.deadline, call->deadline);
  all.cancelled = [calls = std::move(calls)] {
    return std::all_of(calls.begin(), calls.end(), [](const Call* call) { return call->cancelled(); });
  };
  return all;
}

// The same for items that have a PendingCall `call`.
template <typename Item>
Call CallOfAll(const std::vector<Item>& items) {
  std::vector<const Call*> calls;
  for (const Item& item : items) calls.push_back(&item.call->call());
  return CallOfAll(std::move(calls));
}

// Asks the other service once for what many items need to know. An `Item` has `const Call& Asker() const`, valid until
// it is told, and `const std::set<Id>& Ids() const`, at most limits::kBatchIds. `ask(call, ids)` returns a
// StatusOr<Answer>, and `tell(item, answer)` gets that for each item. If the ids are more than one call may ask for, it
// takes several. Each of them has the time of the whole batch, so an item that has little time left does not end the
// call of others. After a call that has failed the others are not made, because each could last as long as it did.
template <typename Id, typename Item, typename Ask, typename Tell>
void AskTogether(std::vector<Item> items, Ask ask, Tell tell) {
  absl::Time latest = absl::InfinitePast();
  for (const Item& item : items) latest = std::max(latest, item.Asker().deadline);
  absl::Status failed;
  for (auto begin = items.begin(); begin != items.end();) {
    std::set<Id> ids;
    std::vector<const Call*> calls;
    auto end = begin;
    for (; end != items.end(); ++end) {
      const std::set<Id>& own = end->Ids();
      const auto is_new = [&](const Id id) { return ids.count(id) == 0; };
      const auto more = static_cast<size_t>(std::count_if(own.begin(), own.end(), is_new));
      if (end != begin && ids.size() + more > limits::kBatchIds) break;
      ids.insert(own.begin(), own.end());
      calls.push_back(&end->Asker());
    }
    Call call = CallOfAll(std::move(calls));
    call.deadline = latest;
    const auto answer = failed.ok() ? ask(call, ids) : failed;
    failed = answer.status();
    for (; begin != end; ++begin) tell(*begin, answer);
  }
}

}  // namespace crosskey::rpc
