-- The local shadow of the users that posts refer to. state: 1 active, 2 released, 3 reclaiming.
CREATE TABLE user_refs (
  id BIGINT NOT NULL PRIMARY KEY,
  uid CHAR(36) CHARACTER SET ascii COLLATE ascii_bin NOT NULL,
  state TINYINT NOT NULL,
  refused_through BIGINT NOT NULL DEFAULT 0,
  deletion_id BIGINT NOT NULL DEFAULT 0,
  posts_reclaimed BIGINT NOT NULL DEFAULT 0,
  KEY user_refs_by_state (state, id)
) ENGINE=InnoDB DEFAULT CHARACTER SET utf8mb4;

-- The foreign key has no action of its own: the protocol decides, and this is the net below it.
-- content_bytes lets a list find out where its page ends without reading the content.
CREATE TABLE posts (
  id BIGINT NOT NULL AUTO_INCREMENT PRIMARY KEY,
  uid CHAR(36) CHARACTER SET ascii COLLATE ascii_bin NOT NULL,
  user_id BIGINT NOT NULL,
  title VARCHAR(100) NOT NULL,
  content TEXT NOT NULL,
  content_bytes INT NOT NULL,
  version BIGINT NOT NULL,
  create_time BIGINT NOT NULL,
  update_time BIGINT NOT NULL,
  UNIQUE KEY posts_by_uid (uid),
  KEY posts_by_user (user_id, id),
  CONSTRAINT posts_user_id FOREIGN KEY (user_id) REFERENCES user_refs (id) ON DELETE NO ACTION ON UPDATE NO ACTION
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
INSERT INTO checkpoints (feed, feed_id, last_sequence, last_deletion_sequence) VALUES ('user-service', '', 0, 0);
