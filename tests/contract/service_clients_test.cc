// Tests the services as consumers of each other: the code with which they call, against a stub that answers what the
// files say.
#include <gtest/gtest.h>

#include "absl/strings/str_cat.h"
#include "common/events/grpc_transport.h"
#include "common/relation/rpc/grpc_peer.h"
#include "post-service/peers/user_directory.h"
#include "relation/v1/reference_service.pb.h"
#include "tests/contract/call.h"
#include "tests/contract/compare.h"
#include "tests/contract/states.h"
#include "tests/contract/stub.h"
#include "tests/support/pair.h"

namespace crosskey::contract {
namespace {

// What the consumer's code made of the answer, put back into the form of the response, so that anything lost on the way
// shows.
using Outcome = absl::StatusOr<Json>;

Call SoonEnough() { return Call::Background(absl::Seconds(60)); }

Outcome Lookup(relation::GrpcPeer& peer, const Json& json) {
  ::relation::v1::LookupReferencedRequest request;
  FromJson(json, &request);
  std::vector<RowId> ids;
  for (const int64_t id : request.ids()) ids.push_back(RowId{id});
  const auto answer = peer.Lookup(SoonEnough(), request.type(), ids);
  if (!answer.ok()) return answer.status();
  ::relation::v1::LookupReferencedResponse response;
  response.set_as_of_sequence(Value(answer->as_of_sequence));
  response.set_feed_id(answer->feed_id);
  for (const auto& found : answer->found) {
    auto* item = response.add_items();
    item->set_id(Value(found.row.id));
    item->set_uid(found.row.uid);
    item->set_state(found.deleting ? ::relation::v1::REFERENCE_STATE_DELETING : ::relation::v1::REFERENCE_STATE_ACTIVE);
  }
  return ToJson(response);
}

Outcome Release(relation::GrpcPeer& peer, const Json& json) {
  ::relation::v1::ReleaseReferencedRequest request;
  FromJson(json, &request);
  relation::ReleaseRequest wanted;
  wanted.type = request.type();
  wanted.parent = {RowId{request.id()}, request.uid()};
  wanted.deletion_id = DeletionId{request.deletion_id()};
  wanted.as_of_sequence = Sequence{request.as_of_sequence()};
  wanted.feed_id = request.feed_id();
  wanted.validate_only = request.validate_only();
  wanted.without_counts = request.without_counts();
  for (const auto& item : request.overrides()) {
    wanted.overrides[item.relationship()] = static_cast<relation::Action>(item.action());
  }
  const auto answer = peer.Release(SoonEnough(), wanted);
  if (!answer.ok()) return answer.status();
  ::relation::v1::ReleaseReferencedResponse response;
  response.set_released(answer->released);
  for (const auto& count : answer->counts) {
    auto* rows = response.add_counts();
    rows->set_relationship(count.relationship);
    rows->set_rows(count.rows);
    rows->set_is_minimum(count.is_minimum);
  }
  return ToJson(response);
}

Outcome BeginRepair(relation::GrpcPeer& peer, const Json& json) {
  ::relation::v1::BeginRepairRequest request;
  FromJson(json, &request);
  std::vector<events::Seen> seen;
  for (const auto& each : request.seen()) {
    seen.push_back({each.type(), RowId{each.id()}, each.uid(), DeletionId{each.deletion_id()}, each.deletion_uid()});
  }
  const auto answer = peer.BeginRepair(SoonEnough(), seen);
  if (!answer.ok()) return answer.status();
  ::relation::v1::BeginRepairResponse response;
  response.set_feed_id(answer->feed_id);
  response.set_head(Value(answer->head));
  response.set_event_id(answer->event_id);
  return ToJson(response);
}

Outcome ListOpenDeletions(relation::GrpcPeer& peer, const Json& json) {
  ::relation::v1::ListOpenDeletionsRequest request;
  FromJson(json, &request);
  const auto answer =
      peer.ListOpen(SoonEnough(), request.type(), DeletionId{request.after()}, Sequence{request.head()});
  if (!answer.ok()) return answer.status();
  ::relation::v1::ListOpenDeletionsResponse response;
  response.set_feed_id(answer->feed_id);
  response.set_next(Value(answer->next));
  for (const auto& open : answer->deletions) {
    auto* item = response.add_items();
    item->set_id(Value(open.row.id));
    item->set_uid(open.row.uid);
    item->set_deletion_id(Value(open.deletion_id));
  }
  return ToJson(response);
}

Outcome FindReferences(relation::GrpcPeer& peer, const Json& json) {
  ::relation::v1::FindReferencesRequest request;
  FromJson(json, &request);
  std::vector<RowId> ids;
  for (const int64_t id : request.ids()) ids.push_back(RowId{id});
  const auto answer = peer.FindReferences(SoonEnough(), request.type(), ids);
  if (!answer.ok()) return answer.status();
  ::relation::v1::FindReferencesResponse response;
  for (const relation::Row& row : answer->found) {
    auto* item = response.add_items();
    item->set_id(Value(row.id));
    item->set_uid(row.uid);
  }
  response.set_feed_id(answer->feed_id);
  response.set_last_sequence(Value(answer->last_sequence));
  response.set_state(static_cast<event::v1::HistoryState>(answer->state));
  return ToJson(response);
}

Outcome FetchUsers(const posts::UserDirectory& directory, const Json& json) {
  user::v1::BatchGetUsersRequest request;
  FromJson(json, &request);
  const auto users = directory.Fetch(SoonEnough(), {request.ids().begin(), request.ids().end()});
  if (!users.ok()) return users.status();
  user::v1::BatchGetUsersResponse response;
  for (const int64_t id : request.ids()) {
    if (users->contains(id)) *response.add_users() = users->at(id);
    if (!users->contains(id)) response.add_not_found_ids(id);
  }
  return ToJson(response);
}

Outcome Info(events::GrpcTransport& transport) {
  const auto info = transport.Info(SoonEnough());
  if (!info.ok()) return info.status();
  event::v1::GetFeedInfoResponse response;
  response.set_service(info->who.service);
  response.set_instance_id(info->who.id);
  response.set_paired_instance_id(info->its_pair);
  response.set_feed_id(info->feed.feed_id);
  response.set_floor(Value(info->feed.floor));
  response.set_head(Value(info->feed.head));
  response.set_state(static_cast<event::v1::HistoryState>(info->state));
  for (const auto& position : info->positions) {
    auto* out = response.add_positions();
    out->set_feed(position.feed);
    out->set_feed_id(position.feed_id);
    out->set_last_sequence(Value(position.last_sequence));
    out->set_event_id(position.event_id);
    out->set_state(static_cast<event::v1::HistoryState>(position.state));
    for (const events::Seen& seen : position.seen) {
      auto* rows = out->add_seen();
      rows->set_type(seen.type);
      rows->set_id(Value(seen.id));
      rows->set_uid(seen.uid);
      rows->set_deletion_id(Value(seen.deletion_id));
      rows->set_deletion_uid(seen.deletion_uid);
    }
  }
  return ToJson(response);
}

// The first message, without its events: those have cases of their own.
Outcome Subscribe(events::GrpcTransport& transport, const Json& json) {
  event::v1::SubscribeRequest request;
  FromJson(json, &request);
  event::v1::SubscribeResponse response;
  const std::vector<std::string> types(request.types().begin(), request.types().end());
  const absl::Status end =
      transport.Stream({"", request.feed_id(), Sequence{request.after_sequence()}, request.after_event_id()}, types,
                       [&](const events::Batch& batch) {
                         response.set_feed_id(batch.feed_id);
                         response.set_after_sequence(Value(batch.after));
                         response.set_through_sequence(Value(batch.through));
                         response.set_left_out(batch.left_out);
                         response.set_through_event_id(batch.through_id);
                         return absl::CancelledError("that is enough");
                       });
  return response.feed_id().empty() ? Outcome(end) : ToJson(response);
}

Outcome CallAsConsumer(const Case& contract, int port, const Json& request) {
  const rpc::PeerChannel channel(testing::OpenChannel(port));
  relation::GrpcPeer peer(contract.provider, channel);
  events::GrpcTransport transport(channel);
  if (contract.rpc == "relation.v1.ReferenceService/LookupReferenced") return Lookup(peer, request);
  if (contract.rpc == "relation.v1.ReferenceService/ReleaseReferenced") return Release(peer, request);
  if (contract.rpc == "relation.v1.ReferenceService/BeginRepair") return BeginRepair(peer, request);
  if (contract.rpc == "relation.v1.ReferenceService/ListOpenDeletions") return ListOpenDeletions(peer, request);
  if (contract.rpc == "relation.v1.ReferenceService/FindReferences") return FindReferences(peer, request);
  if (contract.rpc == "user.v1.UserService/BatchGetUsers") return FetchUsers(posts::UserDirectory(channel), request);
  if (contract.rpc == "event.v1.EventService/GetFeedInfo") return Info(transport);
  if (contract.rpc == "event.v1.EventService/Subscribe") return Subscribe(transport, request);
  return absl::UnimplementedError("no service calls " + contract.rpc);
}

// The reason; for the feed, whose errors have no reason on this side, the code.
std::string WhatItSees(const absl::Status& status) {
  const std::string reason = errors::ReasonName(status);
  return reason.empty() ? absl::StatusCodeToString(status.code()) : reason;
}

TEST(ServiceClientsTest, UnderstandWhatEveryCasePromises) {
  Stub stub;
  int count = 0;
  for (const Case& contract : Cases()) {
    if (contract.consumer == "client") continue;
    SCOPED_TRACE(contract.file);
    ++count;
    const Variables variables = Examples(contract.state);
    const Json request = variables.Fill(contract.request);
    stub.Answer(contract, variables);

    const Outcome outcome = CallAsConsumer(contract, stub.port(), request);
    stub.ExpectLastRequest(contract.rpc, request);
    if (contract.response.has_value()) {
      ASSERT_TRUE(outcome.ok()) << outcome.status();
      EXPECT_EQ(Differences(variables.Fill(*contract.response), *outcome, contract.matchers), "");
    } else {
      EXPECT_EQ(WhatItSees(outcome.status()), contract.consumer_sees);
    }
  }
  std::cout << count << " cases understood by the services" << std::endl;
  EXPECT_GT(count, 0);
}

// A newer provider may send a state that this version does not know. A row in such a state must not pass as existing.
TEST(ServiceClientsTest, DoNotTakeAnUnknownStateForAnExistingRow) {
  Stub stub;
  ::relation::v1::LookupReferencedResponse response;
  for (const int state : {1, 2, 0, 7}) {
    auto* item = response.add_items();
    item->set_id(state + 1);
    item->set_uid("00000000-0000-4000-8000-000000000001");
    item->set_state(static_cast<::relation::v1::ReferenceState>(state));
  }
  const std::string rpc = "relation.v1.ReferenceService/LookupReferenced";
  stub.Set(rpc, {{response.SerializeAsString()}, grpc::Status::OK, false});
  relation::GrpcPeer peer("user-service", rpc::PeerChannel(testing::OpenChannel(stub.port())));
  const auto answer = peer.Lookup(SoonEnough(), "user.v1.User", {RowId{1}, RowId{2}, RowId{3}, RowId{8}});
  ASSERT_TRUE(answer.ok());
  ASSERT_EQ(answer->found.size(), 2u);
  EXPECT_FALSE(answer->found[0].deleting);
  EXPECT_TRUE(answer->found[1].deleting);
}

// A newer user-service may say more about a user than post-service knows. post-service must pass all of it on to the
// client.
TEST(ServiceClientsTest, PassOnFieldsAndEnumValuesThatTheyDoNotKnow) {
  Stub stub;
  user::v1::BatchGetUsersResponse response;
  auto* user = response.add_users();
  user->set_id(7);
  user->set_state(static_cast<user::v1::UserState>(42));
  user->GetReflection()->MutableUnknownFields(user)->AddLengthDelimited(1000, "new");
  const std::string bytes = user->SerializeAsString();
  stub.Set("user.v1.UserService/BatchGetUsers", {{response.SerializeAsString()}, grpc::Status::OK, false});
  const posts::UserDirectory directory{rpc::PeerChannel(testing::OpenChannel(stub.port()))};
  const auto users = directory.Fetch(SoonEnough(), {7});
  ASSERT_TRUE(users.ok());
  EXPECT_EQ(users->at(7).SerializeAsString(), bytes);
}

}  // namespace
}  // namespace crosskey::contract
