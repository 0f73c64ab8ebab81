-- Users, and the records of their deletions.
CREATE TABLE users (
  id INTEGER PRIMARY KEY AUTOINCREMENT,
  uid TEXT NOT NULL,
  username TEXT NOT NULL,
  state INTEGER NOT NULL,
  version INTEGER NOT NULL,
  create_time INTEGER NOT NULL,
  update_time INTEGER NOT NULL
);
CREATE UNIQUE INDEX users_by_uid ON users (uid);
CREATE UNIQUE INDEX users_by_username ON users (username);

-- One row for each run of the protocol. AUTOINCREMENT, so that a deletion_id is never used again.
CREATE TABLE user_deletions (
  deletion_id INTEGER PRIMARY KEY AUTOINCREMENT,
  user_id INTEGER NOT NULL,
  uid TEXT NOT NULL,
  action INTEGER NOT NULL,
  state INTEGER NOT NULL,
  blocked_reason TEXT NOT NULL,
  posts INTEGER NOT NULL DEFAULT 0,
  create_time INTEGER NOT NULL,
  complete_time INTEGER
);
CREATE INDEX user_deletions_by_user ON user_deletions (user_id, deletion_id);
CREATE INDEX user_deletions_by_age ON user_deletions (state, create_time);
CREATE INDEX user_deletions_by_end ON user_deletions (state, complete_time);

-- The event log. sequence is null until the sequencer has numbered the committed row.
CREATE TABLE outbox (
  id INTEGER PRIMARY KEY AUTOINCREMENT,
  sequence INTEGER,
  event_id TEXT NOT NULL,
  type TEXT NOT NULL,
  subject TEXT NOT NULL,
  time INTEGER NOT NULL,
  traceparent TEXT NOT NULL,
  payload BLOB NOT NULL
);
CREATE INDEX outbox_by_sequence ON outbox (sequence, id);

-- The one row of this service's own feed.
CREATE TABLE feed (
  name TEXT NOT NULL PRIMARY KEY,
  feed_id TEXT NOT NULL,
  head INTEGER NOT NULL
);
INSERT INTO feed (name, feed_id, head) VALUES ('own', '', 0);

-- How far the peer's feed has taken effect here.
CREATE TABLE checkpoints (
  feed TEXT NOT NULL PRIMARY KEY,
  feed_id TEXT NOT NULL,
  last_sequence INTEGER NOT NULL,
  last_deletion_sequence INTEGER NOT NULL
);
INSERT INTO checkpoints (feed, feed_id, last_sequence, last_deletion_sequence) VALUES ('post-service', '', 0, 0);
