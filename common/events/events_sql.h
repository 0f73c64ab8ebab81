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
inline const db::Sql kUnnumberedBefore{"feed.unnumbered_before",
                                       "SELECT id FROM outbox WHERE sequence IS NULL AND time <= ? LIMIT 1"};
inline const db::Sql kSetHead{"sequencer.set_head", "UPDATE feed SET head = ? WHERE name = 'own'"};

inline const db::Sql kInfo{"feed.info", "SELECT feed_id, floor, head FROM feed WHERE name = 'own'"};
inline const db::Sql kFeedId{"feed.id", "SELECT feed_id FROM feed WHERE name = 'own'"};
inline const db::Sql kNameFeed{"feed.name", "UPDATE feed SET feed_id = ? WHERE name = 'own' AND feed_id = ''"};
// One statement, and so one state of the log, finds the wanted events and the others, whose payloads are null. If it
// left the others out, an event that is trimmed meanwhile could not be told from one that nobody asked for. It begins
// with the event that the reader has, which has to be the same one.
inline const db::Sql kRead{
    "feed.read",
    "SELECT sequence, event_id, type, subject, time, traceparent, "
    "CASE WHEN ? = 0 OR type IN (?) THEN payload END FROM outbox WHERE sequence >= ? ORDER BY sequence LIMIT ?"};

// Numbered events never change, so the statement that looks for old ones needs no lock. The transaction that removes
// events raises the floor first: that locks the feed's row, and changes nothing if another process has been faster.
inline const db::Sql kOldest{
    "trim.oldest",
    "SELECT sequence, time, event_id FROM outbox WHERE sequence > ? AND sequence <= ? ORDER BY sequence"};
inline const db::Sql kRaiseFloor{"trim.raise_floor",
                                 "UPDATE feed SET floor = ? WHERE name = 'own' AND feed_id = ? AND floor = ?"};
// What was removed last is kept by its id, so that a reader which stands there can still be compared.
inline const db::Sql kFloorIs{"trim.floor_is", "UPDATE histories SET sequence = ?, event_id = ? WHERE name = 'own'"};
inline const db::Sql kTrim{"trim.remove", "DELETE FROM outbox WHERE sequence > ? AND sequence <= ?"};
inline const db::Sql kOldestUnnumbered{"liveness.oldest_unnumbered",
                                       "SELECT time FROM outbox WHERE sequence IS NULL ORDER BY id LIMIT 1"};

inline const db::Sql kEventAt{"feed.event_at", "SELECT event_id FROM outbox WHERE sequence = ? LIMIT 1"};

// A process of an older release moves the checkpoint and leaves the event id behind.
inline const db::Sql kPositions{
    "feed.positions",
    "SELECT c.feed, c.feed_id, c.last_sequence, CASE WHEN h.sequence = c.last_sequence THEN h.event_id ELSE '' END, "
    "h.state FROM checkpoints c {then} histories h ON h.name = c.feed WHERE c.feed > '' ORDER BY c.feed LIMIT 100"};
inline const db::Sql kCheckpoint{
    "consumer.checkpoint",
    "SELECT c.feed_id, c.last_sequence, CASE WHEN h.sequence = c.last_sequence THEN h.event_id ELSE '' END, h.state, "
    "h.reason FROM checkpoints c {then} histories h ON h.name = c.feed WHERE c.feed = ?"};
inline const db::Sql kConsumed{"consumer.consumed",
                               "SELECT c.feed_id, c.last_sequence, h.state FROM checkpoints c {then} histories h ON "
                               "h.name = c.feed WHERE c.feed = ?"};
// The first statement of every consuming transaction: it locks the checkpoint, and changes nothing if another consumer
// has moved it.
inline const db::Sql kAdvance{
    "consumer.advance",
    "UPDATE checkpoints SET feed_id = ?, last_sequence = ?, last_deletion_sequence = CASE WHEN last_deletion_sequence "
    "< ? "
    "THEN ? ELSE last_deletion_sequence END WHERE feed = ? AND last_sequence = ? AND feed_id IN ('', ?)"};
// The second statement: it keeps the id of the last event as a witness, and changes nothing if the feed must not be
// consumed.
inline const db::Sql kNoteConsumed{"consumer.note",
                                   "UPDATE histories SET sequence = ?, event_id = ? WHERE name = ? AND state = 1"};
// Changes nothing if a repair has begun a new history meanwhile.
inline const db::Sql kMismatch{
    "consumer.mismatch",
    "UPDATE histories SET state = 2, reason = ? WHERE name = ? AND state = 1 AND EXISTS (SELECT 1 FROM checkpoints "
    "WHERE feed = ? AND feed_id = ?)"};
// The fence of common/relation. The transaction that adds a reference row holds this shared lock, so that no deletion
// is consumed, and no repair begins or ends, before it ends.
inline const db::Sql kFence{
    "consumer.fence",
    "SELECT c.last_sequence, c.last_deletion_sequence, c.feed_id, h.state, h.reason FROM checkpoints c {then} "
    "histories h ON h.name = c.feed WHERE c.feed = ? {share}"};

}  // namespace crosskey::events::sql
