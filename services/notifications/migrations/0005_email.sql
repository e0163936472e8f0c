-- Whether whoever reads the mailbox has said that it is the user's. Where e-mail went before this was asked it goes on to go.
ALTER TABLE settings ADD COLUMN is_email_confirmed BIGINT NOT NULL DEFAULT 0;
UPDATE settings SET is_email_confirmed = 1 WHERE email <> '';

-- What this store's own signatures are made with; made once, by whichever process comes first.
CREATE TABLE secrets (
  name TEXT NOT NULL PRIMARY KEY,
  secret BLOB NOT NULL
) WITHOUT ROWID;
