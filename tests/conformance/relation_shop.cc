#include "tests/conformance/relation_shop.h"

#include <algorithm>

#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "common/db/migrations.h"
#include "common/db/url.h"
#include "common/events/schema.h"
#include "common/events/sequencer.h"
#include "common/events/uuid.h"
#include "common/relation/row_events.h"
#include "common/relation/schema/tables.h"
#include "common/status/macros.h"
#include "tests/proto/shop.pb.h"
#include "tests/support/faults.h"

namespace crosskey::testing {
namespace {

constexpr char kFeedId[] = "history";
// The tables that no library ships.
constexpr char kItemTable[] = R"(
CREATE TABLE IF NOT EXISTS items (
  id {counter},
  uid {uuid} NOT NULL,
  owner_id BIGINT,
  keeper_id BIGINT,
  sponsor_id BIGINT,
  FOREIGN KEY (owner_id) REFERENCES owner_refs (id),
  FOREIGN KEY (keeper_id) REFERENCES owner_refs (id),
  FOREIGN KEY (sponsor_id) REFERENCES owner_refs (id),
  {index items_by_owner (owner_id, id)},
  {index items_by_keeper (keeper_id, id)},
  {index items_by_sponsor (sponsor_id, id)}
) {table};
)";

constexpr char kOwnerTable[] = R"(
CREATE TABLE IF NOT EXISTS owners (
  id {counter},
  uid {uuid} NOT NULL,
  state TINYINT NOT NULL,
  version BIGINT NOT NULL
) {table};
)";

db::Schema SchemaOf(const std::vector<db::Component>& relation, const std::string& own) {
  db::Schema schema{events::Schema({"peer"}), {}};
  schema.Add(relation);
  schema.components.push_back({"own", {{1, "0001_initial", own}}});
  return schema;
}

// There is no transport, because the tests hand batches to the consumers themselves.
class NoTransport final : public events::Transport {
 public:
  absl::Status Stream(const events::FeedPosition&, const std::vector<std::string>&,
                      const std::function<absl::Status(const events::Batch&)>&) override {
    return absl::UnavailableError("there is no transport");
  }
  absl::StatusOr<events::PeerInfo> Info(const Call&) override {
    return absl::UnavailableError("there is no transport");
  }
  void Cancel() override {}
};

int64_t ToInt(absl::string_view text) {
  int64_t value = 0;
  EXPECT_TRUE(absl::SimpleAtoi(text, &value)) << text;
  return value;
}

relation::Declarations ReadShop(std::vector<const google::protobuf::FileDescriptor*> added = {}) {
  added.push_back(shop::v1::Item::descriptor()->file());
  auto declarations = relation::Declarations::Read(added);
  EXPECT_THAT(declarations, IsOk());
  return *std::move(declarations);
}

// The shop's own relationships are all stored in the table items, whatever type declares them.
relation::ReferenceTable ReferencesToOwners(const std::vector<std::string>& relationships, const Addition& addition) {
  const relation::Declarations declarations = ReadShop(addition.files);
  auto table = relation::ReferenceTable::To(declarations, kOwner, "peer");
  for (const std::string& relationship : relationships) {
    EXPECT_THAT(table.Add(declarations, relationship, {"items"}), IsOk());
  }
  for (const std::string& relationship : addition.relationships) {
    EXPECT_THAT(table.Add(declarations, relationship), IsOk());
  }
  return table;
}

// The shop declares more relationships than a test uses, so those that it does not use are left out. Those of the
// addition are all used: they are not registered here, the declarations alone make them known.
relation::ParentTable OwnersAsParents(const std::vector<std::string>& relationships, const Addition& addition) {
  auto table = relation::ParentTable::Of(ReadShop(addition.files), kOwner, relationships.front(), {"item-service"});
  EXPECT_THAT(table, IsOk());
  std::vector<relation::Declaration> used;
  for (const std::string& relationship : relationships) used.push_back(Declared(relationship));
  for (const relation::Declaration& declaration : table->references) {
    if (declaration.relationship.rfind("shop.v1.", 0) != 0) used.push_back(declaration);
  }
  table->references = std::move(used);
  return *std::move(table);
}

// An event in words: its type, and what the tests want to know of its fields.
std::string InWords(const std::string& type, const std::string& payload,
                    const std::vector<std::string>& relationships) {
  if (type == "shop.v1.OwnerCreated") {
    shop::v1::OwnerCreated event;
    EXPECT_TRUE(event.ParseFromString(payload));
    return absl::StrCat(type, " ", event.id(), " ", event.uid());
  }
  if (type == "shop.v1.OwnerDeleted") {
    shop::v1::OwnerDeleted event;
    EXPECT_TRUE(event.ParseFromString(payload));
    return absl::StrCat(type, " ", event.id(), " ", event.uid(), " ", event.deletion_id());
  }
  if (type == "shop.v1.ItemsDeleted") {
    shop::v1::ItemsDeleted event;
    EXPECT_TRUE(event.ParseFromString(payload));
    std::vector<std::string> ids;
    for (const auto& row : event.rows()) ids.push_back(absl::StrCat(row.id()));
    return absl::StrCat(type, " ", absl::StrJoin(ids, " "));
  }
  if (type != "shop.v1.OwnerReclaimed") return type + " " + payload;
  shop::v1::OwnerReclaimed event;
  EXPECT_TRUE(event.ParseFromString(payload));
  std::string words = absl::StrCat(type, " ", event.deletion_id(), " ", event.owner_id(), " ", event.uid());
  const relation::Reclaimed reclaimed = relation::ReadReclaimed(event, kOwner);
  for (const auto& [relationship, rows] : reclaimed.rows) {
    const bool used = std::find(relationships.begin(), relationships.end(), relationship) != relationships.end();
    if (used) absl::StrAppend(&words, " ", relationship, "=", rows);
  }
  return words;
}

}  // namespace

std::string UidOf(int64_t owner) { return absl::StrCat("uid-", owner); }

relation::LookupAnswer AnswerOf(const std::vector<int64_t>& owners, int64_t as_of_sequence, bool deleting) {
  relation::LookupAnswer answer;
  for (const int64_t owner : owners) answer.found.push_back({{RowId{owner}, UidOf(owner)}, deleting});
  answer.as_of_sequence = Sequence{as_of_sequence};
  return answer;
}

relation::Declaration Declared(const std::string& relationship) {
  const auto found = ReadShop().Find(relationship);
  EXPECT_THAT(found, IsOk());
  return *found;
}

ShopService::ShopService(const std::string& backend, db::Schema schema, std::vector<std::string> relationships,
                         int pool_size)
    : tables_(backend), relationships_(std::move(relationships)), pool_size_(pool_size) {
  Reopen();
  EXPECT_THAT(db::Migrate(*database_, TestCall(), schema), IsOk());
}

void ShopService::Reopen() {
  outbox_.reset();
  database_.reset();
  metrics_ = std::make_unique<telemetry::Metrics>("shop", "0");
  db::DatabaseOptions options;
  const auto url = db::ParseUrl(tables_.url());
  EXPECT_THAT(url, IsOk());
  options.url = *url;
  options.pool_size = pool_size_;
  database_ = std::make_unique<db::Database>(std::move(options), *metrics_);
  database_->set_seam(Seam([this, record = sql.observer()](const db::Sql& s, const db::Rendered& r, int64_t rows) {
    record(s, r, rows);
    Observe(s.name);
  }));
  outbox_ = std::make_unique<events::Outbox>(*database_, nullptr);
}

void ShopService::Observe(const std::string& statement) {
  std::function<void()> hook;
  {
    std::lock_guard lock(mutex_);
    for (auto it = hooks_.begin(); it != hooks_.end(); ++it) {
      if (it->first != statement) continue;
      hook = std::move(it->second);
      hooks_.erase(it);
      break;
    }
  }
  if (hook) hook();
  if (crash_after_ > 0 && --crash_after_ == 0) throw Crash();
}

void ShopService::After(const std::string& statement, std::function<void()> hook) {
  std::lock_guard lock(mutex_);
  hooks_.emplace_back(statement, std::move(hook));
}

std::vector<int64_t> ShopService::Numbers(const std::string& query) const {
  std::vector<int64_t> numbers;
  for (const auto& row : tables_.Query(query)) numbers.push_back(ToInt(row[0]));
  return numbers;
}

std::vector<std::string> ShopService::Events() const {
  std::vector<std::string> events;
  for (const auto& row : tables_.Query("SELECT type, payload FROM outbox ORDER BY id")) {
    events.push_back(InWords(row[0], row[1], relationships_));
  }
  return events;
}

std::string ShopService::LastEvent() const {
  const std::vector<std::string> events = Events();
  return events.empty() ? "" : events.back();
}

events::Batch ShopService::ReadFeed(int64_t after) {
  events::Sequencer sequencer(*database_);
  absl::StatusOr<int64_t> numbered = 1;
  while (numbered.ok() && *numbered > 0) numbered = sequencer.Round(TestCall());
  EXPECT_THAT(numbered, IsOk());
  events::Feed feed(*database_, "shop");
  auto slice = feed.Read(TestCall(), Sequence{after});
  EXPECT_THAT(slice, IsOk());
  if (!slice.ok()) return {kFeedId, Sequence{after}, Sequence{after}, {}};
  return {kFeedId, Sequence{after}, slice->through, std::move(slice->events), slice->left_out};
}

void ShopService::AwaitLockWait() const {
  if (is_sqlite()) return;
  // This counts the waits of the whole server. The table innodb_trx would tell its databases apart, but shows nothing
  // new as long as somebody keeps looking at it.
  const auto waits = [this] {
    return tables_.Query("SHOW GLOBAL STATUS LIKE 'Innodb_row_lock_current_waits'").front().back();
  };
  EXPECT_TRUE(WaitFor([&] { return waits() != "0"; })) << "nobody waits for a lock";
}

struct ItemService::Parts {
  Parts(const std::vector<std::string>& relationships, const Addition& addition, events::Outbox& outbox,
        relation::Peer& peer, telemetry::Metrics& metrics)
      : child(ReferencesToOwners(relationships, addition), outbox, peer, metrics),
        visibility({&child.table}, {}),
        consumer("peer", outbox, transport, nullptr, metrics) {
    child.events.Consume(consumer);
  }

  relation::Child child;
  const relation::Visibility visibility;
  NoTransport transport;
  events::Consumer consumer;
};

void ItemService::PartsDeleter::operator()(Parts* parts) const { delete parts; }

ItemService::ItemService(const std::string& backend, std::vector<std::string> relationships, int pool_size,
                         Addition addition)
    : ShopService(backend, SchemaOf(relation::ChildSchema({kOwner}), kItemTable + addition.tables),
                  std::move(relationships), pool_size),
      addition_(std::move(addition)) {
  Restart();
}

void ItemService::Restart() {
  parts_.reset();
  Reopen();
  parts_.reset(new Parts(relationships(), addition_, outbox(), peer, metrics()));
}

relation::Guard& ItemService::guard() { return parts_->child.guard; }

const relation::Visibility& ItemService::visibility() const { return parts_->visibility; }

absl::Status ItemService::Write(const std::vector<int64_t>& owners, const Body& body,
                                relation::Guard::Unknown if_unknown) {
  std::vector<RowId> rows;
  for (const int64_t owner : owners) rows.push_back(RowId{owner});
  return parts_->child.guard.Write(TestCall(), relationships().front(), rows, body, if_unknown);
}

absl::Status ItemService::AddItems(int64_t owner, int count, const std::string& column) {
  return Write({owner}, [&](events::Tx& tx) { return Insert(tx, owner, count, column); });
}

absl::Status ItemService::Insert(events::Tx& tx, int64_t owner, int count, const std::string& column) {
  const db::Sql insert{"items.insert", "INSERT INTO items (uid, " + column + ") VALUES (?, ?)"};
  std::vector<std::vector<db::Argument>> rows;
  for (int i = 0; i < count; ++i) rows.push_back({NewUuid(), owner});
  return tx.db().ExecuteRows(insert, rows).status();
}

absl::StatusOr<relation::ReleaseAnswer> ItemService::Release(int64_t owner, int64_t deletion_id,
                                                             int64_t as_of_sequence) {
  relation::ReleaseRequest request;
  request.type = kOwner;
  request.parent = {RowId{owner}, UidOf(owner)};
  request.deletion_id = DeletionId{deletion_id};
  request.as_of_sequence = Sequence{as_of_sequence};
  return Release(request);
}

absl::StatusOr<relation::ReleaseAnswer> ItemService::Release(const relation::ReleaseRequest& request) {
  return parts_->child.release.Run(TestCall(), request);
}

events::Draft ItemService::Created(int64_t owner, const std::string& uid) {
  shop::v1::OwnerCreated event;
  event.set_id(owner);
  event.set_uid(uid.empty() ? UidOf(owner) : uid);
  return events::DraftOf(errors::ResourceName(kOwner, RowId{owner}), event);
}

events::Draft ItemService::Deleted(int64_t owner, int64_t deletion_id, const std::string& uid) {
  shop::v1::OwnerDeleted event;
  event.set_id(owner);
  event.set_uid(uid.empty() ? UidOf(owner) : uid);
  event.set_deletion_id(deletion_id);
  return events::DraftOf(errors::ResourceName(kOwner, RowId{owner}), event);
}

events::Event EventOf(int64_t sequence, const events::Draft& draft) {
  return {Sequence{sequence}, "", "", draft.type, draft.subject, {}, "", draft.payload};
}

absl::Status ItemService::Consume(const std::vector<events::Draft>& drafts) {
  events::Batch batch{kFeedId, ConsumedThrough(), ConsumedThrough(), {}};
  for (const events::Draft& draft : drafts) {
    batch.through = crosskey::After(batch.through);
    batch.events.push_back(EventOf(Value(batch.through), draft));
  }
  return Apply(batch);
}

absl::Status ItemService::Apply(const events::Batch& batch) { return parts_->consumer.Apply(batch); }

bool ItemService::ReclaimRound() {
  const auto more = parts_->child.reclaim.Round(TestCall());
  EXPECT_THAT(more, IsOk());
  return more.ok() && *more;
}

void ItemService::ReclaimAll() {
  while (ReclaimRound()) {
  }
}

void ItemService::Know(const std::vector<int64_t>& owners) {
  for (const int64_t owner : owners) {
    Run(absl::StrCat("INSERT INTO owner_refs (id, uid, state) VALUES (", owner, ", '", UidOf(owner), "', 1)"));
  }
}

int64_t ItemService::StateOf(int64_t owner) const {
  return Number(absl::StrCat("SELECT state FROM owner_refs WHERE id = ", owner));
}

int64_t ItemService::Items(int64_t owner, const std::string& column) const {
  return Number(absl::StrCat("SELECT COUNT(*) FROM items WHERE ", column, " = ", owner));
}

struct OwnerService::Parts {
  Parts(const std::vector<std::string>& relationships, const Addition& addition, events::Outbox& outbox,
        relation::Peer& peer, std::function<absl::Time()> now, telemetry::Metrics& metrics)
      : table(OwnersAsParents(relationships, addition)),
        deletions(table, outbox, peer, std::move(now), metrics),
        lookup(table, outbox.database()),
        consumer("peer", outbox, transport, nullptr, metrics) {
    consumer.On<shop::v1::OwnerReclaimed>(
        events::Consumer::Kind::kNormal,
        [this](events::Tx& tx, const events::Event&, const shop::v1::OwnerReclaimed& event) {
          return deletions.OnReclaimed(tx, relation::ReadReclaimed(event, kOwner));
        });
  }

  const relation::ParentTable table;
  relation::Deletions deletions;
  relation::Lookup lookup;
  NoTransport transport;
  events::Consumer consumer;
};

void OwnerService::PartsDeleter::operator()(Parts* parts) const { delete parts; }

OwnerService::OwnerService(const std::string& backend, std::vector<std::string> relationships, int pool_size,
                           Addition addition)
    : ShopService(backend, SchemaOf(relation::ParentSchema({kOwner}), kOwnerTable), std::move(relationships),
                  pool_size),
      addition_(std::move(addition)) {
  Restart();
}

void OwnerService::Restart() {
  parts_.reset();
  Reopen();
  parts_.reset(new Parts(
      relationships(), addition_, outbox(), peer, [this] { return absl::FromUnixMicros(clock_); }, metrics()));
}

int64_t OwnerService::Create() {
  const auto created = outbox().Transact(TestCall(), "test", [&](events::Tx& tx) -> absl::StatusOr<int64_t> {
    const db::Sql insert{"owners.insert", "INSERT INTO owners (uid, state, version) VALUES (?, 1, 1)"};
    const std::string uid = NewUuid();
    CROSSKEY_ASSIGN_OR_RETURN(const int64_t id, tx.db().Insert(insert, uid));
    tx.Append(ItemService::Created(id, uid));
    return id;
  });
  EXPECT_THAT(created, IsOk());
  return created.value_or(0);
}

absl::StatusOr<std::optional<relation::Deletion>> OwnerService::Delete(int64_t owner,
                                                                       std::optional<relation::Action> action) {
  relation::DeleteRequest request;
  request.id = RowId{owner};
  request.action = action;
  return Delete(request);
}

absl::StatusOr<std::optional<relation::Deletion>> OwnerService::Delete(const relation::DeleteRequest& request) {
  return parts_->deletions.Delete(TestCall(), request);
}

absl::StatusOr<relation::Deletion> OwnerService::Latest(int64_t owner) {
  return parts_->deletions.Latest(TestCall(), RowId{owner});
}

absl::Status OwnerService::Recover() { return parts_->deletions.Recover(TestCall()); }

absl::Status OwnerService::Purge() { return parts_->deletions.Purge(TestCall()).status(); }

absl::Status OwnerService::ConsumeReclaimed(DeletionId deletion_id, int64_t items, const std::string& uid) {
  relation::Reclaimed reclaimed;
  reclaimed.deletion_id = deletion_id;
  const auto stored =
      tables().Query("SELECT uid FROM owner_deletions WHERE deletion_id = " + std::to_string(Value(deletion_id)));
  reclaimed.parent.uid = !uid.empty() || stored.empty() ? uid : stored[0][0];
  reclaimed.rows[relationships().front()] = items;
  const auto draft = relation::MakeReclaimed(*shop::v1::OwnerReclaimed::descriptor(), "", kOwner, reclaimed);
  return Apply({kFeedId, ConsumedThrough(), crosskey::After(ConsumedThrough()), {EventOf(Consumed() + 1, draft)}});
}

absl::Status OwnerService::Apply(const events::Batch& batch) { return parts_->consumer.Apply(batch); }

absl::StatusOr<relation::LookupAnswer> OwnerService::Lookup(const std::vector<int64_t>& owners) {
  std::vector<RowId> rows;
  for (const int64_t owner : owners) rows.push_back(RowId{owner});
  return parts_->lookup.Run(TestCall(), rows);
}

int64_t OwnerService::StateOf(int64_t owner) const {
  return Number(absl::StrCat("SELECT state FROM owners WHERE id = ", owner));
}

int64_t OwnerService::Version(int64_t owner) const {
  return Number(absl::StrCat("SELECT version FROM owners WHERE id = ", owner));
}

std::vector<relation::DeletionState> OwnerService::Deletions(int64_t owner) const {
  std::vector<relation::DeletionState> states;
  for (const int64_t state :
       Numbers(absl::StrCat("SELECT state FROM owner_deletions WHERE owner_id = ", owner, " ORDER BY deletion_id"))) {
    states.push_back(static_cast<relation::DeletionState>(state));
  }
  return states;
}

Shop::Shop(const std::string& backend, const std::vector<std::string>& relationships, const Addition& addition)
    : owners(backend, relationships, 6, addition), items(backend, relationships, 6, addition) {
  items.peer.OnLookup([this](const std::vector<int64_t>& ids) { return owners.Lookup(ids); });
  owners.peer.OnRelease([this](const relation::ReleaseRequest& request) { return items.Release(request); });
}

void Shop::Settle() {
  for (;;) {
    const events::Batch from_owners = owners.ReadFeed(items.Consumed());
    if (!from_owners.events.empty()) {
      EXPECT_THAT(items.Apply(from_owners), IsOk());
    }
    items.ReclaimAll();
    const events::Batch from_items = items.ReadFeed(owners.Consumed());
    if (!from_items.events.empty()) {
      EXPECT_THAT(owners.Apply(from_items), IsOk());
    }
    if (from_owners.events.empty() && from_items.events.empty()) return;
    if (::testing::Test::HasFailure()) return;
  }
}

int64_t Shop::Orphans() const {
  std::string known = "0";
  for (const auto& id : owners.Numbers("SELECT id FROM owners")) absl::StrAppend(&known, ", ", id);
  return items.Number("SELECT COUNT(*) FROM items WHERE owner_id NOT IN (" + known + ") OR keeper_id NOT IN (" + known +
                      ") OR sponsor_id NOT IN (" + known + ")");
}

}  // namespace crosskey::testing
