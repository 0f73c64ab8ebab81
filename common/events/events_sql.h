// The SQL of the event log and of the checkpoints. schema.h has the tables.
#pragma once

#include "common/db/sql.h"

namespace crosskey::events::sql {

// One statement for all events of a transaction, so their ids ascend in the order of the Append calls.
inline const db::Sql kAppend{
    "outbox.append",
    "INSERT INTO outbox (event_id, type, subject, time, traceparent, payload) VALUES (?, ?, ?, ?, ?, {binary}?)"};

inline const db::Sql kLockHead{"sequencer.lock_head", "SELECT head FROM feed WHERE name = 'own' {update}"};
inline const db::Sql kUnnumbered{"sequencer.unnumbered",
                                 "SELECT id FROM outbox WHERE sequence IS NULL ORDER BY id LIMIT ?"};
inline const db::Sql kSetHead{"sequencer.set_head", "UPDATE feed SET head = ? WHERE name = 'own'"};

inline const db::Sql kInfo{"feed.info", "SELECT feed_id, floor, head FROM feed WHERE name = 'own'"};
inline const db::Sql kNameFeed{"feed.name", "UPDATE feed SET feed_id = ? WHERE name = 'own' AND feed_id = ''"};
// One statement, and so one state of the log, finds the wanted events and the others, whose payloads are null. If it
// left the others out, an event that is trimmed meanwhile could not be told from one that nobody asked for.
inline const db::Sql kRead{
    "feed.read",
    "SELECT sequence, event_id, type, subject, time, traceparent, "
    "CASE WHEN ? = 0 OR type IN (?) THEN payload END FROM outbox WHERE sequence > ? ORDER BY sequence LIMIT ?"};

// Numbered events never change, so the statement that looks for old ones needs no lock. The transaction that removes
// events raises the floor first: that locks the feed's row, and changes nothing if another process has been faster.
inline const db::Sql kOldest{
    "trim.oldest", "SELECT sequence, time FROM outbox WHERE sequence > ? AND sequence <= ? ORDER BY sequence"};
inline const db::Sql kRaiseFloor{"trim.raise_floor",
                                 "UPDATE feed SET floor = ? WHERE name = 'own' AND feed_id = ? AND floor = ?"};
inline const db::Sql kTrim{"trim.remove", "DELETE FROM outbox WHERE sequence > ? AND sequence <= ?"};
inline const db::Sql kOldestUnnumbered{"liveness.oldest_unnumbered",
                                       "SELECT time FROM outbox WHERE sequence IS NULL ORDER BY id LIMIT 1"};

inline const db::Sql kPositions{
    "feed.positions", "SELECT feed, feed_id, last_sequence FROM checkpoints WHERE feed > '' ORDER BY feed LIMIT 100"};
inline const db::Sql kCheckpoint{"consumer.checkpoint",
                                 "SELECT feed_id, last_sequence FROM checkpoints WHERE feed = ?"};
// The first statement of every consuming transaction: it locks the checkpoint, and changes nothing if another consumer
// has moved it.
inline const db::Sql kAdvance{
    "consumer.advance",
    "UPDATE checkpoints SET feed_id = ?, last_sequence = ?, last_deletion_sequence = CASE WHEN last_deletion_sequence "
    "< ? "
    "THEN ? ELSE last_deletion_sequence END WHERE feed = ? AND last_sequence = ? AND feed_id IN ('', ?)"};
// The fence of common/relation. The transaction that adds a reference row holds this shared lock, so that no deletion
// is consumed before it ends.
inline const db::Sql kLastDeletion{"consumer.last_deletion",
                                   "SELECT last_deletion_sequence FROM checkpoints WHERE feed = ? {share}"};

}  // namespace crosskey::events::sql
