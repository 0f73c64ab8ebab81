-- Each statement commits by itself here; both may be repeated.

-- The first OK answer to each request_id, and what was asked (a SHA-256). time: microseconds since 1970.
CREATE TABLE IF NOT EXISTS requests (
  request_id CHAR(36) CHARACTER SET ascii COLLATE ascii_bin NOT NULL PRIMARY KEY,
  fingerprint CHAR(64) CHARACTER SET ascii COLLATE ascii_bin NOT NULL,
  answer MEDIUMBLOB NOT NULL,
  time BIGINT NOT NULL,
  KEY requests_by_time (time)
) ENGINE=InnoDB DEFAULT CHARACTER SET utf8mb4;

INSERT INTO leases (name, holder, expires_at) VALUES ('requests', '', 0), ('reclaim', '', 0)
ON DUPLICATE KEY UPDATE name = name;
