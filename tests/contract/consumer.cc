#include "tests/contract/consumer.h"

#include <regex>

#include <gtest/gtest.h>

#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "event/v1/event_service.pb.h"
#include "relation/v1/reference_service.pb.h"
#include "tests/contract/call.h"
#include "tests/support/free_port.h"
#include "tests/support/pair.h"
#include "tests/support/wait.h"
#include "tests/support/watch.h"

namespace crosskey::contract {
namespace {

constexpr char kFeedId[] = "00000000-0000-4000-8000-0000000000fe";
constexpr char kInstanceId[] = "00000000-0000-4000-8000-0000000000aa";
constexpr char kSubscribe[] = "event.v1.EventService/Subscribe";

}  // namespace

Consumer::Consumer(const std::string& backend, const std::string& name)
    : name_(name),
      peer_(name == "user-service" ? "post-service" : "user-service"),
      database_(backend),
      port_(testing::FreePort()),
      metrics_port_(testing::FreePort()) {
  event::v1::SubscribeResponse bookmark;
  bookmark.set_feed_id(kFeedId);
  stub_.Set(kSubscribe, {{bookmark.SerializeAsString()}, grpc::Status::OK, true});
  event::v1::GetFeedInfoResponse info;
  info.set_service(peer_);
  info.set_instance_id(kInstanceId);
  info.set_feed_id(kFeedId);
  stub_.Set("event.v1.EventService/GetFeedInfo", {{info.SerializeAsString()}, grpc::Status::OK, false});
  const std::string program = name + "/" + name;
  std::string output;
  EXPECT_EQ(testing::RunProgram(program, {"migrate", "--db", database_.url()}, &output), 0) << output;
  process_ = std::make_unique<testing::ChildProcess>(
      program, std::vector<std::string>{"serve", "--db", database_.url(), "--listen", testing::Loopback(port_),
                                        "--internal-listen", testing::Loopback(testing::FreePort()), "--metrics-listen",
                                        testing::Loopback(metrics_port_), "--peer", testing::Loopback(stub_.port())});
  EXPECT_TRUE(testing::WaitFor([&] {
    return testing::RunProgram(program, {"healthcheck", "--listen", testing::Loopback(port_)}, nullptr) == 0;
  })) << process_->Output();
}

void Consumer::KnowReferences(const std::vector<std::string>& state, const Variables& variables) {
  const std::regex named(name_ == "post-service" ? "user (\\w+)" : "post (\\w+) of .*");
  ::relation::v1::LookupReferencedResponse known;
  known.set_as_of_sequence(delivered_);
  std::smatch words;
  for (const std::string& clause : state) {
    if (!std::regex_match(clause, words, named)) continue;
    auto* item = known.add_items();
    int64_t id = 0;
    EXPECT_TRUE(absl::SimpleAtoi(variables.Get(words[1].str() + ".id"), &id));
    item->set_id(id);
    item->set_uid(variables.Get(words[1].str() + ".uid"));
    item->set_state(::relation::v1::REFERENCE_STATE_ACTIVE);
  }
  stub_.Set("relation.v1.ReferenceService/LookupReferenced", {{known.SerializeAsString()}, grpc::Status::OK, false});
  ::relation::v1::ReleaseReferencedResponse released;
  released.set_released(true);
  stub_.Set("relation.v1.ReferenceService/ReleaseReferenced",
            {{released.SerializeAsString()}, grpc::Status::OK, false});
}

void Consumer::Do(const EventCase::Step& step, Variables& variables) {
  const Answer answer = CallMethod(testing::OpenChannel(port_), step.rpc, variables.Fill(step.request));
  ASSERT_TRUE(answer.response.has_value()) << step.rpc << ": " << answer.status->dump(1);
  for (const auto& [unused, resource] : answer.response->items()) {
    for (const char* member : {"id", "uid"}) {
      if (resource.contains(member)) variables.Set(absl::StrCat(step.as, ".", member), resource[member]);
    }
    if (resource.contains("deletion_id")) variables.Set(step.as + ".id", resource["deletion_id"]);
  }
}

int64_t Consumer::Deliver(event::v1::Event event) {
  event::v1::SubscribeResponse batch;
  batch.set_feed_id(kFeedId);
  batch.set_after_sequence(delivered_);
  batch.set_through_sequence(++delivered_);
  event.set_sequence(delivered_);
  *batch.add_events() = std::move(event);
  stub_.Append(kSubscribe, batch.SerializeAsString());
  return delivered_;
}

int64_t Consumer::Metric(const std::string& name, const std::string& more_labels) const {
  return static_cast<int64_t>(
      testing::MetricOf(metrics_port_, absl::StrCat(name, "{feed=\"", peer_, "\"", more_labels, "}")));
}

std::set<std::string> Consumer::Wanted() const {
  EXPECT_TRUE(testing::WaitFor([&] { return stub_.Calls(kSubscribe) > 0; }));
  event::v1::SubscribeRequest request;
  EXPECT_TRUE(request.ParseFromString(stub_.LastRequest(kSubscribe)));
  return {request.types().begin(), request.types().end()};
}

int64_t Consumer::Sequence() const { return Metric("crosskey_consumer_sequence"); }
bool Consumer::Stalled() const { return Metric("crosskey_consumer_stalled") == 1; }
int64_t Consumer::Consumed(const std::string& type, bool handled) const {
  return Metric("crosskey_consumer_events_total",
                absl::StrCat(",handled=\"", handled ? "true" : "false", "\",type=\"", type, "\""));
}

}  // namespace crosskey::contract
