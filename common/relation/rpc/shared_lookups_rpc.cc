#include "common/relation/rpc/shared_lookups_rpc.h"

#include <algorithm>
#include <any>
#include <iterator>
#include <map>
#include <memory>

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
    line_.Add({call, question, {question.ids.begin(), question.ids.end()}, std::move(again)});
  };
  return NeedsPeer();
}

absl::Status SharedLookups::Item::Waiting() const { return rpc::MayWait(call); }

void SharedLookups::Item::Tell(absl::StatusOr<LookupAnswer> answer) {
  call.attempt->answer = std::make_shared<Told>(Told{std::move(question), std::move(answer)});
  again();
}

void SharedLookups::Run(std::vector<Item> items) {
  std::map<std::string, std::vector<Item>> by_type;
  for (Item& item : items) {
    const absl::Status status = item.call.Check();
    if (status.ok()) {
      by_type[item.question.type].push_back(std::move(item));
    } else {
      item.Tell(status);
    }
  }
  for (auto& [type, of_type] : by_type) AskTogether(type, std::move(of_type));
}

void SharedLookups::AskTogether(const std::string& type, std::vector<Item> items) {
  const auto ask = [&](const Call& call, const std::set<RowId>& ids) {
    return peer_.Lookup(call, type, {ids.begin(), ids.end()});
  };
  rpc::AskTogether<RowId>(std::move(items), ask, [](Item& item, const absl::StatusOr<LookupAnswer>& all) {
    if (!all.ok()) return item.Tell(all.status());
    LookupAnswer own;
    own.as_of_sequence = all->as_of_sequence;
    own.feed_id = all->feed_id;
    own.asked = all->asked;
    std::copy_if(all->found.begin(), all->found.end(), std::back_inserter(own.found),
                 [&](const Found& found) { return item.ids.count(found.row.id) > 0; });
    item.Tell(std::move(own));
  });
}

}  // namespace crosskey::relation
