// The check at the start of a service names the difference between the declarations and the tables.
#include <gmock/gmock.h>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_replace.h"
#include "common/relation/child/reference_table.h"
#include "common/relation/parent/parent_table.h"
#include "common/relation/schema/check.h"
#include "common/relation/schema/tables.h"
#include "post-service/relationships.h"
#include "tests/conformance/storage.h"
#include "tests/proto/shop.pb.h"
#include "tests/support/status_matchers.h"
#include "user-service/relationships.h"

namespace crosskey::testing {
namespace {

using absl::StatusCode;
using ::testing::HasSubstr;

constexpr char kOwner[] = "shop.v1.Owner";
constexpr char kMaker[] = "shop.v1.Maker";

// The tables as they should be. The tests make changes to these texts.
constexpr char kItems[] = R"(
CREATE TABLE items (
  id {counter},
  uid {uuid} NOT NULL,
  owner_id BIGINT,
  FOREIGN KEY (owner_id) REFERENCES owner_refs (id),
  {index items_by_owner (owner_id, id)}
) {table};
)";

constexpr char kMakers[] = R"(
CREATE TABLE makers (
  id {counter},
  state TINYINT NOT NULL
) {table};
CREATE TABLE parts (
  id {counter},
  maker_id BIGINT NOT NULL,
  FOREIGN KEY (maker_id) REFERENCES makers (id),
  {index parts_by_maker (maker_id)}
) {table};
)";

constexpr char kTableOfOwners[] = R"(
CREATE TABLE owners (
  id {counter},
  uid {uuid} NOT NULL,
  state TINYINT NOT NULL,
  version BIGINT NOT NULL
) {table};
)";

relation::Declarations DeclarationsOfShop() {
  auto declared = relation::Declarations::Read({shop::v1::Item::descriptor()->file()});
  EXPECT_THAT(declared, IsOk());
  return *std::move(declared);
}

class StartCheck : public DatabaseTest {
 protected:
  StartCheck()
      : declared_(DeclarationsOfShop()),
        owner_refs_(relation::ReferenceTable::To(declared_, kOwner, "peer")),
        makers_(relation::LocalParent::Of(declared_, kMaker).value()),
        owners_(relation::ParentTable::Of(declared_, kOwner, "shop.v1.Item.owner_id", {"peer"}).value()) {
    EXPECT_THAT(owner_refs_.Add(declared_, "shop.v1.Item.owner_id"), IsOk());
  }

  // What the check says of a database with the tables of `schema` and `own`. Before, `changes` are replaced in the text
  // of `own`, and the statement `run` is executed on the finished tables.
  absl::Status Check(const relation::Registered& registered, std::vector<db::Component> schema, const std::string& own,
                     const std::vector<std::pair<std::string, std::string>>& changes, const std::string& run = "") {
    std::string text = own;
    for (const auto& [from, to] : changes) {
      EXPECT_THAT(text, HasSubstr(from));
      text = absl::StrReplaceAll(text, {{from, to}});
    }
    const TestDatabase tables(GetParam());
    telemetry::Metrics metrics("test", "0");
    db::Database database(OptionsFor(tables), metrics);
    schema.push_back({"own", {{1, "0001_initial", text}}});
    EXPECT_THAT(db::Migrate(database, TestCall(), {std::move(schema), {}}), IsOk());
    if (!run.empty()) tables.Run(run);
    return database.Read(TestCall(),
                         [&](db::Connection& connection) { return relation::CheckTables(connection, registered); });
  }
  absl::Status CheckItems(const std::vector<std::pair<std::string, std::string>>& changes,
                          const std::string& run = "") {
    return Check({{&owner_refs_}, {}, {}}, relation::ChildSchema({kOwner}), kItems, changes, run);
  }
  absl::Status CheckMakers(const std::vector<std::pair<std::string, std::string>>& changes) {
    return Check({{}, {&makers_}, {}}, {}, kMakers, changes);
  }
  absl::Status CheckOwners(const std::vector<std::pair<std::string, std::string>>& changes,
                           const std::string& run = "") {
    return Check({{}, {}, {&owners_}}, relation::ParentSchema({kOwner}), kTableOfOwners, changes, run);
  }

  const relation::Declarations declared_;
  relation::ReferenceTable owner_refs_;
  const relation::LocalParent makers_;
  const relation::ParentTable owners_;
};
CROSSKEY_ON_EVERY_DATABASE(StartCheck);

MATCHER_P(Refuses, text, "") {
  *result_listener << arg.ToString();
  return arg.code() == StatusCode::kFailedPrecondition && std::string(arg.message()).find(text) != std::string::npos;
}

TEST_P(StartCheck, PassesTablesThatAreAsDeclared) {
  EXPECT_THAT(CheckItems({}), IsOk());
  EXPECT_THAT(CheckMakers({}), IsOk());
  EXPECT_THAT(CheckOwners({}), IsOk());
}

TEST_P(StartCheck, NamesATableThatIsMissing) {
  EXPECT_THAT(CheckItems({{kItems, ""}}), Refuses("shop.v1.Item.owner_id is declared, but there is no table items"));
  EXPECT_THAT(CheckItems({{kItems, ""}}, "DROP TABLE owner_refs"),
              Refuses("shop.v1.Owner is referred to, but there is no table owner_refs"));
  EXPECT_THAT(CheckOwners({{kTableOfOwners, ""}}), Refuses("shop.v1.Owner is a parent, but there is no table owners"));
  EXPECT_THAT(CheckOwners({}, "DROP TABLE owner_deletions"), Refuses("there is no table owner_deletions"));
  EXPECT_THAT(CheckMakers({{kMakers, ""}}), Refuses("there is no table makers"));
}

TEST_P(StartCheck, NamesAColumnThatIsMissing) {
  EXPECT_THAT(CheckItems({{"owner_id", "another_id"}}),
              Refuses("shop.v1.Item.owner_id is declared, but there is no column items.owner_id"));
  EXPECT_THAT(CheckItems({{"  uid {uuid} NOT NULL,\n", ""}}), Refuses("there is no column items.uid"));
  EXPECT_THAT(CheckItems({}, "ALTER TABLE owner_refs DROP COLUMN traceparent"),
              Refuses("there is no column owner_refs.traceparent"));
  EXPECT_THAT(CheckOwners({{"version BIGINT", "another BIGINT"}}), Refuses("there is no column owners.version"));
  EXPECT_THAT(CheckMakers({{"state TINYINT", "another TINYINT"}}), Refuses("there is no column makers.state"));
  EXPECT_THAT(CheckMakers({{"maker_id", "another_id"}}),
              Refuses("shop.v1.Item.Part.maker_id is declared, but there is no column parts.maker_id"));
}

TEST_P(StartCheck, NamesAColumnOfAnotherType) {
  const std::string key = "  FOREIGN KEY (owner_id) REFERENCES owner_refs (id),\n";
  EXPECT_THAT(CheckItems({{"owner_id BIGINT", "owner_id {text 20}"}, {key, ""}}),
              Refuses(GetParam() == "sqlite" ? "items.owner_id is text and not bigint"
                                             : "items.owner_id is varchar and not bigint"));
  // Too narrow for an id.
  EXPECT_THAT(CheckItems({{"owner_id BIGINT", "owner_id SMALLINT"}, {key, ""}}),
              Refuses("items.owner_id is smallint and not bigint"));
  EXPECT_THAT(CheckOwners({{"version BIGINT", "version {text 20}"}}), Refuses("owners.version is "));
}

TEST_P(StartCheck, NamesAColumnWithoutAForeignKey) {
  const std::string key = "  FOREIGN KEY (owner_id) REFERENCES owner_refs (id),\n";
  EXPECT_THAT(CheckItems({{key, ""}}),
              Refuses("shop.v1.Item.owner_id is declared, but items.owner_id has no foreign key to owner_refs"));
  // The foreign key refers to another table than the one whose rows a write locks.
  EXPECT_THAT(CheckItems({{"REFERENCES owner_refs", "REFERENCES items"}}),
              Refuses("items.owner_id has no foreign key to owner_refs"));
  EXPECT_THAT(CheckMakers({{"  FOREIGN KEY (maker_id) REFERENCES makers (id),\n", ""}}),
              Refuses("parts.maker_id has no foreign key to makers"));
}

TEST_P(StartCheck, NamesAForeignKeyThatActsByItself) {
  EXPECT_THAT(CheckItems({{"owner_refs (id)", "owner_refs (id) ON DELETE CASCADE"}}),
              Refuses("the foreign key of items.owner_id does CASCADE by itself"));
  EXPECT_THAT(CheckItems({{"owner_refs (id)", "owner_refs (id) ON DELETE SET NULL"}}),
              Refuses("the foreign key of items.owner_id does SET NULL by itself"));
  EXPECT_THAT(CheckMakers({{"makers (id)", "makers (id) ON DELETE CASCADE"}}),
              Refuses("the foreign key of parts.maker_id does CASCADE by itself"));
  EXPECT_THAT(CheckItems({{"owner_refs (id)", "owner_refs (id) ON DELETE RESTRICT"}}), IsOk());
}

TEST_P(StartCheck, NamesAColumnWithoutAnIndex) {
  const std::string index = ",\n  {index items_by_owner (owner_id, id)}";
  for (const char* other : {"", ",\n  {index items_by_owner (id, owner_id)}"}) {
    const absl::Status status = CheckItems({{index, other}});
    // A server makes an index for the foreign key by itself.
    if (GetParam() != "sqlite") {
      EXPECT_THAT(status, IsOk());
    } else {
      EXPECT_THAT(status, Refuses("no index begins with items.owner_id"));
    }
  }
}

TEST_P(StartCheck, NamesAForeignKeyThatNoRelationshipIsDeclaredFor) {
  EXPECT_THAT(CheckItems({{") {table};",
                           ") {table};\n"
                           "CREATE TABLE notes (\n"
                           "  id {counter},\n"
                           "  owner_id BIGINT NOT NULL,\n"
                           "  FOREIGN KEY (owner_id) REFERENCES owner_refs (id)\n"
                           ") {table};"}}),
              Refuses("notes.owner_id refers to owner_refs, but no relationship is declared for it"));
  // The same for another column of a table that is registered.
  EXPECT_THAT(CheckItems({{"owner_id BIGINT,", "owner_id BIGINT, giver_id BIGINT,"},
                          {"FOREIGN KEY (owner_id)",
                           "FOREIGN KEY (giver_id) REFERENCES owner_refs (id),\nFOREIGN KEY (owner_id)"}}),
              Refuses("items.giver_id refers to owner_refs, but no relationship is declared for it"));
  EXPECT_THAT(CheckMakers({{"maker_id BIGINT NOT NULL,", "maker_id BIGINT NOT NULL, second_id BIGINT NOT NULL,"},
                           {"FOREIGN KEY (maker_id)",
                            "FOREIGN KEY (second_id) REFERENCES makers (id),\nFOREIGN KEY (maker_id)"}}),
              Refuses("parts.second_id refers to makers, but no relationship is declared for it"));
  // SQLite takes the name of a table in upper and lower case.
  if (GetParam() == "sqlite") {
    EXPECT_THAT(
        CheckItems({}, "CREATE TABLE notes (id INTEGER PRIMARY KEY, owner_id BIGINT REFERENCES OWNER_REFS (id))"),
        Refuses("notes.owner_id refers to owner_refs"));
  }
}

TEST(StartCheckOfDeclarations, PassesThoseOfBothServices) {
  const auto users = users::Relationships::Read();
  const auto posts = posts::Relationships::Read();
  ASSERT_THAT(users, IsOk());
  ASSERT_THAT(posts, IsOk());
  EXPECT_THAT(relation::CheckRegistered(users->declarations, {{&users->posts}, {}, {&users->users}}), IsOk());
  EXPECT_THAT(relation::CheckRegistered(posts->declarations, {{&posts->users}, {&posts->posts}, {}}), IsOk());
}

TEST(StartCheckOfDeclarations, NamesARelationshipWithoutATable) {
  const auto users = users::Relationships::Read();
  const auto posts = posts::Relationships::Read();
  ASSERT_THAT(users, IsOk());
  ASSERT_THAT(posts, IsOk());
  // One of several relationships to a type is not registered.
  relation::ReferenceTable some = posts->users;
  some.children.pop_back();
  EXPECT_THAT(relation::CheckRegistered(posts->declarations, {{&some}, {&posts->posts}, {}}),
              Refuses("post.v1.Post.user_id is declared, but no table is registered for it"));
  // No relationship to a type is registered, so it has no reference table at all.
  EXPECT_THAT(relation::CheckRegistered(posts->declarations, {{}, {&posts->posts}, {}}),
              Refuses("_id is declared, but no table is registered for it"));
  EXPECT_THAT(relation::CheckRegistered(users->declarations, {{}, {}, {&users->users}}),
              Refuses("user.v1.User.pinned_post_id is declared, but no table is registered for it"));
}

}  // namespace
}  // namespace crosskey::testing
