-- One row for each user: the feed's last sequence and how many notices are unread. The row's lock makes the sequence gapless.
CREATE TABLE feeds (
  user_id TEXT NOT NULL PRIMARY KEY,
  last_sequence BIGINT NOT NULL,
  unread BIGINT NOT NULL
);

CREATE TABLE notices (
  user_id TEXT NOT NULL,
  sequence BIGINT NOT NULL,
  id BLOB NOT NULL UNIQUE,
  dedup_key TEXT NOT NULL,
  type TEXT NOT NULL,
  title TEXT NOT NULL,
  message TEXT NOT NULL,
  metadata TEXT NOT NULL,
  is_read BIGINT NOT NULL,
  created_at_us BIGINT NOT NULL,
  PRIMARY KEY (user_id, sequence),
  UNIQUE (user_id, dedup_key)
);
