// Every place where a test can make a service die, fail or wait. What is not listed here is no fault point.
#pragma once

namespace crosskey::fault {

// Write transactions. Each has two points, "NAME.before_commit" and "NAME.after_commit"; to fail there means that the
// answer to the COMMIT is lost, before or after it took effect.
inline constexpr const char* kTransactions[] = {
    "deletion.intent",        // parent: the row is DELETING
    "deletion.decide",        // parent: the drop, or the refusal
    "deletion.note_blocked",  // parent: why an intent does not move
    "release",                // child: the tombstone, or refused_through
    "guarded_write",          // child: any write of a child row
    "reclaim",                // child: one batch, or the end
    "reclaim.hidden",         // child: one batch of rows that were parents themselves
    "sequencer",              // both: numbers given to events
    "consumer",               // both: a batch of the peer's events
};

// Write transactions of a repair.
inline constexpr const char* kRepairTransactions[] = {
    "repair.begin",      // the consumer rests
    "repair.point",      // other side: a new feed_id, raised ids
    "repair.fence",      // the new history is the one that is known
    "repair.list",       // a page of reference rows
    "repair.complete",   // own deletions that are over
    "repair.take_over",  // deletions of the other side that are open
    "repair.end",        // the consumer goes on
};

// The write transaction that proves an answer.
inline constexpr char kVerdict[] = "verdict";  // publisher: a subscriber is told that its history does not go on

// Messages. A point "send" is reached before the message leaves, "received" before the receiver acts, and "answered"
// when the answer has come back.
inline constexpr char kReleaseSend[] = "release.send";
inline constexpr char kReleaseReceived[] = "release.received";
inline constexpr char kReleaseAnswered[] = "release.answered";
inline constexpr char kLookupSend[] = "lookup.send";
inline constexpr char kLookupReceived[] = "lookup.received";
inline constexpr char kLookupAnswered[] = "lookup.answered";
inline constexpr char kFeedSend[] = "feed.send";          // before a batch of events is written, but not a bookmark
inline constexpr char kFeedSent[] = "feed.sent";          // after it has been written
inline constexpr char kFeedReceived[] = "feed.received";  // in the consumer, before its transaction
// Reached between the lock of the reference rows and the write that it protects.
inline constexpr char kGuardLocked[] = "guarded_write.locked";
// Reached between the exclusive lock of the reference row and the decision.
inline constexpr char kReleaseLocked[] = "release.locked";

inline constexpr const char* kMessages[] = {kReleaseSend,    kReleaseReceived, kReleaseAnswered, kLookupSend,
                                            kLookupReceived, kLookupAnswered,  kFeedSend,        kFeedSent,
                                            kFeedReceived,   kGuardLocked,     kReleaseLocked};

// The steps of `restore`: the copy is ready, the database before has its second name, nothing of it is beside the name
// that the copy will get, the copy has that name.
inline constexpr char kRestoreReady[] = "restore.ready";
inline constexpr char kRestoreKept[] = "restore.kept";
inline constexpr char kRestoreCleared[] = "restore.cleared";
inline constexpr char kRestorePlaced[] = "restore.placed";

inline constexpr const char* kRestore[] = {kRestoreReady, kRestoreKept, kRestoreCleared, kRestorePlaced};

}  // namespace crosskey::fault
