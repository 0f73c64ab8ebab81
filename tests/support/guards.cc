#include "tests/support/guards.h"

#include <atomic>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <vector>

#include "absl/strings/match.h"
#include "absl/strings/str_replace.h"
#include "absl/strings/strip.h"

namespace crosskey::testing {
namespace {

// One change of a statement's text. `statement` may begin with *, which stands for the name of a table.
struct Change {
  const char* guard;
  const char* statement;
  const char* from;
  const char* to;
  bool only_mysql = false;  // SQLite's text does not have this
};

const Change kChanges[] = {
    // A child write locks its reference rows.
    {"shared_lock", "*_refs.lock_shared", " LOCK IN SHARE MODE", "", true},
    {"shared_lock", "*_refs.hold",
     " /*!80001 FOR SHARE SKIP LOCKED */ /*M!50500 LOCK IN SHARE MODE */ /*M!100600 SKIP LOCKED */", "", true},
    // A child write is refused if a reference row is not ACTIVE.
    {"state_check", "*_refs.lock_shared", "SELECT id, state", "SELECT id, 1"},
    {"state_check", "*_refs.hold", "SELECT id, state", "SELECT id, 1"},
    // A release locks the reference row before it looks at it.
    {"exclusive_lock", "*_refs.lock", " FOR UPDATE", "", true},
    // The answer to a lookup never overwrites a reference row.
    {"add_only_if_absent", "*_refs.add", "DO NOTHING", "DO UPDATE SET state = excluded.state"},
    {"add_only_if_absent", "*_refs.add", "UPDATE id = id", "UPDATE state = VALUES(state)"},
    // The end of a stream says nothing of a history that a repair has begun meanwhile.
    {"history_of_stream", "consumer.mismatch", "AND feed_id = ?", "AND ? <> ''"},
    // The answer to a lookup is not used after a later deletion has been consumed.
    {"fence", "consumer.fence", ", c.last_deletion_sequence", ", 0"},
    // A late duplicate of a refused release is refused again.
    {"refused_through", "*_refs.lock", "refused_through", "0"},
    // Events are numbered once they are committed, not by their ids.
    {"sequencer", "sequencer.number", "SET sequence = CASE", "SET sequence = id + 0 * CASE"},
    {"sequencer", "sequencer.set_head", "SET head = ?", "SET head = (SELECT MAX(sequence) FROM outbox) + 0 * ?"},
    // The answer to a release decides a deletion only while that is still an intent.
    {"intent_only", "*_deletions.decide", " AND state = 1", ""},
    // Hidden rows are removed only after the parent's drop has been consumed.
    {"reclaim_after_drop", "*_refs.reclaimable", "state = 3", "state IN (3, 2)"},
    {"reclaim_after_drop", "*_refs.lock", "uid, state,", "uid, CASE state WHEN 2 THEN 3 ELSE state END,"},
    // Reads show only children of ACTIVE parents.
    {"visibility_join", "posts.get", " AND p_user.state = 1", ""},
    // A count of likes leaves out those of deleted users.
    {"like_count", "posts.get", "g.state > 1", "g.state > 9"},
    // A write to an existing post, and a like of it, locks the post.
    {"post_lock", "posts.lock", " FOR UPDATE", "", true},
    {"post_lock", "posts.lock_free", " FOR UPDATE /*!80001 SKIP LOCKED */ /*M!100600 SKIP LOCKED */", "", true},
};

std::atomic<uint64_t> missing = 0;  // a bit for each change

// Ends the process. Tests then fail, and tests/mutants must not think that they have noticed a missing guard: so the
// message also goes to the file that CROSSKEY_TEST_MISTAKES names.
[[noreturn]] void Mistake(const std::string& what) {
  std::fprintf(stderr, "guards: %s\n", what.c_str());
  const char* path = std::getenv("CROSSKEY_TEST_MISTAKES");
  std::FILE* file = path == nullptr ? nullptr : std::fopen(path, "a");
  if (file != nullptr) {
    std::fprintf(file, "%s\n", what.c_str());
    std::fclose(file);
  }
  std::_Exit(2);
}

bool IsOf(const Change& change, const std::string& statement) {
  absl::string_view name = change.statement;
  return absl::ConsumePrefix(&name, "*") ? absl::EndsWith(statement, name) : statement == name;
}

}  // namespace

void LeaveOut(const std::string& guard) {
  bool known = false;
  for (size_t i = 0; i < std::size(kChanges); ++i) {
    if (guard != kChanges[i].guard) continue;
    missing |= uint64_t{1} << i;
    known = true;
  }
  if (!known) Mistake(guard + " is no guard in SQL; one that is control flow is left out by tests/mutants, by a patch");
}

void LeaveOutGuards(db::Dialect dialect, const std::string& statement, std::string& text) {
  if (missing == 0) return;
  const char* guard = nullptr;
  bool changed = false;
  for (size_t i = 0; i < std::size(kChanges); ++i) {
    const Change& change = kChanges[i];
    if ((missing & (uint64_t{1} << i)) == 0 || !IsOf(change, statement)) continue;
    if (!change.only_mysql || dialect == db::Dialect::kMysql) guard = change.guard;
    changed = absl::StrReplaceAll({{change.from, change.to}}, &text) > 0 || changed;
  }
  if (guard != nullptr && !changed) Mistake(std::string(guard) + " is not in " + statement + ": " + text);
}

}  // namespace crosskey::testing
