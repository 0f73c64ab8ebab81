// Relationships are read from the descriptors of the protos, and nothing else decides what a deletion does.
#include <gmock/gmock.h>
#include <google/protobuf/descriptor.h>
#include <google/protobuf/descriptor.pb.h>

#include "common/relation/declarations.h"
#include "relation/v1/relation.pb.h"
#include "tests/conformance/relation_shop.h"

namespace crosskey::testing {
namespace {

using google::protobuf::DescriptorPool;
using relation::Action;
using ::testing::HasSubstr;

absl::StatusOr<relation::Declarations> ReadFile(const std::string& name) {
  const auto* file = DescriptorPool::generated_pool()->FindFileByName("tests/proto/" + name);
  EXPECT_NE(file, nullptr) << name;
  return relation::Declarations::Read({file});
}

TEST(Declarations, AreReadFromTheDescriptors) {
  const auto declarations = ReadFile("shop.proto");
  ASSERT_THAT(declarations, IsOk());
  const std::vector<std::pair<std::string, Action>> expected = {{kItemOwner, Action::kCascade},
                                                                {kItemKeeper, Action::kSetNull},
                                                                {kItemSponsor, Action::kRestrict},
                                                                {kFrozenItemOwner, Action::kRestrict},
                                                                {kLooseItemOwner, Action::kSetNull}};
  for (const auto& [relationship, action] : expected) {
    const auto found = declarations->Find(relationship);
    ASSERT_THAT(found, IsOk());
    EXPECT_EQ(found->relationship, relationship);
    EXPECT_EQ(found->parent_type, kOwner);
    EXPECT_EQ(found->on_delete, action) << relationship;
  }
}

TEST(Declarations, OfNestedMessagesCountToo) {
  const auto declarations = ReadFile("shop.proto");
  ASSERT_THAT(declarations, IsOk());
  const auto to_items = declarations->To("shop.v1.Maker");
  ASSERT_EQ(to_items.size(), 1u);
  EXPECT_EQ(to_items.front().relationship, "shop.v1.Item.Part.maker_id");
  EXPECT_EQ(declarations->To(kOwner).size(), 5u);
  EXPECT_TRUE(declarations->To("shop.v1.LooseItem").empty());
}

TEST(Declarations, SayWhatIsNotDeclared) {
  const auto declarations = ReadFile("shop.proto");
  ASSERT_THAT(declarations, IsOk());
  const auto found = declarations->Find("shop.v1.Item.id");
  EXPECT_EQ(found.status().code(), absl::StatusCode::kNotFound);
  EXPECT_THAT(std::string(found.status().message()), HasSubstr("shop.v1.Item.id"));
}

TEST(Declarations, AReferenceTableNeedsTheEventOfADeletion) {
  const auto declarations = ReadFile("shop.proto");
  ASSERT_THAT(declarations, IsOk());
  auto makers = relation::ReferenceTable::To(*declarations, "shop.v1.Maker", "maker-service");
  const absl::Status added = makers.Add(*declarations, "shop.v1.Item.Part.maker_id");
  EXPECT_EQ(added.code(), absl::StatusCode::kInvalidArgument);
  EXPECT_THAT(std::string(added.message()), HasSubstr("deletion of shop.v1.Maker"));
  EXPECT_TRUE(makers.children.empty());
}

struct Faulty {
  std::string file;
  std::vector<std::string> names;  // the error must contain them
};

class FaultyDeclarations : public ::testing::TestWithParam<Faulty> {};

TEST_P(FaultyDeclarations, AreRefusedByName) {
  const auto declarations = ReadFile(GetParam().file);
  ASSERT_EQ(declarations.status().code(), absl::StatusCode::kInvalidArgument);
  for (const std::string& name : GetParam().names) {
    EXPECT_THAT(std::string(declarations.status().message()), HasSubstr(name));
  }
}

INSTANTIATE_TEST_SUITE_P(Files, FaultyDeclarations,
                         ::testing::Values(Faulty{"faulty_type.proto",
                                                  {"shop.v1.UnknownType.owner_id", "shop.v1.Ghost"}},
                                           Faulty{"faulty_action.proto", {"shop.v1.NoAction.owner_id", "on_delete"}},
                                           Faulty{"faulty_field.proto", {"shop.v1.TextField.owner_id", "int64"}},
                                           Faulty{"faulty_width.proto", {"shop.v1.NarrowField.owner_id", "int64"}},
                                           Faulty{"faulty_list.proto", {"shop.v1.ListField.owner_ids", "int64"}}),
                         [](const auto& of) { return of.param.file.substr(0, of.param.file.find('.')); });

TEST(Declarations, RefuseAnActionOfALaterVersion) {
  google::protobuf::FileDescriptorProto file;
  file.set_name("later.proto");
  file.set_package("later.v1");
  file.set_syntax("proto3");
  auto* message = file.add_message_type();
  message->set_name("Thing");
  auto* field = message->add_field();
  field->set_name("parent_id");
  field->set_number(1);
  field->set_type(google::protobuf::FieldDescriptorProto::TYPE_INT64);
  field->set_label(google::protobuf::FieldDescriptorProto::LABEL_OPTIONAL);
  auto* references = field->mutable_options()->MutableExtension(::relation::v1::references);
  references->set_type("later.v1.Thing");
  references->set_on_delete(static_cast<::relation::v1::ReferentialAction>(9));
  DescriptorPool pool;
  const auto declarations = relation::Declarations::Read({pool.BuildFile(file)});
  EXPECT_EQ(declarations.status().code(), absl::StatusCode::kInvalidArgument);
  EXPECT_THAT(std::string(declarations.status().message()), HasSubstr("later.v1.Thing.parent_id"));
}

class DeclaredAction : public DatabaseTest {};
CROSSKEY_ON_EVERY_DATABASE(DeclaredAction);

// What the deletion of its owner does to an item. Tables and calls are always the same, only the declaration differs.
struct Outcome {
  bool released = false;
  int64_t items = 0;
  int64_t owned = 0;
};

Outcome DeleteTheOwnerOfAnItem(const std::string& backend, const std::string& relationship) {
  ItemService items(backend, {relationship});
  items.Know({7});
  EXPECT_THAT(items.AddItem(7), IsOk());
  const auto answer = items.Release(7, 1);
  EXPECT_THAT(answer, IsOk());
  if (answer->released) {
    EXPECT_THAT(items.ConsumeDeleted(7, 1), IsOk());
  }
  items.ReclaimAll();
  return {answer->released, items.AllItems(), items.Items(7)};
}

TEST_P(DeclaredAction, CascadeTakesTheItem) {
  const Outcome outcome = DeleteTheOwnerOfAnItem(GetParam(), kItemOwner);
  EXPECT_TRUE(outcome.released);
  EXPECT_EQ(outcome.items, 0);
}

TEST_P(DeclaredAction, RestrictKeepsOwnerAndItem) {
  const Outcome outcome = DeleteTheOwnerOfAnItem(GetParam(), kFrozenItemOwner);
  EXPECT_FALSE(outcome.released);
  EXPECT_EQ(outcome.owned, 1);
}

TEST_P(DeclaredAction, SetNullKeepsTheItemWithoutAnOwner) {
  const Outcome outcome = DeleteTheOwnerOfAnItem(GetParam(), kLooseItemOwner);
  EXPECT_TRUE(outcome.released);
  EXPECT_EQ(outcome.items, 1);
  EXPECT_EQ(outcome.owned, 0);
}

}  // namespace
}  // namespace crosskey::testing
