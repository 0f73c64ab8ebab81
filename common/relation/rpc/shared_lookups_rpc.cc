#include "common/relation/rpc/shared_lookups_rpc.h"

#include <algorithm>
#include <any>
#include <iterator>
#include <map>
#include <memory>
#include <set>

#include "common/rpc/together.h"
#include "common/status/limits.h"

namespace crosskey::relation {
namespace {

constexpr size_t kBatch = 64;
constexpr int kLanes = 2;

}  // namespace

SharedLookups::SharedLookups(Peer& peer, batch::Workers& workers)
    : peer_(peer), line_(workers, {"lookups", kBatch, kLanes, batch::kPatience, true}, [this](std::vector<Item> items) {
        Run(std::move(items));
      }) {}

absl::StatusOr<LookupAnswer> SharedLookups::Lookup(const Call& call, const std::string& type,
                                                   const std::vector<RowId>& ids) {
  if (call.attempt == nullptr) return peer_.Lookup(call, type, ids);
  Attempt& attempt = *call.attempt;
  if (const auto* answer = std::any_cast<std::shared_ptr<Told>>(&attempt.answer); answer != nullptr) {
    const std::shared_ptr<Told> told = *answer;
    attempt.answer.reset();  // an answer that is too old must not be found again
    if (told->question.type == type && told->question.ids == ids) return std::move(told->answer);
  }
  if (++attempt.asked > limits::kConsistencyRounds) return errors::Conflict();
  attempt.ask = [this, call, question = Question{type, ids}](std::function<void()> again) {
    line_.Add({call, question, std::move(again)});
  };
  return NeedsPeer();
}

absl::Status SharedLookups::Item::Waiting() const { return rpc::MayWait(call); }

void SharedLookups::Item::Tell(absl::StatusOr<LookupAnswer> answer) {
  call.attempt->answer = std::make_shared<Told>(Told{std::move(question), std::move(answer)});
  again();
}

void SharedLookups::Run(std::vector<Item> items) {
  std::map<std::string, std::vector<Item*>> by_type;
  for (Item& item : items) {
    const absl::Status status = item.call.Check();
    if (status.ok()) {
      by_type[item.question.type].push_back(&item);
    } else {
      item.Tell(status);
    }
  }
  absl::Status failed;
  for (const auto& [type, of_type] : by_type) {
    std::vector<Item*> together;
    std::set<RowId> ids;
    for (Item* item : of_type) {
      std::set<RowId> more = ids;
      more.insert(item->question.ids.begin(), item->question.ids.end());
      if (more.size() > limits::kBatchIds) {
        AskTogether(std::move(together), {ids.begin(), ids.end()}, failed);
        together.clear();
        more = {item->question.ids.begin(), item->question.ids.end()};
      }
      ids = std::move(more);
      together.push_back(item);
    }
    AskTogether(std::move(together), {ids.begin(), ids.end()}, failed);
  }
}

// After one call has `failed`, the others of the batch are not tried: each could wait as long as it did.
void SharedLookups::AskTogether(std::vector<Item*> items, const std::vector<RowId>& ids, absl::Status& failed) {
  if (items.empty()) return;
  std::vector<const Call*> calls;
  for (const Item* item : items) calls.push_back(&item->call);
  const absl::StatusOr<LookupAnswer> all =
      failed.ok() ? peer_.Lookup(rpc::CallOfAll(calls), items.front()->question.type, ids) : failed;
  failed = all.status();
  for (Item* item : items) {
    if (!all.ok()) {
      item->Tell(all.status());
      continue;
    }
    LookupAnswer own;
    own.as_of_sequence = all->as_of_sequence;
    const std::set<RowId> asked(item->question.ids.begin(), item->question.ids.end());
    std::copy_if(all->found.begin(), all->found.end(), std::back_inserter(own.found),
                 [&](const Found& found) { return asked.count(found.row.id) > 0; });
    item->Tell(std::move(own));
  }
}

}  // namespace crosskey::relation
