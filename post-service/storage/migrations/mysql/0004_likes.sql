-- Each statement commits by itself here: those before the last one may be repeated.

-- Many-to-many: one foreign key to this service's own posts, one to the other service's users.
CREATE TABLE IF NOT EXISTS likes (
  id BIGINT NOT NULL AUTO_INCREMENT PRIMARY KEY,
  post_id BIGINT NOT NULL,
  user_id BIGINT NOT NULL,
  create_time BIGINT NOT NULL,
  UNIQUE KEY likes_by_post (post_id, user_id),
  KEY likes_by_user (user_id, post_id),
  CONSTRAINT likes_post_id FOREIGN KEY (post_id) REFERENCES posts (id) ON DELETE NO ACTION ON UPDATE NO ACTION,
  CONSTRAINT likes_user_id FOREIGN KEY (user_id) REFERENCES user_refs (id) ON DELETE NO ACTION ON UPDATE NO ACTION
) ENGINE=InnoDB DEFAULT CHARACTER SET utf8mb4;

ALTER TABLE user_refs ADD COLUMN likes_reclaimed BIGINT NOT NULL DEFAULT 0;
