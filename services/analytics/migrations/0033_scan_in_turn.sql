-- Whoever was looked at longest ago comes first, so that busy users do not keep others waiting.
ALTER TABLE owners ADD COLUMN scanned_at_us BIGINT NOT NULL DEFAULT 0;
DROP INDEX owners_unscanned;
CREATE INDEX owners_unscanned ON owners (scanned_at_us, user_id) WHERE unscanned = 1;
