// What it costs to add a relationship to a type that is referred to already: its proto, its table, its SQL, and the
// lines that are marked here. common/relation/README.md, "Adding a relationship", describes this example.
#include <gmock/gmock.h>

#include "common/relation/schema/check.h"
#include "tests/conformance/relation_shop.h"
#include "tests/proto/review.pb.h"
#include "tests/proto/shop.pb.h"

namespace crosskey::testing {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;

constexpr char kReviewOwner[] = "review.v1.Review.owner_id";  // line 1: its name, for errors

constexpr char kReviewTable[] = R"(
CREATE TABLE IF NOT EXISTS reviews (
  id {counter},
  owner_id BIGINT NOT NULL,
  text {text 100} NOT NULL,
  FOREIGN KEY (owner_id) REFERENCES owner_refs (id),
  {index reviews_by_owner (owner_id, id)}
) {table};
)";

// A service has these lines in its relationships.cc, which reads declarations and registers relationships. The table is
// a migration of the child's service, and costs no line.
Addition Reviews() {
  Addition added;
  // Line 2 in the child's service and line 3 in the parent's service: the file that declares the relationship.
  added.files = {review::v1::Review::descriptor()->file()};
  added.relationships = {kReviewOwner};  // line 4: registered
  added.tables = kReviewTable;
  return added;
}

const db::Sql kInsert{"reviews.insert", "INSERT INTO reviews (owner_id, text) VALUES (?, ?)"};
const db::Sql kList{"reviews.list", "SELECT r.id, r.text FROM {visible reviews r} ORDER BY r.id LIMIT 100"};

class AddedRelationship : public DatabaseTest {
 protected:
  AddedRelationship() : shop_(GetParam(), {kItemOwner}, Reviews()) {}

  absl::Status Write(int64_t owner, const std::string& text) {
    return shop_.items.guard().Write(TestCall(), kReviewOwner, {RowId{owner}},
                                     [&](events::Tx& tx) { return tx.db().Execute(kInsert, owner, text).status(); });
  }

  std::vector<std::string> List() {
    const auto rows = shop_.items.database().Read(TestCall(), [&](db::Connection& connection) {
      return connection.Query<int64_t, std::string>(shop_.items.visibility().Expand(kList));
    });
    EXPECT_THAT(rows, IsOk());
    std::vector<std::string> texts;
    if (rows.ok()) {
      for (const auto& [id, text] : *rows) texts.push_back(text);
    }
    return texts;
  }
  int64_t Stored() const { return shop_.items.Number("SELECT COUNT(*) FROM reviews"); }

  Shop shop_;
};
CROSSKEY_ON_EVERY_DATABASE(AddedRelationship);

TEST_P(AddedRelationship, KeepsEveryPromise) {
  const int64_t ada = shop_.owners.Create();
  const int64_t grace = shop_.owners.Create();
  EXPECT_THAT(Write(ada, "good"), IsOk());
  EXPECT_THAT(Write(ada, "better"), IsOk());
  EXPECT_THAT(Write(grace, "best"), IsOk());
  EXPECT_THAT(shop_.items.AddItem(ada), IsOk());
  EXPECT_THAT(List(), ElementsAre("good", "better", "best"));
  EXPECT_THAT(Write(99, "of nobody"), StatusIs(absl::StatusCode::kFailedPrecondition, "FOREIGN_KEY_VIOLATION"));

  const auto deletion = shop_.owners.Delete(ada);
  ASSERT_THAT(deletion, IsOk());
  EXPECT_EQ((*deletion)->state, relation::DeletionState::kReclaiming);
  // The release hides all reviews of the owner before any of them is removed.
  EXPECT_THAT(List(), ElementsAre("best"));
  EXPECT_EQ(Stored(), 3);
  const absl::Status refused = Write(ada, "too late");
  EXPECT_THAT(refused, StatusIs(absl::StatusCode::kFailedPrecondition, "FOREIGN_KEY_VIOLATION"));
  EXPECT_THAT(std::string(refused.message()), HasSubstr(kReviewOwner));

  shop_.Settle();
  EXPECT_EQ(Stored(), 1);
  EXPECT_EQ(shop_.items.StateOf(ada), kAbsent);
  const auto over = shop_.owners.Latest(ada);
  ASSERT_THAT(over, IsOk());
  EXPECT_EQ(over->state, relation::DeletionState::kCompleted);
  EXPECT_EQ(over->rows, (relation::RowCounts{{kItemOwner, 1}, {kReviewOwner, 2}}));
}

TEST_P(AddedRelationship, CountsInAPreview) {
  const int64_t ada = shop_.owners.Create();
  EXPECT_THAT(Write(ada, "good"), IsOk());
  relation::DeleteRequest request;
  request.id = RowId{ada};
  request.validate_only = true;
  const auto preview = shop_.owners.Delete(request);
  ASSERT_THAT(preview, IsOk());
  EXPECT_EQ((*preview)->rows, (relation::RowCounts{{kItemOwner, 0}, {kReviewOwner, 1}}));
  EXPECT_THAT(List(), ElementsAre("good"));
}

TEST_P(AddedRelationship, IsFoundMissingWhenTheServiceStarts) {
  const auto declared = relation::Declarations::Read({review::v1::Review::descriptor()->file()});
  ASSERT_THAT(declared, IsOk());
  // Line 4 is left out.
  relation::ReferenceTable owners = relation::ReferenceTable::To(*declared, kOwner, "peer");
  // The shop declares the events of its owners. Its relationships are not registered here, so its file is not among
  // those that must be.
  const auto own_events = relation::Declarations::Read({shop::v1::Owner::descriptor()->file()});
  ASSERT_THAT(own_events, IsOk());
  owners.events = own_events->EventsOf(kOwner);
  const absl::Status status = relation::CheckRegistered(*declared, {{&owners}, {}, {}});
  EXPECT_EQ(status.code(), absl::StatusCode::kFailedPrecondition);
  EXPECT_THAT(std::string(status.message()), HasSubstr(kReviewOwner));

  ASSERT_THAT(owners.Add(*declared, kReviewOwner), IsOk());
  EXPECT_THAT(relation::CheckRegistered(*declared, {{&owners}, {}, {}}), IsOk());
  const auto check = [&owners](ItemService& service) {
    return service.database().Read(TestCall(), [&](db::Connection& connection) {
      return relation::CheckTables(connection, {{&owners}, {}, {}});
    });
  };
  ItemService without_table(GetParam());
  // The items of the shop refer to owners as well. This test has not registered them, so the check would refuse their
  // table.
  without_table.Run("DROP TABLE items");
  EXPECT_THAT(std::string(check(without_table).message()), HasSubstr("no table reviews"));
  shop_.items.Run("DROP TABLE items");
  EXPECT_THAT(check(shop_.items), IsOk());
}

}  // namespace
}  // namespace crosskey::testing
