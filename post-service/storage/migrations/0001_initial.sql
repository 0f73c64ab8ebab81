-- state: 1 active; 3 deleted: hidden from every reader, and on its way to be removed. like_count: the rows of `likes`, those of
-- deleted users included until they are removed. content_bytes lets a list find out where its page ends without reading the
-- content. No foreign key has an action of its own: the protocol decides, and this is the net below it.
-- posts_by_user gives the visible posts of a user by id, and what is left of a deleted one.
CREATE TABLE IF NOT EXISTS posts (
  id {counter},
  uid {uuid} NOT NULL,
  user_id BIGINT NOT NULL,
  title {text 100} NOT NULL,
  content TEXT NOT NULL,
  content_bytes INT NOT NULL,
  version BIGINT NOT NULL,
  create_time BIGINT NOT NULL,
  update_time BIGINT NOT NULL,
  state TINYINT NOT NULL DEFAULT 1,
  like_count BIGINT NOT NULL DEFAULT 0,
  CONSTRAINT posts_user_id FOREIGN KEY (user_id) REFERENCES user_refs (id),
  {unique posts_by_uid (uid)},
  {index posts_by_user (user_id, state, id)},
  {index posts_by_state (state, id)}
) {table};

-- Many-to-many: one foreign key to this service's own posts, one to the other service's users.
CREATE TABLE IF NOT EXISTS likes (
  id {counter},
  post_id BIGINT NOT NULL,
  user_id BIGINT NOT NULL,
  create_time BIGINT NOT NULL,
  CONSTRAINT likes_post_id FOREIGN KEY (post_id) REFERENCES posts (id),
  CONSTRAINT likes_user_id FOREIGN KEY (user_id) REFERENCES user_refs (id),
  {unique likes_by_post (post_id, user_id)},
  {index likes_by_user (user_id, post_id)}
) {table};
