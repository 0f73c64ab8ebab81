#include "tests/conformance/relation_shop.h"

#include "absl/strings/match.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "absl/strings/str_replace.h"
#include "absl/strings/str_split.h"
#include "common/db/url.h"
#include "common/events/sequencer.h"
#include "common/events/uuid.h"
#include "common/status/macros.h"
#include "tests/proto/shop.pb.h"

namespace crosskey::testing {
namespace {

constexpr char kFeedId[] = "history";
constexpr char kOwnerCreated[] = "shop.v1.OwnerCreated";
constexpr char kOwnerDeleted[] = "shop.v1.OwnerDeleted";
constexpr char kItemsDeleted[] = "shop.v1.ItemsDeleted";
constexpr char kOwnerReclaimed[] = "shop.v1.OwnerReclaimed";

// One text for all databases; only the counting key is written differently.
constexpr char kEventTables[] = R"(
CREATE TABLE outbox (id {key}, sequence BIGINT UNIQUE, event_id VARCHAR(36) NOT NULL, type VARCHAR(100) NOT NULL,
  subject VARCHAR(100) NOT NULL, time BIGINT NOT NULL, traceparent VARCHAR(64) NOT NULL, payload MEDIUMBLOB NOT NULL);
CREATE TABLE feed (name VARCHAR(40) NOT NULL PRIMARY KEY, feed_id VARCHAR(36) NOT NULL, head BIGINT NOT NULL,
  floor BIGINT NOT NULL DEFAULT 0);
INSERT INTO feed (name, feed_id, head) VALUES ('own', '', 0);
CREATE TABLE checkpoints (feed VARCHAR(40) NOT NULL PRIMARY KEY, feed_id VARCHAR(36) NOT NULL,
  last_sequence BIGINT NOT NULL, last_deletion_sequence BIGINT NOT NULL);
INSERT INTO checkpoints (feed, feed_id, last_sequence, last_deletion_sequence) VALUES ('peer', '', 0, 0);
)";

constexpr char kItemTables[] = R"(
CREATE TABLE owner_refs (id BIGINT NOT NULL PRIMARY KEY, uid VARCHAR(36) NOT NULL, state BIGINT NOT NULL,
  refused_through BIGINT NOT NULL DEFAULT 0, deletion_id BIGINT NOT NULL DEFAULT 0,
  traceparent VARCHAR(64) NOT NULL DEFAULT '',
  items_reclaimed BIGINT NOT NULL DEFAULT 0, kept_reclaimed BIGINT NOT NULL DEFAULT 0,
  sponsored_reclaimed BIGINT NOT NULL DEFAULT 0);
CREATE INDEX owner_refs_by_state ON owner_refs (state, id);
CREATE TABLE items (id {key}, uid VARCHAR(36) NOT NULL, owner_id BIGINT, keeper_id BIGINT, sponsor_id BIGINT,
  FOREIGN KEY (owner_id) REFERENCES owner_refs (id), FOREIGN KEY (keeper_id) REFERENCES owner_refs (id),
  FOREIGN KEY (sponsor_id) REFERENCES owner_refs (id));
CREATE INDEX items_by_owner ON items (owner_id, id);
CREATE INDEX items_by_keeper ON items (keeper_id, id);
CREATE INDEX items_by_sponsor ON items (sponsor_id, id);
)";

constexpr char kOwnerTables[] = R"(
CREATE TABLE owners (id {key}, uid VARCHAR(36) NOT NULL, state BIGINT NOT NULL, version BIGINT NOT NULL);
CREATE TABLE owner_deletions (deletion_id {key}, owner_id BIGINT NOT NULL, uid VARCHAR(36) NOT NULL,
  action BIGINT NOT NULL, state BIGINT NOT NULL, blocked_reason VARCHAR(200) NOT NULL, items BIGINT NOT NULL DEFAULT 0,
  create_time BIGINT NOT NULL, complete_time BIGINT, traceparent VARCHAR(64) NOT NULL DEFAULT '');
CREATE INDEX owner_deletions_by_owner ON owner_deletions (owner_id, deletion_id);
CREATE INDEX owner_deletions_by_age ON owner_deletions (state, create_time);
CREATE INDEX owner_deletions_by_end ON owner_deletions (state, complete_time);
)";

// The tests hand over batches themselves.
class NoTransport final : public events::Transport {
 public:
  absl::Status Stream(const std::string&, int64_t, const std::function<absl::Status(const events::Batch&)>&) override {
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

std::vector<std::string> Words(const std::string& text) { return absl::StrSplit(text, ' '); }

events::Draft ReclaimedEvent(const relation::Reclaimed& reclaimed) {
  std::string payload = absl::StrCat(reclaimed.deletion_id, " ", reclaimed.parent_id, " ", reclaimed.parent_uid);
  for (const auto& [relationship, rows] : reclaimed.rows) absl::StrAppend(&payload, " ", relationship, "=", rows);
  return {kOwnerReclaimed, errors::ResourceName(kOwner, reclaimed.parent_id), payload};
}

std::vector<events::Draft> RemovedEvents(const std::string& parent_name,
                                         const std::vector<relation::Removed>& removed) {
  std::vector<std::string> ids;
  for (const relation::Removed& row : removed) ids.push_back(absl::StrCat(row.id));
  return {{kItemsDeleted, parent_name, absl::StrJoin(ids, " ")}};
}

relation::ChildTable ChildOf(const std::string& relationship) {
  relation::ChildTable child;
  child.declaration = Declared(relationship);
  child.table = "items";
  child.column = "owner_id";
  child.count_column = "items_reclaimed";
  if (child.declaration.on_delete != relation::Action::kSetNull) child.removed_events = RemovedEvents;
  if (relationship == kItemKeeper) {
    child.column = "keeper_id";
    child.count_column = "kept_reclaimed";
  } else if (relationship == kItemSponsor) {
    child.column = "sponsor_id";
    child.count_column = "sponsored_reclaimed";
  }
  return child;
}

relation::ReferenceTable ReferencesToOwners(const std::vector<std::string>& relationships) {
  relation::ReferenceTable table;
  table.parent_type = kOwner;
  table.table = "owner_refs";
  table.feed = "peer";
  for (const std::string& relationship : relationships) table.children.push_back(ChildOf(relationship));
  table.reclaimed_event = ReclaimedEvent;
  return table;
}

relation::ParentTable OwnersAsParents(const std::vector<std::string>& relationships) {
  relation::ParentTable table;
  table.type = kOwner;
  table.table = "owners";
  table.deletions_table = "owner_deletions";
  table.id_column = "owner_id";
  table.peer = "item-service";
  for (const std::string& relationship : relationships) table.references.push_back(Declared(relationship));
  table.removed_columns = {{relationships.front(), "items"}};
  table.deleted_event = [](int64_t id, const std::string& uid, int64_t deletion_id) {
    return events::Draft{kOwnerDeleted, errors::ResourceName(kOwner, id), absl::StrCat(id, " ", uid, " ", deletion_id)};
  };
  return table;
}

}  // namespace

Call TestCall() { return Call::Background(absl::Seconds(60)); }

std::string UidOf(int64_t owner) { return absl::StrCat("uid-", owner); }

relation::Declaration Declared(const std::string& relationship) {
  const auto declarations = relation::Declarations::Read({shop::v1::Item::descriptor()->file()});
  EXPECT_THAT(declarations, IsOk());
  const auto found = declarations->Find(relationship);
  EXPECT_THAT(found, IsOk());
  return *found;
}

ShopService::ShopService(const std::string& backend, const std::string& tables, int pool_size)
    : tables_(backend), pool_size_(pool_size) {
  const std::string key =
      is_sqlite() ? "INTEGER PRIMARY KEY AUTOINCREMENT" : "BIGINT NOT NULL AUTO_INCREMENT PRIMARY KEY";
  Run(absl::StrReplaceAll(absl::StrCat(is_sqlite() ? "BEGIN;" : "", kEventTables, tables, is_sqlite() ? "COMMIT;" : ""),
                          {{"{key}", key}}));
  Reopen();
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
  database_->set_observer([this, record = sql.observer()](const db::Sql& s, const db::Rendered& r, int64_t rows) {
    record(s, r, rows);
    Observe(s.name);
  });
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
    events.push_back(row[0] + " " + row[1]);
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
  auto events = feed.Read(TestCall(), after);
  EXPECT_THAT(events, IsOk());
  events::Batch batch{kFeedId, after, after, {}};
  if (events.ok()) batch.events = *std::move(events);
  if (!batch.events.empty()) batch.through = batch.events.back().sequence;
  return batch;
}

void ShopService::AwaitLockWait() const {
  if (is_sqlite()) return;
  // Of the whole server: innodb_trx would tell the databases apart, but shows nothing new to one who keeps looking.
  const auto waits = [this] {
    return tables_.Query("SHOW GLOBAL STATUS LIKE 'Innodb_row_lock_current_waits'").front().back();
  };
  EXPECT_TRUE(WaitFor([&] { return waits() != "0"; })) << "nobody waits for a lock";
}

struct ItemService::Parts {
  Parts(const std::vector<std::string>& relationships, events::Outbox& outbox, relation::Peer& peer,
        telemetry::Metrics& metrics)
      : table(ReferencesToOwners(relationships)),
        sql(table),
        guard(table, sql, outbox, peer),
        release(table, sql, outbox),
        reclaim(table, sql, outbox, metrics),
        parent_events(table, sql),
        consumer("peer", outbox, transport, nullptr, metrics) {
    using Kind = events::Consumer::Kind;
    consumer.On(kOwnerCreated, Kind::kHint, [this](events::Tx& tx, const events::Event& event) {
      const auto words = Words(event.payload);
      return parent_events.OnCreated(tx, ToInt(words[0]), words[1]);
    });
    consumer.On(kOwnerDeleted, Kind::kDeletion, [this](events::Tx& tx, const events::Event& event) {
      const auto words = Words(event.payload);
      return parent_events.OnDeleted(tx, {{ToInt(words[0]), words[1]}}, ToInt(words[2]));
    });
  }

  const relation::ReferenceTable table;
  const relation::ReferenceSql sql;
  relation::Guard guard;
  relation::Release release;
  relation::Reclaim reclaim;
  relation::ParentEvents parent_events;
  NoTransport transport;
  events::Consumer consumer;
};

void ItemService::PartsDeleter::operator()(Parts* parts) const { delete parts; }

ItemService::ItemService(const std::string& backend, std::vector<std::string> relationships, int pool_size)
    : ShopService(backend, kItemTables, pool_size), relationships_(std::move(relationships)) {
  Restart();
}

void ItemService::Restart() {
  parts_.reset();
  Reopen();
  parts_.reset(new Parts(relationships_, outbox(), peer, metrics()));
}

absl::Status ItemService::Write(const std::vector<int64_t>& owners, const Body& body,
                                relation::Guard::Unknown if_unknown) {
  return parts_->guard.Write(TestCall(), relationships_.front(), owners, body, if_unknown);
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
  request.id = owner;
  request.uid = UidOf(owner);
  request.deletion_id = deletion_id;
  request.as_of_sequence = as_of_sequence;
  return Release(request);
}

absl::StatusOr<relation::ReleaseAnswer> ItemService::Release(const relation::ReleaseRequest& request) {
  return parts_->release.Run(TestCall(), request);
}

events::Draft ItemService::Created(int64_t owner) {
  return {kOwnerCreated, errors::ResourceName(kOwner, owner), absl::StrCat(owner, " ", UidOf(owner))};
}

events::Draft ItemService::Deleted(int64_t owner, int64_t deletion_id) {
  return {kOwnerDeleted, errors::ResourceName(kOwner, owner), absl::StrCat(owner, " ", UidOf(owner), " ", deletion_id)};
}

absl::Status ItemService::Consume(const std::vector<events::Draft>& drafts) {
  events::Batch batch{kFeedId, Consumed(), Consumed(), {}};
  for (const events::Draft& draft : drafts) {
    events::Event event;
    event.sequence = ++batch.through;
    event.type = draft.type;
    event.subject = draft.subject;
    event.payload = draft.payload;
    batch.events.push_back(std::move(event));
  }
  return Apply(batch);
}

absl::Status ItemService::Apply(const events::Batch& batch) { return parts_->consumer.Apply(batch); }

bool ItemService::ReclaimRound() {
  const auto more = parts_->reclaim.Round(TestCall());
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
  Parts(const std::vector<std::string>& relationships, events::Outbox& outbox, relation::Peer& peer,
        std::function<absl::Time()> now, telemetry::Metrics& metrics)
      : table(OwnersAsParents(relationships)),
        deletions(table, outbox, peer, std::move(now), metrics),
        lookup(table, outbox.database()),
        consumer("peer", outbox, transport, nullptr, metrics) {
    const std::string relationship = relationships.front();
    consumer.On(kOwnerReclaimed, events::Consumer::Kind::kNormal,
                [this, relationship](events::Tx& tx, const events::Event& event) {
                  const auto words = Words(event.payload);
                  int64_t items = 0;
                  for (const std::string& word : words) {
                    if (absl::StrContains(word, relationship + "="))
                      items = ToInt(word.substr(relationship.size() + 1));
                  }
                  return deletions.OnReclaimed(tx, ToInt(words[0]), {{relationship, items}});
                });
  }

  const relation::ParentTable table;
  relation::Deletions deletions;
  relation::Lookup lookup;
  NoTransport transport;
  events::Consumer consumer;
};

void OwnerService::PartsDeleter::operator()(Parts* parts) const { delete parts; }

OwnerService::OwnerService(const std::string& backend, std::vector<std::string> relationships, int pool_size)
    : ShopService(backend, kOwnerTables, pool_size), relationships_(std::move(relationships)) {
  Restart();
}

void OwnerService::Restart() {
  parts_.reset();
  Reopen();
  parts_.reset(new Parts(
      relationships_, outbox(), peer, [this] { return absl::FromUnixMicros(clock_); }, metrics()));
}

int64_t OwnerService::Create() {
  int64_t id = 0;
  const absl::Status status = outbox().Transact(TestCall(), "test", [&](events::Tx& tx) -> absl::Status {
    const db::Sql insert{"owners.insert", "INSERT INTO owners (uid, state, version) VALUES (?, 1, 1)"};
    const std::string uid = NewUuid();
    CROSSKEY_ASSIGN_OR_RETURN(id, tx.db().Insert(insert, uid));
    tx.Append({kOwnerCreated, errors::ResourceName(kOwner, id), absl::StrCat(id, " ", uid)});
    return absl::OkStatus();
  });
  EXPECT_THAT(status, IsOk());
  return id;
}

absl::StatusOr<std::optional<relation::Deletion>> OwnerService::Delete(int64_t owner,
                                                                       std::optional<relation::Action> action) {
  relation::DeleteRequest request;
  request.id = owner;
  request.action = action;
  return Delete(request);
}

absl::StatusOr<std::optional<relation::Deletion>> OwnerService::Delete(const relation::DeleteRequest& request) {
  return parts_->deletions.Delete(TestCall(), request);
}

absl::StatusOr<relation::Deletion> OwnerService::Latest(int64_t owner) {
  return parts_->deletions.Latest(TestCall(), owner);
}

absl::Status OwnerService::Recover() { return parts_->deletions.Recover(TestCall()); }

absl::Status OwnerService::Purge() { return parts_->deletions.Purge(TestCall()).status(); }

absl::Status OwnerService::ConsumeReclaimed(int64_t deletion_id, int64_t items) {
  events::Event event;
  event.sequence = Consumed() + 1;
  event.type = kOwnerReclaimed;
  event.payload = absl::StrCat(deletion_id, " 0 uid ", relationships_.front(), "=", items);
  return Apply({kFeedId, event.sequence - 1, event.sequence, {event}});
}

absl::Status OwnerService::Apply(const events::Batch& batch) { return parts_->consumer.Apply(batch); }

absl::StatusOr<relation::LookupAnswer> OwnerService::Lookup(const std::vector<int64_t>& owners) {
  return parts_->lookup.Run(TestCall(), owners);
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

Shop::Shop(const std::string& backend, const std::vector<std::string>& relationships)
    : owners(backend, relationships), items(backend, relationships) {
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
