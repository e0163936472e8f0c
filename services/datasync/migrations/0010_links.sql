-- What a line says beside: the account that it is of by now, whether it is still to be posted, and what ties it to others. A line of before is of
-- the account that it came from.
ALTER TABLE records ADD COLUMN held_in TEXT NOT NULL DEFAULT '';
ALTER TABLE records ADD COLUMN pending BIGINT NOT NULL DEFAULT 0;
ALTER TABLE records ADD COLUMN split_of BLOB;
ALTER TABLE records ADD COLUMN is_split BIGINT NOT NULL DEFAULT 0;
ALTER TABLE records ADD COLUMN paired_with BLOB;
-- Whether the name of the record was that of a pending line which has been posted under another.
ALTER TABLE records ADD COLUMN retired BIGINT NOT NULL DEFAULT 0;
UPDATE records SET held_in = account WHERE account <> '';
CREATE INDEX records_by_split ON records (split_of) WHERE split_of IS NOT NULL;

ALTER TABLE versions ADD COLUMN held_in TEXT NOT NULL DEFAULT '';
ALTER TABLE versions ADD COLUMN pending BIGINT NOT NULL DEFAULT 0;
ALTER TABLE versions ADD COLUMN split_of BLOB;
ALTER TABLE versions ADD COLUMN is_split BIGINT NOT NULL DEFAULT 0;
ALTER TABLE versions ADD COLUMN paired_with BLOB;
UPDATE versions SET held_in = (SELECT r.account FROM records r WHERE r.id = versions.record_id)
    WHERE record_id IN (SELECT id FROM records WHERE account <> '');

-- Further names of records. A retired one was that of a pending line which has been posted.
CREATE TABLE aliases (
    user_id TEXT NOT NULL,
    source TEXT NOT NULL,
    account TEXT NOT NULL,
    line_key TEXT NOT NULL,
    record_id BLOB NOT NULL,
    retired BIGINT NOT NULL,
    PRIMARY KEY (user_id, source, account, line_key)
);

-- Pairs that somebody took apart: they are not made again without being asked for. The smaller id comes first.
CREATE TABLE unpaired (
    low BLOB NOT NULL,
    high BLOB NOT NULL,
    PRIMARY KEY (low, high)
);
