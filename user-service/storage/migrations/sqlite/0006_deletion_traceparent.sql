-- The trace of the call that began the deletion: its events and calls carry it, whoever goes on with it.
ALTER TABLE user_deletions ADD COLUMN traceparent TEXT NOT NULL DEFAULT '';
