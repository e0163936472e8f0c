//! The few words in which the two databases differ.
//!
//! A schema is written once, in SQLite's words, with columns of `BIGINT`, `DOUBLE PRECISION`, `TEXT` and `BLOB`. What PostgreSQL calls
//! otherwise is translated here, word by word; what differs in more than a word does not belong in a shared statement.

/// How PostgreSQL names the type of bytes.
const BYTES: (&str, &str) = ("BLOB", "BYTEA");
/// SQLite keeps such a table in its primary key's tree alone, without a second one; PostgreSQL has no such choice.
const CLUSTERED: (&str, &str) = ("WITHOUT ROWID", "");
/// Such a key is SQLite's own number of the row, so the table lies in its order and needs no second tree for it.
const NUMBERED: (&str, &str) = ("INTEGER PRIMARY KEY", "BIGINT PRIMARY KEY");

/// The same schema in PostgreSQL's words.
pub(crate) fn for_postgres(sql: &str) -> String {
    [BYTES, CLUSTERED, NUMBERED].iter().fold(sql.to_owned(), |sql, (from, to)| replace_words(&sql, from, to))
}

/// Replaces `from` where it stands as a word of its own, so that a column called `BLOBS` or `MY_BLOB` keeps its name.
fn replace_words(sql: &str, from: &str, to: &str) -> String {
    let is_word = |c: char| c.is_alphanumeric() || c == '_';
    let mut out = String::with_capacity(sql.len());
    let mut written = 0;
    for (at, found) in sql.match_indices(from) {
        let end = at + found.len();
        let inside = sql[..at].ends_with(is_word) || sql[end..].starts_with(is_word);
        if !inside {
            out.push_str(&sql[written..at]);
            out.push_str(to);
            written = end;
        }
    }
    out.push_str(&sql[written..]);
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_whole_words_are_translated() {
        let sql = "CREATE TABLE t (id BLOB NOT NULL, BLOBS BIGINT, MY_BLOB BLOB) WITHOUT ROWID;";
        assert_eq!(for_postgres(sql), "CREATE TABLE t (id BYTEA NOT NULL, BLOBS BIGINT, MY_BLOB BYTEA) ;");
        assert_eq!(for_postgres("BLOBBLOB BLOB\nBLOB"), "BLOBBLOB BYTEA\nBYTEA");
        assert_eq!(for_postgres("n INTEGER PRIMARY KEY, a BLOB"), "n BIGINT PRIMARY KEY, a BYTEA");
    }
}
