-- Each notice knows the number of its last change, so what a device has not seen of a feed is the notices with a higher one: the feed of changes
-- needs no rows of its own and never outgrows the notices.
ALTER TABLE feeds ADD COLUMN last_change BIGINT NOT NULL DEFAULT 0;
ALTER TABLE notices ADD COLUMN about TEXT NOT NULL DEFAULT '';
ALTER TABLE notices ADD COLUMN is_critical BIGINT NOT NULL DEFAULT 0;
ALTER TABLE notices ADD COLUMN channel TEXT NOT NULL DEFAULT '';
ALTER TABLE notices ADD COLUMN state TEXT NOT NULL DEFAULT 'open';
ALTER TABLE notices ADD COLUMN is_archived BIGINT NOT NULL DEFAULT 0;
ALTER TABLE notices ADD COLUMN change BIGINT NOT NULL DEFAULT 0;
ALTER TABLE notices ADD COLUMN change_kind TEXT NOT NULL DEFAULT 'created';
ALTER TABLE notices ADD COLUMN changed_at_us BIGINT NOT NULL DEFAULT 0;
UPDATE notices SET change = sequence, changed_at_us = created_at_us;
UPDATE feeds SET last_change = last_sequence;
CREATE INDEX notices_by_change ON notices (user_id, change);
CREATE INDEX notices_by_subject ON notices (user_id, about) WHERE about <> '';

-- What resolved or withdrew others: one that comes again must not end what has been told since.
CREATE TABLE endings (
  user_id TEXT NOT NULL,
  dedup_key TEXT NOT NULL,
  ended BIGINT NOT NULL,
  PRIMARY KEY (user_id, dedup_key)
) WITHOUT ROWID;
