-- The local shadow of the posts that users pin. state: 1 active, 2 released, 3 reclaiming.
CREATE TABLE post_refs (
  id INTEGER PRIMARY KEY,
  uid TEXT NOT NULL,
  state INTEGER NOT NULL,
  refused_through INTEGER NOT NULL DEFAULT 0,
  deletion_id INTEGER NOT NULL DEFAULT 0,
  pins_reclaimed INTEGER NOT NULL DEFAULT 0
);
CREATE INDEX post_refs_by_state ON post_refs (state, id);

-- One-to-one: a post is pinned by one user at most. The foreign key has no action of its own: the protocol decides.
ALTER TABLE users ADD COLUMN pinned_post_id INTEGER REFERENCES post_refs (id);
CREATE UNIQUE INDEX users_by_pinned_post ON users (pinned_post_id);
