-- What became of a dead letter: NULL while it waits for somebody.
ALTER TABLE dead_letters ADD COLUMN resolution TEXT;
ALTER TABLE dead_letters ADD COLUMN resolution_reason TEXT;
ALTER TABLE dead_letters ADD COLUMN resolved_at_us BIGINT;
