// Tests that the events between the services are published as the files say, and take effect as the files say when they
// are delivered once, twice, and with fields that the consumer does not know.
#include <gtest/gtest.h>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "event/v1/event_service.grpc.pb.h"
#include "tests/contract/call.h"
#include "tests/contract/compare.h"
#include "tests/contract/consumer.h"
#include "tests/contract/states.h"
#include "tests/support/pair.h"
#include "tests/support/wait.h"
#include "user/v1/user_events.pb.h"

namespace crosskey::contract {
namespace {

using testing::Side;

Side SideOf(const std::string& name) { return name.rfind("user", 0) == 0 ? Side::kUsers : Side::kPosts; }

class EventsTest : public testing::DatabaseTest {};
CROSSKEY_ON_EVERY_DATABASE(EventsTest);

// Waits for the first event of that type and subject in the feed.
Json FindInFeed(const std::shared_ptr<grpc::Channel>& channel, const std::string& type, const std::string& subject) {
  const auto context = testing::Context();
  const auto reader = event::v1::EventService::NewStub(channel)->Subscribe(context.get(), {});
  event::v1::SubscribeResponse response;
  while (reader->Read(&response)) {
    for (const auto& event : response.events()) {
      if (event.type() != type || event.subject() != subject) continue;
      const Json found = ToJson(event);
      context->TryCancel();
      return found;
    }
  }
  ADD_FAILURE() << "the feed has no " << type << " about " << subject << ": " << reader->Finish().error_message();
  return Json();
}

TEST_P(EventsTest, ArePublishedAsTheCasesSay) {
  testing::Cluster::Options options;
  options.shipped = true;
  testing::Cluster cluster(GetParam(), options);
  cluster.StartAll();
  for (const EventCase& contract : EventCases()) {
    SCOPED_TRACE(contract.file);
    Variables variables;
    MakeState(contract.state, cluster, variables);
    const auto channel = testing::OpenChannel(cluster.port(SideOf(contract.rpc)));
    const Answer answer = CallMethod(channel, contract.rpc, variables.Fill(contract.request));
    ASSERT_TRUE(answer.response.has_value()) << answer.status->dump(1);
    for (const auto& [member, value] : answer.response->items()) {
      if (value.contains("deletion_id")) variables.Set("deletion.id", value["deletion_id"]);
      if (value.contains("id")) variables.Set(member + ".id", value["id"]);
      if (value.contains("uid")) variables.Set(member + ".uid", value["uid"]);
    }
    const Json expected = variables.Fill(contract.event);
    const Json found =
        FindInFeed(cluster.OpenInternal(SideOf(contract.producer)), expected["type"], expected["subject"]);
    EXPECT_EQ(Differences(expected, found, contract.matchers), "") << found.dump(1);
  }
  std::cout << EventCases().size() << " events published as agreed" << std::endl;
}

// The event of the case, with the values of the consumer's test.
event::v1::Event EventOf(const EventCase& contract, const Variables& variables) {
  event::v1::Event event;
  FromJson(variables.Fill(contract.event), &event);
  return event;
}

void ExpectEffects(const EventCase& contract, const Variables& variables, Consumer& consumer, bool after) {
  for (const auto& effect : contract.effects) {
    const std::string query = variables.Fill(effect.query);
    const int64_t expected = after ? effect.after : effect.before;
    int64_t seen = 0;
    EXPECT_TRUE(testing::WaitFor([&] {
      seen = consumer.database().Number(query);
      return seen == expected;
    })) << query
        << " gives " << seen << " instead of " << expected << (after ? " after" : " before") << " the event";
  }
}

// Delivers the event of each case to its consumer, one after the other. `change` makes what is delivered out of the
// event.
void Consume(const std::string& backend, const std::function<void(event::v1::Event&)>& change) {
  constexpr int kNumbersOfACase = 1000;  // ids for each case, so that no case meets the rows of another
  int last = 0;
  std::map<std::string, Consumer> consumers;
  for (const EventCase& contract : EventCases()) {
    SCOPED_TRACE(contract.file);
    Variables variables = Examples(contract.state, last);
    last += kNumbersOfACase;
    for (const char* made : {"user", "post", "deletion"}) {  // what the producer's call makes
      variables.Set(absl::StrCat(made, ".id"), absl::StrCat(last));
      variables.Set(absl::StrCat(made, ".uid"), absl::StrFormat("00000000-0000-4000-8000-%012d", last));
    }
    Consumer& consumer = consumers.try_emplace(contract.consumer, backend, contract.consumer).first->second;
    consumer.KnowReferences(contract.state, variables);
    for (const auto& step : contract.consumer_state) consumer.Do(step, variables);
    ExpectEffects(contract, variables, consumer, false);

    event::v1::Event event = EventOf(contract, variables);
    change(event);
    const int64_t first = consumer.Deliver(event);
    EXPECT_TRUE(testing::WaitFor([&] { return consumer.Sequence() == first; }));
    ExpectEffects(contract, variables, consumer, true);
    const int64_t second = consumer.Deliver(event);  // the same event once more, with the next number
    EXPECT_TRUE(testing::WaitFor([&] { return consumer.Sequence() == second; }));
    ExpectEffects(contract, variables, consumer, true);
    EXPECT_FALSE(consumer.Stalled());
  }
}

TEST_P(EventsTest, TakeEffectOnce) {
  Consume(GetParam(), [](event::v1::Event&) {});
}

TEST_P(EventsTest, TakeEffectWithFieldsThatTheConsumerDoesNotKnow) {
  Consume(GetParam(), [](event::v1::Event& event) {
    event.GetReflection()->MutableUnknownFields(&event)->AddVarint(1000, 7);
    // Field 1000 with 3 bytes.
    event.mutable_payload()->mutable_value()->append("\xC2\x3E\x03new", 6);
  });
}

TEST_P(EventsTest, AreAskedForIfTheyHaveAnEffect) {
  for (const char* name : {"user-service", "post-service"}) {
    std::set<std::string> with_effect;
    for (const EventCase& contract : EventCases()) {
      if (contract.consumer == name && !contract.effects.empty()) with_effect.insert(contract.event["type"]);
    }
    EXPECT_EQ(Consumer(GetParam(), name).Wanted(), with_effect) << name;
    for (const Case& contract : Cases()) {
      if (contract.rpc != "event.v1.EventService/Subscribe" || contract.consumer != name) continue;
      const auto types = contract.request.value("types", std::vector<std::string>());
      EXPECT_EQ(std::set<std::string>(types.begin(), types.end()), with_effect) << contract.file;
    }
  }
}

// Events of other types come from a service of an older version, which sends them all.
TEST_P(EventsTest, OfAnUnknownTypeArePassedOver) {
  for (const char* name : {"user-service", "post-service"}) {
    Consumer consumer(GetParam(), name);
    event::v1::Event event;
    event.set_id("00000000-0000-4000-8000-000000000001");
    event.set_type("another.v1.SomethingNew");
    event.set_subject("things/1");
    event.mutable_payload()->set_type_url("type.googleapis.com/another.v1.SomethingNew");
    event.mutable_payload()->set_value("\xff\xff");
    consumer.Deliver(event);
    EXPECT_TRUE(testing::WaitFor([&] { return consumer.Sequence() == 1; })) << name;
    EXPECT_FALSE(consumer.Stalled()) << name;
    EXPECT_EQ(consumer.Consumed("other", false), 1) << name;
  }
}

// Skipping a deletion would leave orphans, so the consumer stops where everybody can see it.
TEST_P(EventsTest, ThatCannotBeReadStopTheConsumerVisibly) {
  const std::map<std::string, std::string> deletions = {{"post-service", "user.v1.UserDeleted"},
                                                        {"user-service", "post.v1.PostsDeleted"}};
  for (const auto& [name, type] : deletions) {
    Consumer consumer(GetParam(), name);
    event::v1::Event event;
    event.set_id("00000000-0000-4000-8000-000000000001");
    event.set_type(type);
    event.mutable_payload()->set_type_url("type.googleapis.com/" + type);
    event.mutable_payload()->set_value("\xff\xff");
    consumer.Deliver(event);
    EXPECT_TRUE(testing::WaitFor([&] { return consumer.Stalled(); })) << name;
    EXPECT_EQ(consumer.Sequence(), 0) << name;
  }
}

// Every type of event that there is has a case: whoever adds one has to say what it means.
TEST(EventCasesTest, HaveEveryTypeOfEvent) {
  std::set<std::string> types;
  for (const EventCase& contract : EventCases()) types.insert(contract.event["type"]);
  std::set<std::string> declared;
  for (const char* file : {"user/v1/user_events.proto", "post/v1/post_events.proto"}) {
    const auto* descriptor = google::protobuf::DescriptorPool::generated_pool()->FindFileByName(file);
    ASSERT_NE(descriptor, nullptr) << file;
    for (int i = 0; i < descriptor->message_type_count(); ++i)
      declared.insert(descriptor->message_type(i)->full_name());
  }
  declared.erase("post.v1.DeletedPost");  // a part of PostsDeleted
  EXPECT_EQ(types, declared);
}

}  // namespace
}  // namespace crosskey::contract
