// The events of the mechanism: the fields that they must have, and that reading one gives what it was made of.
#include "common/relation/row_events.h"

#include <gmock/gmock.h>
#include <google/protobuf/descriptor.pb.h>
#include <google/protobuf/text_format.h>
#include <gtest/gtest.h>

#include "absl/strings/substitute.h"
#include "common/relation/declarations.h"
#include "post/v1/post_events.pb.h"
#include "relation/v1/relation.pb.h"
#include "tests/support/status_matchers.h"
#include "user/v1/user.pb.h"
#include "user/v1/user_events.pb.h"

namespace crosskey::testing {
namespace {

using absl::StatusCode;
using google::protobuf::Descriptor;
using google::protobuf::FileDescriptor;
using relation::Declarations;
using relation::Row;
using ::testing::HasSubstr;

// A proto file of the package t.v1. `messages` is its message_type fields, as a text of protobuf.
class File {
 public:
  explicit File(const std::string& messages) {
    google::protobuf::FileDescriptorProto proto;
    EXPECT_TRUE(google::protobuf::TextFormat::ParseFromString(
        R"(name: "t.proto" package: "t.v1" syntax: "proto3" )" + messages, &proto));
    file_ = pool_.BuildFile(proto);
    EXPECT_NE(file_, nullptr);
  }

  const FileDescriptor* get() const { return file_; }

 private:
  google::protobuf::DescriptorPool pool_;
  const FileDescriptor* file_;
};

std::string Field(const std::string& name, int number, const std::string& type, const std::string& more = "") {
  return absl::Substitute(R"(field { name: "$0" number: $1 type: TYPE_$2 label: LABEL_OPTIONAL $3 } )", name, number,
                          type, more);
}
std::string List(const std::string& name, int number, const std::string& type, const std::string& more = "") {
  return absl::Substitute(R"(field { name: "$0" number: $1 type: TYPE_$2 label: LABEL_REPEATED $3 } )", name, number,
                          type, more);
}
std::string Message(const std::string& name, const std::string& content) {
  return absl::Substitute(R"(message_type { name: "$0" $1 } )", name, content);
}
const std::string kId = Field("id", 1, "INT64");
const std::string kUid = Field("uid", 2, "STRING");

using Check = absl::Status (*)(const Descriptor&, const std::string&);

absl::Status CheckEvent(Check check, const std::string& content) {
  const File file(Message("Event", content));
  return check(*file.get()->message_type(0), "t.v1.Thing");
}

// Expects an error that names the event, the field and the type that the field must have.
void ExpectNeeds(Check check, const std::string& content, const std::string& field, const std::string& type) {
  const absl::Status status = CheckEvent(check, content);
  EXPECT_EQ(status.code(), StatusCode::kInvalidArgument) << content;
  EXPECT_EQ(status.message(), "t.v1.Event needs a field " + field + " of type " + type);
}

TEST(RowEvents, OfACreatedRowHaveIdAndUid) {
  EXPECT_THAT(CheckEvent(relation::CheckCreated, kId + kUid), IsOk());
  ExpectNeeds(relation::CheckCreated, kUid, "id", "int64");
  ExpectNeeds(relation::CheckCreated, kId, "uid", "string");
  ExpectNeeds(relation::CheckCreated, Field("id", 1, "INT32") + kUid, "id", "int64");
  ExpectNeeds(relation::CheckCreated, kId + List("uid", 2, "STRING"), "uid", "string");
}

TEST(RowEvents, OfAnUpdatedRowHavePathsToo) {
  EXPECT_THAT(CheckEvent(relation::CheckUpdated, kId + kUid + List("paths", 3, "STRING")), IsOk());
  ExpectNeeds(relation::CheckUpdated, kId + kUid, "paths", "repeated string");
  ExpectNeeds(relation::CheckUpdated, kId + kUid + Field("paths", 3, "STRING"), "paths", "repeated string");
  ExpectNeeds(relation::CheckUpdated, kId + List("paths", 3, "STRING"), "uid", "string");
}

TEST(RowEvents, OfDeletedRowsHaveIdAndUidOfEach) {
  EXPECT_THAT(CheckEvent(relation::CheckDeleted, kId + kUid), IsOk());
  ExpectNeeds(relation::CheckDeleted, kUid, "id", "int64");
  const std::string rows = List("rows", 3, "MESSAGE", R"(type_name: ".t.v1.Event.Row")");
  EXPECT_THAT(
      CheckEvent(relation::CheckDeleted, rows + absl::Substitute(R"(nested_type { name: "Row" $0 })", kId + kUid)),
      IsOk());
  const absl::Status status =
      CheckEvent(relation::CheckDeleted, rows + absl::Substitute(R"(nested_type { name: "Row" $0 })", kId));
  EXPECT_EQ(status.message(), "t.v1.Event.Row needs a field uid of type string");
}

TEST(RowEvents, OfAReclaimedRowHaveTheDeletionAndTheId) {
  const std::string deletion = Field("deletion_id", 3, "INT64");
  const std::string thing = Field("thing_id", 4, "INT64");
  const std::string rows_of = R"(options { [relation.v1.rows_of]: "t.v1.Part.thing_id" })";
  EXPECT_THAT(CheckEvent(relation::CheckReclaimed, kUid + deletion + thing + Field("parts", 5, "INT64", rows_of)),
              IsOk());
  ExpectNeeds(relation::CheckReclaimed, kUid + thing, "deletion_id", "int64");
  ExpectNeeds(relation::CheckReclaimed, kUid + deletion, "thing_id", "int64");
  ExpectNeeds(relation::CheckReclaimed, deletion + thing, "uid", "string");
  ExpectNeeds(relation::CheckReclaimed, kUid + deletion + thing + Field("parts", 5, "STRING", rows_of), "parts",
              "int64");
}

const Row kAda{RowId{1}, "uid-1"};
const Row kGrace{RowId{2}, "uid-2"};

template <typename Event>
Event Payload(const events::Draft& draft) {
  Event event;
  EXPECT_EQ(draft.type, Event::descriptor()->full_name());
  EXPECT_TRUE(event.ParseFromString(draft.payload));
  return event;
}

TEST(RowEvents, OfACreatedRowAreRead) {
  user::v1::UserCreated event;
  event.set_id(1);
  event.set_uid("uid-1");
  const Row row = relation::ReadCreated(event);
  EXPECT_EQ(row.id, RowId{1});
  EXPECT_EQ(row.uid, "uid-1");
}

TEST(RowEvents, OfAnUpdatedRowSayWhatChanged) {
  const auto draft =
      relation::MakeUpdated(*user::v1::UserUpdated::descriptor(), "users/1", kAda, {"username", "pinned_post_id"});
  EXPECT_EQ(draft.subject, "users/1");
  const auto event = Payload<user::v1::UserUpdated>(draft);
  EXPECT_EQ(event.ShortDebugString(), R"(id: 1 uid: "uid-1" paths: "username" paths: "pinned_post_id")");
}

TEST(RowEvents, OfDeletedRowsAreOneEachWhereTheTypeHasPlaceForOne) {
  const auto drafts =
      relation::MakeDeleted(*user::v1::UserDeleted::descriptor(), "users", {kAda, kGrace}, DeletionId{7});
  ASSERT_EQ(drafts.size(), 2u);
  EXPECT_EQ(Payload<user::v1::UserDeleted>(drafts[0]).ShortDebugString(), R"(id: 1 uid: "uid-1" deletion_id: 7)");
  EXPECT_EQ(Payload<user::v1::UserDeleted>(drafts[1]).ShortDebugString(), R"(id: 2 uid: "uid-2" deletion_id: 7)");
  const relation::Deleted read = relation::ReadDeleted(Payload<user::v1::UserDeleted>(drafts[1]));
  ASSERT_EQ(read.rows.size(), 1u);
  EXPECT_EQ(read.rows[0].id, kGrace.id);
  EXPECT_EQ(read.rows[0].uid, kGrace.uid);
  EXPECT_EQ(read.deletion_id, DeletionId{7});
}

TEST(RowEvents, OfDeletedRowsAreOneWhereTheTypeHasPlaceForAll) {
  const auto drafts = relation::MakeDeleted(*post::v1::PostsDeleted::descriptor(), "posts", {kAda, kGrace}, {});
  ASSERT_EQ(drafts.size(), 1u);
  const relation::Deleted read = relation::ReadDeleted(Payload<post::v1::PostsDeleted>(drafts[0]));
  ASSERT_EQ(read.rows.size(), 2u);
  EXPECT_EQ(read.rows[0].id, kAda.id);
  EXPECT_EQ(read.rows[0].uid, kAda.uid);
  EXPECT_EQ(read.rows[1].id, kGrace.id);
  EXPECT_EQ(read.deletion_id, DeletionId{});
}

TEST(RowEvents, OfAReclaimedRowHaveTheCountOfEachRelationship) {
  const auto draft = relation::MakeReclaimed(
      *post::v1::UserPostsReclaimed::descriptor(), "users/1", "user.v1.User",
      {DeletionId{7}, kAda, {{"post.v1.Post.user_id", 3}, {"post.v1.Like.user_id", 4}, {"post.v1.Other.user_id", 5}}});
  const auto event = Payload<post::v1::UserPostsReclaimed>(draft);
  EXPECT_EQ(event.posts(), 3);
  EXPECT_EQ(event.likes(), 4);
  const relation::Reclaimed read = relation::ReadReclaimed(event, "user.v1.User");
  EXPECT_EQ(read.deletion_id, DeletionId{7});
  EXPECT_EQ(read.parent.id, kAda.id);
  EXPECT_EQ(read.parent.uid, kAda.uid);
  EXPECT_EQ(read.rows, (relation::RowCounts{{"post.v1.Post.user_id", 3}, {"post.v1.Like.user_id", 4}}));
}

TEST(RowEvents, SetRowsLeavesAFieldWithoutACountAlone) {
  user::v1::UserDeletion deletion;
  deletion.set_posts(1);
  deletion.set_deletion_id(7);
  relation::SetRows({{"post.v1.Like.user_id", 4}, {"post.v1.Other.user_id", 5}}, deletion);
  EXPECT_EQ(deletion.ShortDebugString(), "deletion_id: 7 posts: 1 likes: 4");
}

TEST(DeclaredEvents, AreFoundByTheirType) {
  const auto declared =
      Declarations::Read({user::v1::UserCreated::descriptor()->file(), post::v1::PostsDeleted::descriptor()->file()});
  ASSERT_THAT(declared, IsOk());
  const relation::RowEvents users = declared->EventsOf("user.v1.User");
  EXPECT_EQ(users.created, user::v1::UserCreated::descriptor());
  EXPECT_EQ(users.updated, user::v1::UserUpdated::descriptor());
  EXPECT_EQ(users.deleted, user::v1::UserDeleted::descriptor());
  EXPECT_EQ(users.reclaimed, post::v1::UserPostsReclaimed::descriptor());
  const relation::RowEvents none = declared->EventsOf("post.v1.Like");
  EXPECT_EQ(none.created, nullptr);
  EXPECT_EQ(none.updated, nullptr);
  EXPECT_EQ(none.deleted, nullptr);
  EXPECT_EQ(none.reclaimed, nullptr);
}

absl::Status ReadEvents(const std::string& messages) {
  const File file(messages);
  return Declarations::Read({file.get()}).status();
}

std::string Event(const std::string& name, const std::string& kind, const std::string& type,
                  const std::string& content = kId + kUid) {
  return Message(name, absl::Substitute(R"($0 options { [relation.v1.$1]: "$2" })", content, kind, type));
}

TEST(DeclaredEvents, AreRefusedByNameWhereTwoAreTheSame) {
  const std::string thing = Message("Thing", kId) + Message("Other", kId);
  for (const char* kind : {"created", "deleted"}) {
    const absl::Status status = ReadEvents(thing + Event("One", kind, "t.v1.Thing") + Event("Two", kind, "t.v1.Thing"));
    EXPECT_EQ(status.code(), StatusCode::kInvalidArgument);
    EXPECT_EQ(status.message(), "t.v1.Two and t.v1.One are the same event of t.v1.Thing");
    EXPECT_THAT(ReadEvents(thing + Event("One", kind, "t.v1.Thing") + Event("Two", kind, "t.v1.Other")), IsOk());
  }
  EXPECT_THAT(ReadEvents(thing + Event("One", "created", "t.v1.Thing") + Event("Two", "deleted", "t.v1.Thing")),
              IsOk());
}

TEST(DeclaredEvents, AreRefusedByNameForATypeThatNobodyDeclares) {
  const absl::Status status = ReadEvents(Event("One", "created", "t.v1.Ghost"));
  EXPECT_EQ(status.code(), StatusCode::kInvalidArgument);
  EXPECT_EQ(status.message(), "t.v1.One is an event of t.v1.Ghost, which no linked file declares");
}

TEST(DeclaredEvents, AreRefusedByNameWithoutAFieldOfTheirKind) {
  const absl::Status status = ReadEvents(Message("Thing", kId) + Event("One", "updated", "t.v1.Thing"));
  EXPECT_EQ(status.code(), StatusCode::kInvalidArgument);
  EXPECT_THAT(std::string(status.message()), HasSubstr("t.v1.One needs a field paths"));
}

TEST(Names, FollowFromTheType) {
  EXPECT_EQ(relation::TableOf("user.v1.User"), "users");
  EXPECT_EQ(relation::IdColumnOf("user.v1.User"), "user_id");
  EXPECT_EQ(relation::ReferenceTableOf("user.v1.User"), "user_refs");
  EXPECT_EQ(relation::DeletionsTableOf("user.v1.User"), "user_deletions");
  EXPECT_EQ(relation::PackageOf("user.v1.User"), "user.v1");
  EXPECT_EQ(relation::PackageOf("shop.v1.Item.Part"), "shop.v1");
}

}  // namespace
}  // namespace crosskey::testing
