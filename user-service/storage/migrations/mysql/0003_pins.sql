-- Each statement commits by itself here: those before the last one may be repeated.

-- The local shadow of the posts that users pin. state: 1 active, 2 released, 3 reclaiming.
CREATE TABLE IF NOT EXISTS post_refs (
  id BIGINT NOT NULL PRIMARY KEY,
  uid CHAR(36) CHARACTER SET ascii COLLATE ascii_bin NOT NULL,
  state TINYINT NOT NULL,
  refused_through BIGINT NOT NULL DEFAULT 0,
  deletion_id BIGINT NOT NULL DEFAULT 0,
  pins_reclaimed BIGINT NOT NULL DEFAULT 0,
  KEY post_refs_by_state (state, id)
) ENGINE=InnoDB DEFAULT CHARACTER SET utf8mb4;

-- One-to-one: a post is pinned by one user at most. The foreign key has no action of its own: the protocol decides.
ALTER TABLE users
  ADD COLUMN pinned_post_id BIGINT,
  ADD UNIQUE KEY users_by_pinned_post (pinned_post_id),
  ADD CONSTRAINT users_pinned_post_id FOREIGN KEY (pinned_post_id) REFERENCES post_refs (id)
    ON DELETE NO ACTION ON UPDATE NO ACTION;
