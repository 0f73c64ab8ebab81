-- The database of the lesson's application, as its models make it, with 1,300 users and the posts 1 to 10,000, 50 of
-- each of the first 200 users.
CREATE DATABASE lesson CHARACTER SET utf8mb4;
USE lesson;
CREATE TABLE user (
  id INTEGER NOT NULL AUTO_INCREMENT PRIMARY KEY,
  username VARCHAR(50) NOT NULL,
  UNIQUE (username)
) ENGINE=InnoDB;
CREATE TABLE post (
  id INTEGER NOT NULL AUTO_INCREMENT PRIMARY KEY,
  title VARCHAR(100) NOT NULL,
  content TEXT NOT NULL,
  user_id INTEGER NOT NULL,
  FOREIGN KEY (user_id) REFERENCES user (id)
) ENGINE=InnoDB;
INSERT INTO user (id, username) SELECT seq, UUID() FROM seq_1_to_1300;
INSERT INTO post (id, title, content, user_id)
  SELECT seq, 'A title of some length', REPEAT('c', 200), (seq - 1) DIV 50 + 1 FROM seq_1_to_10000;
