-- Many-to-many: one foreign key to this service's own posts, one to the other service's users.
CREATE TABLE likes (
  id INTEGER PRIMARY KEY AUTOINCREMENT,
  post_id INTEGER NOT NULL REFERENCES posts (id),
  user_id INTEGER NOT NULL REFERENCES user_refs (id),
  create_time INTEGER NOT NULL
);
CREATE UNIQUE INDEX likes_by_post ON likes (post_id, user_id);
CREATE INDEX likes_by_user ON likes (user_id, post_id);

ALTER TABLE user_refs ADD COLUMN likes_reclaimed INTEGER NOT NULL DEFAULT 0;
