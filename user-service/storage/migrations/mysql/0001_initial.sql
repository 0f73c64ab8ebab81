-- Users, and the records of their deletions.
-- username is bytes: compared exactly on MariaDB and MySQL alike, without the padding of utf8mb4_bin.
CREATE TABLE users (
  id BIGINT NOT NULL AUTO_INCREMENT PRIMARY KEY,
  uid CHAR(36) CHARACTER SET ascii COLLATE ascii_bin NOT NULL,
  username VARBINARY(200) NOT NULL,
  state TINYINT NOT NULL,
  version BIGINT NOT NULL,
  create_time BIGINT NOT NULL,
  update_time BIGINT NOT NULL,
  UNIQUE KEY users_by_uid (uid),
  UNIQUE KEY users_by_username (username)
) ENGINE=InnoDB DEFAULT CHARACTER SET utf8mb4;

-- One row for each run of the protocol. InnoDB keeps the counter over restarts, so a deletion_id is never used again.
CREATE TABLE user_deletions (
  deletion_id BIGINT NOT NULL AUTO_INCREMENT PRIMARY KEY,
  user_id BIGINT NOT NULL,
  uid CHAR(36) CHARACTER SET ascii COLLATE ascii_bin NOT NULL,
  action TINYINT NOT NULL,
  state TINYINT NOT NULL,
  blocked_reason VARCHAR(200) NOT NULL,
  posts BIGINT NOT NULL DEFAULT 0,
  create_time BIGINT NOT NULL,
  complete_time BIGINT,
  KEY user_deletions_by_user (user_id, deletion_id),
  KEY user_deletions_by_age (state, create_time),
  KEY user_deletions_by_end (state, complete_time)
) ENGINE=InnoDB DEFAULT CHARACTER SET utf8mb4;

-- The event log. sequence is null until the sequencer has numbered the committed row. Its index is not unique, because from a
-- unique one MariaDB does not take the order by id; that sequences are unique and gapless is checked by every consumer.
CREATE TABLE outbox (
  id BIGINT NOT NULL AUTO_INCREMENT PRIMARY KEY,
  sequence BIGINT,
  event_id CHAR(36) CHARACTER SET ascii COLLATE ascii_bin NOT NULL,
  type VARCHAR(100) CHARACTER SET ascii COLLATE ascii_bin NOT NULL,
  subject VARCHAR(100) CHARACTER SET ascii COLLATE ascii_bin NOT NULL,
  time BIGINT NOT NULL,
  traceparent VARBINARY(64) NOT NULL,
  payload MEDIUMBLOB NOT NULL,
  KEY outbox_by_sequence (sequence, id)
) ENGINE=InnoDB DEFAULT CHARACTER SET utf8mb4;

-- The one row of this service's own feed.
CREATE TABLE feed (
  name VARCHAR(40) CHARACTER SET ascii COLLATE ascii_bin NOT NULL PRIMARY KEY,
  feed_id VARCHAR(36) CHARACTER SET ascii COLLATE ascii_bin NOT NULL,
  head BIGINT NOT NULL
) ENGINE=InnoDB DEFAULT CHARACTER SET utf8mb4;
INSERT INTO feed (name, feed_id, head) VALUES ('own', '', 0);

-- How far the peer's feed has taken effect here.
CREATE TABLE checkpoints (
  feed VARCHAR(40) CHARACTER SET ascii COLLATE ascii_bin NOT NULL PRIMARY KEY,
  feed_id VARCHAR(36) CHARACTER SET ascii COLLATE ascii_bin NOT NULL,
  last_sequence BIGINT NOT NULL,
  last_deletion_sequence BIGINT NOT NULL
) ENGINE=InnoDB DEFAULT CHARACTER SET utf8mb4;
INSERT INTO checkpoints (feed, feed_id, last_sequence, last_deletion_sequence) VALUES ('post-service', '', 0, 0);
