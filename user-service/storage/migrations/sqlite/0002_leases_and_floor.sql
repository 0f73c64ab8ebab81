-- Which process does a piece of background work, and until when (microseconds of the database's clock).
CREATE TABLE leases (
  name TEXT NOT NULL PRIMARY KEY,
  holder TEXT NOT NULL,
  expires_at INTEGER NOT NULL
);
INSERT INTO leases (name, holder, expires_at) VALUES ('consumer', '', 0), ('recovery', '', 0), ('trim', '', 0), ('purge', '', 0);

-- The last event that has been removed from the log; 0: none.
ALTER TABLE feed ADD COLUMN floor INTEGER NOT NULL DEFAULT 0;
