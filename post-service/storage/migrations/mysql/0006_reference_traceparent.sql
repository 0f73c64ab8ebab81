-- The trace of the call that began the deletion: its events and calls carry it, whoever goes on with it.
ALTER TABLE user_refs ADD COLUMN traceparent VARCHAR(64) CHARACTER SET ascii COLLATE ascii_bin NOT NULL DEFAULT '';
