-- What calls were answered that carried a request_id, so that the same call again is answered as before and not done again. The digest is of the request.
CREATE TABLE requests (
  method TEXT NOT NULL,
  request_id TEXT NOT NULL,
  digest BLOB NOT NULL,
  answer BLOB NOT NULL,
  at_us BIGINT NOT NULL,
  PRIMARY KEY (method, request_id)
);
CREATE INDEX requests_by_age ON requests (at_us);
