-- Each statement commits by itself here: those before the last one may be repeated.

-- Which process does a piece of background work, and until when (microseconds of the database's clock).
CREATE TABLE IF NOT EXISTS leases (
  name VARCHAR(40) CHARACTER SET ascii COLLATE ascii_bin NOT NULL PRIMARY KEY,
  holder VARCHAR(400) CHARACTER SET utf8mb4 COLLATE utf8mb4_bin NOT NULL,
  expires_at BIGINT NOT NULL
) ENGINE=InnoDB DEFAULT CHARACTER SET utf8mb4;
INSERT INTO leases (name, holder, expires_at) VALUES ('consumer', '', 0), ('recovery', '', 0), ('trim', '', 0), ('purge', '', 0)
ON DUPLICATE KEY UPDATE name = name;

-- The last event that has been removed from the log; 0: none.
ALTER TABLE feed ADD COLUMN floor BIGINT NOT NULL DEFAULT 0;
