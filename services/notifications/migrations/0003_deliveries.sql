-- Whether the user has said anything, or made an endpoint: a notice for one who has not costs no look at the tables below.
ALTER TABLE feeds ADD COLUMN has_routes BIGINT NOT NULL DEFAULT 0;

CREATE TABLE settings (
  user_id TEXT NOT NULL PRIMARY KEY,
  locale TEXT NOT NULL,
  time_zone TEXT NOT NULL,
  quiet_begin BIGINT,
  quiet_end BIGINT,
  email TEXT NOT NULL,
  shows_amounts BIGINT NOT NULL
) WITHOUT ROWID;

CREATE TABLE preferences (
  user_id TEXT NOT NULL,
  type TEXT NOT NULL,
  channel TEXT NOT NULL,
  mode TEXT NOT NULL,
  throttle_s BIGINT NOT NULL,
  PRIMARY KEY (user_id, type, channel)
) WITHOUT ROWID;

-- Where notices go beside the feed. `keys` is a webhook's signing keys or a phone's public one, as JSON.
CREATE TABLE endpoints (
  id BLOB NOT NULL PRIMARY KEY,
  user_id TEXT NOT NULL,
  channel TEXT NOT NULL,
  url TEXT NOT NULL,
  keys TEXT NOT NULL,
  types TEXT NOT NULL,
  description TEXT NOT NULL,
  is_enabled BIGINT NOT NULL,
  disabled_reason TEXT NOT NULL,
  failing_since_us BIGINT,
  created_at_us BIGINT NOT NULL
) WITHOUT ROWID;
CREATE INDEX endpoints_by_user ON endpoints (user_id, id);

-- The outbox: a row is written with its notice, and is what the other side knows a message by. `topic` is what a throttle or a digest counts by;
-- `window_us` the end of a digest's window, 0 for a message of its own.
CREATE TABLE deliveries (
  id BLOB NOT NULL PRIMARY KEY,
  user_id TEXT NOT NULL,
  channel TEXT NOT NULL,
  target TEXT NOT NULL,
  sequence BIGINT NOT NULL,
  topic TEXT NOT NULL,
  window_us BIGINT NOT NULL,
  state TEXT NOT NULL,
  reason TEXT NOT NULL,
  attempts BIGINT NOT NULL,
  tries_before BIGINT NOT NULL,
  planned_us BIGINT NOT NULL,
  due_us BIGINT NOT NULL,
  created_at_us BIGINT NOT NULL,
  ended_at_us BIGINT NOT NULL
) WITHOUT ROWID;
CREATE INDEX deliveries_due ON deliveries (due_us) WHERE state = 'waiting';
CREATE INDEX deliveries_by_user ON deliveries (user_id, id);
CREATE INDEX deliveries_by_topic ON deliveries (user_id, channel, topic, created_at_us);
CREATE UNIQUE INDEX deliveries_by_window ON deliveries (user_id, channel, target, topic, window_us) WHERE window_us > 0;

-- What a digest tells of.
CREATE TABLE gathered (
  delivery_id BLOB NOT NULL,
  sequence BIGINT NOT NULL,
  PRIMARY KEY (delivery_id, sequence)
) WITHOUT ROWID;

CREATE TABLE attempts (
  delivery_id BLOB NOT NULL,
  number BIGINT NOT NULL,
  began_at_us BIGINT NOT NULL,
  took_us BIGINT NOT NULL,
  status BIGINT NOT NULL,
  reason TEXT NOT NULL,
  PRIMARY KEY (delivery_id, number)
) WITHOUT ROWID;
