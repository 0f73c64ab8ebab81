-- state: 1 active; 3 deleted: hidden from every reader, and on its way to be removed. like_count: the rows of `likes`, those
-- of deleted users included until they are removed.
ALTER TABLE posts ADD COLUMN state INTEGER NOT NULL DEFAULT 1;
ALTER TABLE posts ADD COLUMN like_count INTEGER NOT NULL DEFAULT 0;
-- The index gives the visible posts of a user by id, and what is left of a deleted one.
DROP INDEX posts_by_user;
CREATE INDEX posts_by_user ON posts (user_id, state, id);
CREATE INDEX posts_by_state ON posts (state, id);
