-- The local shadow of the users that posts refer to. state: 1 active, 2 released, 3 reclaiming.
CREATE TABLE user_refs (
  id INTEGER PRIMARY KEY,
  uid TEXT NOT NULL,
  state INTEGER NOT NULL,
  refused_through INTEGER NOT NULL DEFAULT 0,
  deletion_id INTEGER NOT NULL DEFAULT 0,
  posts_reclaimed INTEGER NOT NULL DEFAULT 0
);
CREATE INDEX user_refs_by_state ON user_refs (state, id);

-- The foreign key has no action of its own: the protocol decides, and this is the net below it.
-- content_bytes lets a list find out where its page ends without reading the content.
CREATE TABLE posts (
  id INTEGER PRIMARY KEY AUTOINCREMENT,
  uid TEXT NOT NULL,
  user_id INTEGER NOT NULL REFERENCES user_refs (id),
  title TEXT NOT NULL,
  content TEXT NOT NULL,
  content_bytes INTEGER NOT NULL,
  version INTEGER NOT NULL,
  create_time INTEGER NOT NULL,
  update_time INTEGER NOT NULL
);
CREATE UNIQUE INDEX posts_by_uid ON posts (uid);
CREATE INDEX posts_by_user ON posts (user_id, id);

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
INSERT INTO checkpoints (feed, feed_id, last_sequence, last_deletion_sequence) VALUES ('user-service', '', 0, 0);
