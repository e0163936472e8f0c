-- Calls that must not be made twice. A row without an answer was reserved: `token` says by which reservation, `owner` by which process, and by `until_us`
-- the call has ended. `log` is the topic with its epoch; `call` says which of the calls for the event it is. They are kept as long as the event.
CREATE TABLE calls (
  log TEXT NOT NULL,
  partition_id BIGINT NOT NULL,
  position BIGINT NOT NULL,
  call TEXT NOT NULL,
  owner BLOB NOT NULL,
  token BIGINT NOT NULL,
  until_us BIGINT NOT NULL,
  answer TEXT,
  PRIMARY KEY (log, partition_id, position, call)
);
