-- Events that are run once more. `ends` is a JSON list with the offset for each partition at which it ends; where it has come to is in the topic's
-- cursors, under the group `replay/<id>`. States: 1 running, 2 done, 3 cancelled.
CREATE TABLE replays (
  id BLOB NOT NULL PRIMARY KEY,
  topic TEXT NOT NULL,
  pathway TEXT NOT NULL,
  version TEXT NOT NULL,
  from_us BIGINT NOT NULL,
  rate BIGINT NOT NULL,
  ends TEXT NOT NULL,
  total BIGINT NOT NULL,
  done BIGINT NOT NULL DEFAULT 0,
  failed BIGINT NOT NULL DEFAULT 0,
  state BIGINT NOT NULL DEFAULT 1,
  started_at_us BIGINT NOT NULL,
  ended_at_us BIGINT NOT NULL DEFAULT 0
);
