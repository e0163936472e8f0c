-- How far the beginning of a feed is gone: the highest change and place among what was removed. `trimmed_to` says up to which place a feed has been looked at for being too long.
ALTER TABLE feeds ADD COLUMN gone_change BIGINT NOT NULL DEFAULT 0;
ALTER TABLE feeds ADD COLUMN gone_sequence BIGINT NOT NULL DEFAULT 0;
ALTER TABLE feeds ADD COLUMN trimmed_to BIGINT NOT NULL DEFAULT 0;

-- The keys of what was removed before its time, for there were too many: it must not be told again.
CREATE TABLE told (
  user_id TEXT NOT NULL,
  dedup_key TEXT NOT NULL,
  id BLOB NOT NULL,
  sequence BIGINT NOT NULL,
  created_at_us BIGINT NOT NULL,
  PRIMARY KEY (user_id, dedup_key)
) WITHOUT ROWID;
CREATE INDEX told_by_age ON told (created_at_us);

ALTER TABLE endings ADD COLUMN created_at_us BIGINT NOT NULL DEFAULT 0;
UPDATE endings SET created_at_us = (SELECT COALESCE(MAX(created_at_us), 0) FROM notices);
CREATE INDEX endings_by_age ON endings (created_at_us);

CREATE INDEX deliveries_by_notice ON deliveries (user_id, sequence);
