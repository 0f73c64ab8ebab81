// Calls that are done together.
#pragma once

#include <algorithm>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "common/rpc/pending_call.h"

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

}  // namespace crosskey::rpc
