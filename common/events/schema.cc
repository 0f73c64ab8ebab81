#include "common/events/schema.h"

#include "absl/strings/str_cat.h"
#include "absl/strings/substitute.h"
#include "common/db/cluster_locks.h"
#include "common/events/history.h"

namespace crosskey::events {
namespace {

constexpr char kLog[] = R"(
-- The event log. sequence is null until the sequencer has numbered the committed row. Its index is not unique, because from a
-- unique one MariaDB does not take the order by id; that sequences are unique and gapless is checked by every consumer.
CREATE TABLE IF NOT EXISTS outbox (
  id {counter},
  sequence BIGINT,
  event_id {uuid} NOT NULL,
  type {ascii 100} NOT NULL,
  subject {ascii 100} NOT NULL,
  time BIGINT NOT NULL,
  traceparent {bytes 64} NOT NULL,
  payload {blob} NOT NULL,
  {index outbox_by_sequence (sequence, id)}
) {table};

-- The one row of this service's own feed. floor: the last event that has been removed from the log; 0: none.
CREATE TABLE IF NOT EXISTS feed (
  name {ascii 40} NOT NULL PRIMARY KEY,
  feed_id {ascii 36} NOT NULL,
  head BIGINT NOT NULL,
  floor BIGINT NOT NULL DEFAULT 0
) {table};
INSERT INTO feed (name, feed_id, head) VALUES ('own', '', 0) {keep name};

-- How far the feeds of others have taken effect here.
CREATE TABLE IF NOT EXISTS checkpoints (
  feed {ascii 40} NOT NULL PRIMARY KEY,
  feed_id {ascii 36} NOT NULL,
  last_sequence BIGINT NOT NULL,
  last_deletion_sequence BIGINT NOT NULL
) {table};
)";

// By a migration and not at every start: a checkpoint that vanished must not begin anew by itself.
constexpr char kCheckpoint[] =
    "INSERT INTO checkpoints (feed, feed_id, last_sequence, last_deletion_sequence) VALUES ('$0', '', 0, 0) "
    "{keep feed};\n";

}  // namespace

std::vector<db::Component> Schema(const std::vector<std::string>& feeds) {
  std::vector<db::Component> components = {{"events", {{1, "0001_initial", kLog}}}, db::ClusterLocksSchema()};
  for (const std::string& feed : feeds) {
    components.push_back(
        {absl::StrCat("events.", feed), {{1, "0001_checkpoint", absl::Substitute(kCheckpoint, feed)}}});
  }
  for (db::Component& component : History::Schema(feeds)) components.push_back(std::move(component));
  return components;
}

}  // namespace crosskey::events
