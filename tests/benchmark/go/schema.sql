-- The databases go_users and go_posts of the Go pair, with 1,300 users and the posts 1 to 10,000, 50 of each of the
-- first 200 users.
CREATE DATABASE go_users CHARACTER SET utf8mb4;
USE go_users;
CREATE TABLE users (
  id BIGINT NOT NULL AUTO_INCREMENT PRIMARY KEY,
  uid CHAR(36) CHARACTER SET ascii NOT NULL,
  username VARCHAR(50) NOT NULL,
  create_time BIGINT NOT NULL,
  update_time BIGINT NOT NULL,
  UNIQUE KEY users_by_uid (uid),
  UNIQUE KEY users_by_username (username)
) ENGINE=InnoDB;
INSERT INTO users (id, uid, username, create_time, update_time)
  SELECT seq, UUID(), UUID(), 1764000000000000, 1764000000000000 FROM seq_1_to_1300;

CREATE DATABASE go_posts CHARACTER SET utf8mb4;
USE go_posts;
CREATE TABLE posts (
  id BIGINT NOT NULL AUTO_INCREMENT PRIMARY KEY,
  uid CHAR(36) CHARACTER SET ascii NOT NULL,
  user_id BIGINT NOT NULL,
  title VARCHAR(100) NOT NULL,
  content TEXT NOT NULL,
  like_count BIGINT NOT NULL DEFAULT 0,
  create_time BIGINT NOT NULL,
  update_time BIGINT NOT NULL,
  UNIQUE KEY posts_by_uid (uid),
  KEY posts_by_user (user_id, id)
) ENGINE=InnoDB;
CREATE TABLE outbox (
  id BIGINT NOT NULL AUTO_INCREMENT PRIMARY KEY,
  event_id CHAR(36) CHARACTER SET ascii NOT NULL,
  type VARCHAR(100) CHARACTER SET ascii NOT NULL,
  subject VARCHAR(100) CHARACTER SET ascii NOT NULL,
  time BIGINT NOT NULL,
  payload MEDIUMBLOB NOT NULL
) ENGINE=InnoDB;
INSERT INTO posts (id, uid, user_id, title, content, create_time, update_time)
  SELECT seq, UUID(), (seq - 1) DIV 50 + 1, 'A title of some length', REPEAT('c', 200), 1764000000000000,
    1764000000000000
  FROM seq_1_to_10000;
