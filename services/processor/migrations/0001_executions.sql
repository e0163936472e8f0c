-- Ids are time-ordered, so the primary key lists executions by age.
CREATE TABLE executions (
  id BLOB NOT NULL PRIMARY KEY,
  pathway TEXT NOT NULL,
  version TEXT NOT NULL,
  event_id TEXT NOT NULL,
  topic TEXT NOT NULL,
  partition_id BIGINT NOT NULL,
  position BIGINT NOT NULL,
  status BIGINT NOT NULL,
  nodes TEXT NOT NULL,
  started_at_us BIGINT NOT NULL,
  duration_us BIGINT NOT NULL,
  trace_id TEXT NOT NULL
);

CREATE TABLE dead_letters (
  id BLOB NOT NULL PRIMARY KEY,
  execution_id BLOB NOT NULL,
  pathway TEXT NOT NULL,
  version TEXT NOT NULL,
  topic TEXT NOT NULL,
  partition_id BIGINT NOT NULL,
  position BIGINT NOT NULL,
  event BLOB NOT NULL,
  node TEXT NOT NULL,
  code TEXT NOT NULL,
  reason TEXT NOT NULL,
  message TEXT NOT NULL,
  violations TEXT NOT NULL,
  attempts BIGINT NOT NULL,
  failed_at_us BIGINT NOT NULL,
  trace_id TEXT NOT NULL
);
