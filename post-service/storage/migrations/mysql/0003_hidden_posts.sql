-- state: 1 active; 3 deleted: hidden from every reader, and on its way to be removed. like_count: the rows of `likes`, those
-- of deleted users included until they are removed.
-- The index gives the visible posts of a user by id, and what is left of a deleted one.
ALTER TABLE posts
  ADD COLUMN state TINYINT NOT NULL DEFAULT 1,
  ADD COLUMN like_count BIGINT NOT NULL DEFAULT 0,
  DROP KEY posts_by_user,
  ADD KEY posts_by_user (user_id, state, id),
  ADD KEY posts_by_state (state, id);
