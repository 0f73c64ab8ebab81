-- username is bytes: compared exactly on MariaDB and MySQL alike, without the padding of utf8mb4_bin.
-- pinned_post_id is one-to-one: a post is pinned by one user at most. The foreign key has no action of its own: the protocol
-- decides, and this is the net below it.
CREATE TABLE IF NOT EXISTS users (
  id {counter},
  uid {uuid} NOT NULL,
  username {bytes 200} NOT NULL,
  state TINYINT NOT NULL,
  version BIGINT NOT NULL,
  create_time BIGINT NOT NULL,
  update_time BIGINT NOT NULL,
  pinned_post_id BIGINT,
  CONSTRAINT users_pinned_post_id FOREIGN KEY (pinned_post_id) REFERENCES post_refs (id),
  {unique users_by_uid (uid)},
  {unique users_by_username (username)},
  {unique users_by_pinned_post (pinned_post_id)}
) {table};
