// A pair of services that are nothing but the mechanism: owners in the one, items that refer to them in the other.
#pragma once

#include <atomic>
#include <functional>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <vector>

#include "common/db/database.h"
#include "common/events/consumer.h"
#include "common/events/feed.h"
#include "common/events/outbox.h"
#include "common/relation/child/child.h"
#include "common/relation/declarations.h"
#include "common/relation/parent/deletions.h"
#include "common/relation/parent/lookup.h"
#include "common/relation/visibility.h"
#include "tests/conformance/storage.h"
#include "tests/support/fake_peer.h"
#include "tests/support/recorder.h"
#include "tests/support/status_matchers.h"
#include "tests/support/test_database.h"
#include "tests/support/wait.h"

namespace crosskey::testing {

inline constexpr char kOwner[] = "shop.v1.Owner";
inline constexpr char kItemOwner[] = "shop.v1.Item.owner_id";      // CASCADE
inline constexpr char kItemKeeper[] = "shop.v1.Item.keeper_id";    // SET_NULL
inline constexpr char kItemSponsor[] = "shop.v1.Item.sponsor_id";  // RESTRICT
// These two are stored in items.owner_id as well, but declare another action.
inline constexpr char kFrozenItemOwner[] = "shop.v1.FrozenItem.owner_id";  // RESTRICT
inline constexpr char kLooseItemOwner[] = "shop.v1.LooseItem.owner_id";    // SET_NULL

// States of rows, as they are stored. kAbsent: there is no row.
inline constexpr int64_t kAbsent = 0;
inline constexpr int64_t kActive = 1;
inline constexpr int64_t kDeleting = 2;    // an owner
inline constexpr int64_t kReleased = 2;    // a reference row
inline constexpr int64_t kReclaiming = 3;  // a reference row

// Thrown where a process is to end without notice: nothing runs after it, and no transaction that is open commits.
struct Crash {};

std::string UidOf(int64_t owner);
// What the owners' service answers to a lookup of owners that exist.
relation::LookupAnswer AnswerOf(const std::vector<int64_t>& owners, int64_t as_of_sequence = 0, bool deleting = false);
relation::Declaration Declared(const std::string& relationship);

// The relationships that a test adds to those of the shop.
struct Addition {
  std::vector<const google::protobuf::FileDescriptor*> files;  // with declarations
  std::string tables;                                          // text of a migration of the items' service
  std::vector<std::string> relationships;                      // to owners, of types in these files
};

// What both services have: a database, the events that they publish, and a peer.
class ShopService {
 public:
  ShopService(const std::string& backend, db::Schema schema, std::vector<std::string> relationships, int pool_size);

  int64_t Number(const std::string& query) const { return tables_.Number(query); }
  std::vector<int64_t> Numbers(const std::string& query) const;  // the first column
  void Run(const std::string& statement) const { tables_.Run(statement); }
  bool is_sqlite() const { return tables_.is_sqlite(); }
  db::Database& database() { return *database_; }

  // The published events in order, each as "type fields". The fields are ids, uids, and the counts of the relationships
  // that this service uses.
  std::vector<std::string> Events() const;
  std::string LastEvent() const;  // empty if there is none
  // Numbers the published events that have no number yet, and returns all events after `after`.
  events::Batch ReadFeed(int64_t after);
  int64_t Head() const { return Number("SELECT head FROM feed"); }
  int64_t Consumed() const { return Number("SELECT last_sequence FROM checkpoints"); }
  Sequence ConsumedThrough() const { return Sequence{Consumed()}; }

  // Runs `hook` once, on the thread that executes the statement of this name, right after it.
  void After(const std::string& statement, std::function<void()> hook);
  // Throws Crash after the `count`th statement from now, once.
  void CrashAfter(int count) { crash_after_ = count; }
  // Takes CrashAfter back. False: the crash has happened.
  bool CancelCrash() { return crash_after_.exchange(0) > 0; }

  // Returns when a transaction waits for a lock. On SQLite at once, because nobody waits for a row there: the
  // transaction that comes second cannot even begin.
  void AwaitLockWait() const;

  FakePeer peer;
  Recorder sql;

 protected:
  // Opens the database again, with new sessions, as a new process does.
  void Reopen();

  events::Outbox& outbox() { return *outbox_; }
  telemetry::Metrics& metrics() { return *metrics_; }
  const std::vector<std::string>& relationships() const { return relationships_; }
  const TestDatabase& tables() const { return tables_; }

 private:
  void Observe(const std::string& statement);

  const TestDatabase tables_;
  const std::vector<std::string> relationships_;
  const int pool_size_;
  std::unique_ptr<telemetry::Metrics> metrics_;
  std::unique_ptr<db::Database> database_;
  std::unique_ptr<events::Outbox> outbox_;
  std::mutex mutex_;
  std::vector<std::pair<std::string, std::function<void()>>> hooks_;
  std::atomic<int> crash_after_ = 0;
};

// The child: items(id, uid, owner_id, keeper_id, sponsor_id), which refer to owner_refs.
class ItemService : public ShopService {
 public:
  using Body = std::function<absl::Status(events::Tx&)>;

  explicit ItemService(const std::string& backend, std::vector<std::string> relationships = {kItemOwner},
                       int pool_size = 6, Addition addition = {});
  // Everything but the database is made anew.
  void Restart();

  relation::Guard& guard();
  // For all tables that refer to owners.
  const relation::Visibility& visibility() const;

  // Guarded writes.
  absl::Status Write(const std::vector<int64_t>& owners, const Body& body,
                     relation::Guard::Unknown if_unknown = relation::Guard::Unknown::kAsk);
  absl::Status AddItem(int64_t owner) { return AddItems(owner, 1); }
  absl::Status AddItems(int64_t owner, int count, const std::string& column = "owner_id");
  // Inserts items without a guard, for the body of a guarded write.
  static absl::Status Insert(events::Tx& tx, int64_t owner, int count = 1, const std::string& column = "owner_id");

  absl::StatusOr<relation::ReleaseAnswer> Release(int64_t owner, int64_t deletion_id, int64_t as_of_sequence = 0);
  absl::StatusOr<relation::ReleaseAnswer> Release(const relation::ReleaseRequest& request);

  // Consume events, as the next ones of the owners' feed.
  absl::Status ConsumeCreated(int64_t owner) { return Consume({Created(owner)}); }
  absl::Status ConsumeDeleted(int64_t owner, int64_t deletion_id) { return Consume({Deleted(owner, deletion_id)}); }
  absl::Status Consume(const std::vector<events::Draft>& drafts);
  absl::Status Apply(const events::Batch& batch);
  static events::Draft Created(int64_t owner, const std::string& uid = "");
  static events::Draft Deleted(int64_t owner, int64_t deletion_id, const std::string& uid = "");

  // One round of the reclaim; the test fails if the round does. Returns whether there may be more to do.
  bool ReclaimRound();
  // Rounds of the reclaim until nothing is left to do.
  void ReclaimAll();

  // Adds ACTIVE reference rows for owners, as their OwnerCreated would.
  void Know(const std::vector<int64_t>& owners);
  int64_t StateOf(int64_t owner) const;
  int64_t Items(int64_t owner, const std::string& column = "owner_id") const;
  int64_t AllItems() const { return Number("SELECT COUNT(*) FROM items"); }

 private:
  const Addition addition_;
  struct Parts;
  struct PartsDeleter {
    void operator()(Parts* parts) const;
  };

  std::unique_ptr<Parts, PartsDeleter> parts_;
};

// The event that a draft becomes when it gets this number in the feed.
events::Event EventOf(int64_t sequence, const events::Draft& draft);

// The parent: owners(id, uid, state, version) and their deletions.
class OwnerService : public ShopService {
 public:
  explicit OwnerService(const std::string& backend, std::vector<std::string> relationships = {kItemOwner},
                        int pool_size = 6, Addition addition = {});
  void Restart();

  int64_t Create();
  absl::StatusOr<std::optional<relation::Deletion>> Delete(int64_t owner,
                                                           std::optional<relation::Action> action = std::nullopt);
  absl::StatusOr<std::optional<relation::Deletion>> Delete(const relation::DeleteRequest& request);
  absl::StatusOr<relation::Deletion> Latest(int64_t owner);
  absl::Status Recover();
  absl::Status Purge();
  // Consumes the peer's report that a deletion's rows are gone, as the next event of its feed.
  // The report has the uid of the deletion, unless another one is given.
  absl::Status ConsumeReclaimed(DeletionId deletion_id, int64_t items, const std::string& uid = "");
  absl::Status Apply(const events::Batch& batch);
  absl::StatusOr<relation::LookupAnswer> Lookup(const std::vector<int64_t>& owners);

  // Moves the clock that deletions see.
  void Advance(absl::Duration time) { clock_ += absl::ToInt64Microseconds(time); }

  int64_t StateOf(int64_t owner) const;
  int64_t Version(int64_t owner) const;
  // The records of an owner's deletions: their states, oldest first.
  std::vector<relation::DeletionState> Deletions(int64_t owner) const;

 private:
  struct Parts;
  struct PartsDeleter {
    void operator()(Parts* parts) const;
  };

  const Addition addition_;
  std::atomic<int64_t> clock_ = 1'000'000'000'000'000;
  std::unique_ptr<Parts, PartsDeleter> parts_;
};

// Both services, connected: calls go through at once, events only when Settle delivers them.
class Shop {
 public:
  explicit Shop(const std::string& backend, const std::vector<std::string>& relationships = {kItemOwner},
                const Addition& addition = {});

  // Delivers events and reclaims until nothing moves any more.
  void Settle();
  // Counts the items that refer to an owner that does not exist, over both databases.
  int64_t Orphans() const;

  OwnerService owners;
  ItemService items;
};

}  // namespace crosskey::testing
