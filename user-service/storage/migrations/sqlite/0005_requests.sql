-- The first OK answer to each request_id, and what was asked (a SHA-256). time: microseconds since 1970.
CREATE TABLE requests (
  request_id TEXT NOT NULL PRIMARY KEY,
  fingerprint TEXT NOT NULL,
  answer BLOB NOT NULL,
  time INTEGER NOT NULL
);
CREATE INDEX requests_by_time ON requests (time);

INSERT INTO leases (name, holder, expires_at) VALUES ('requests', '', 0), ('reclaim', '', 0);
