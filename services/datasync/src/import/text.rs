//! Bytes into text, and where in it we are.

use std::borrow::Cow;

use super::StatementError;

/// How long a line of a CSV statement may be.
pub(super) const LONGEST_LINE: usize = 1024 * 1024;

/// What the bytes 0x80 to 0x9F stand for in Windows-1252, where they differ from Latin-1.
const WINDOWS_1252: [char; 32] = [
    '€', '\u{81}', '‚', 'ƒ', '„', '…', '†', '‡', 'ˆ', '‰', 'Š', '‹', 'Œ', '\u{8d}', 'Ž', '\u{8f}', //
    '\u{90}', '‘', '’', '“', '”', '•', '–', '—', '˜', '™', 'š', '›', 'œ', '\u{9d}', 'ž', 'Ÿ',
];

/// Counts lines up to offsets that only grow.
#[derive(Debug)]
pub(super) struct LineCounter<'a> {
    text: &'a [u8],
    offset: usize,
    line: u64,
}

// === impl LineCounter ===

impl<'a> LineCounter<'a> {
    pub(super) const fn new(text: &'a str) -> Self {
        Self { text: text.as_bytes(), offset: 0, line: 1 }
    }

    /// The line of the byte at `offset`.
    pub(super) fn line_at(&mut self, offset: usize) -> u64 {
        let end = offset.min(self.text.len());
        while self.offset < end {
            self.line += u64::from(ends_line(self.text, self.offset));
            self.offset += 1;
        }
        self.line
    }

    /// The line of the first byte from `offset` on that is no line break: where a row begins that was found after another one's end.
    pub(super) fn line_after_breaks(&mut self, offset: usize) -> u64 {
        let rest = self.text.get(offset..).unwrap_or_default();
        let breaks = rest.iter().take_while(|byte| matches!(byte, b'\r' | b'\n')).count();
        self.line_at(offset + breaks)
    }
}

/// Whether the line ends with the byte at `at`: LF, or CR that no LF follows.
fn ends_line(text: &[u8], at: usize) -> bool {
    match text[at] {
        b'\n' => true,
        b'\r' => text.get(at + 1) != Some(&b'\n'),
        _ => false,
    }
}

/// The text of UTF-8 bytes, without their byte order mark.
pub(super) fn utf8(content: &[u8]) -> Result<&str, StatementError> {
    let text = std::str::from_utf8(content).map_err(|error| {
        let before = &content[..error.valid_up_to()];
        let breaks = before.iter().filter(|byte| **byte == b'\n').count();
        StatementError::NotText { line: breaks as u64 + 1, byte: before.len() + 1 }
    })?;
    Ok(text.strip_prefix('\u{feff}').unwrap_or(text))
}

/// The same for OFX, whose 1.x headers may declare Windows-1252.
pub(super) fn utf8_or_declared(content: &[u8]) -> Result<Cow<'_, str>, StatementError> {
    utf8(content).map(Cow::Borrowed).or_else(|error| {
        let header = content.get(..4096).unwrap_or(content).to_ascii_uppercase();
        let declares = |mark: &[u8]| header.windows(mark.len()).any(|window| window == mark);
        let single_byte: [&[u8]; 5] =
            [b"CHARSET:1252", b"ENCODING:USASCII", b"WINDOWS-1252", b"ISO-8859-1", b"CHARSET:8859-1"];
        if single_byte.into_iter().any(declares) { Ok(Cow::Owned(windows_1252(content))) } else { Err(error) }
    })
}

fn windows_1252(content: &[u8]) -> String {
    let decode = |byte: &u8| match byte {
        0x80..=0x9f => WINDOWS_1252[usize::from(byte - 0x80)],
        byte => char::from(*byte),
    };
    content.iter().map(decode).collect()
}

/// Refuses a text with a line that no statement has.
pub(super) fn check_lines(text: &str) -> Result<(), StatementError> {
    for (line, content) in (1..).zip(text.split('\n')) {
        if content.len() > LONGEST_LINE {
            return Err(StatementError::LongLine { line, limit: LONGEST_LINE });
        }
    }
    Ok(())
}

/// Refuses a text whose last quoted field never ends: everything after the quote would be one field, and its lines lost unseen.
pub(super) fn check_quotes(text: &str) -> Result<(), StatementError> {
    let (bytes, mut at, mut at_start) = (text.as_bytes(), 0, true);
    while at < bytes.len() {
        if at_start && bytes[at] == b'"' {
            let Some(end) = quoted_end(bytes, at + 1) else {
                return Err(StatementError::OpenQuote { line: LineCounter::new(text).line_at(at) });
            };
            (at, at_start) = (end, false);
        } else {
            at_start = matches!(bytes[at], b',' | b'\r' | b'\n');
            at += 1;
        }
    }
    Ok(())
}

/// The offset after the quote that ends a field which began before `at`; a doubled quote does not end it.
fn quoted_end(bytes: &[u8], mut at: usize) -> Option<usize> {
    loop {
        at += bytes.get(at..)?.iter().position(|byte| *byte == b'"')? + 1;
        if bytes.get(at) != Some(&b'"') {
            return Some(at);
        }
        at += 1;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_are_counted_for_every_kind_of_break() {
        let mut counter = LineCounter::new("a\nb\r\nc\rd\n\n\ne");
        assert_eq!([0, 2, 5, 7].map(|offset| counter.line_at(offset)), [1, 2, 3, 4]);
        assert_eq!(counter.line_after_breaks(8), 7);
    }

    #[test]
    fn a_byte_order_mark_is_no_text_and_a_bad_byte_is_located() {
        assert_eq!(utf8("\u{feff}Date".as_bytes()), Ok("Date"));
        assert_eq!(utf8(b"ab\ncd\xff"), Err(StatementError::NotText { line: 2, byte: 6 }));
    }

    #[test]
    fn windows_1252_is_read_where_it_is_declared() {
        assert_eq!(
            utf8_or_declared(b"CHARSET:1252\n<NAME>Caf\xe9 \x80").unwrap(),
            "CHARSET:1252\n<NAME>Café €"
        );
        assert!(utf8_or_declared(b"<NAME>Caf\xe9").is_err());
    }

    #[test]
    fn an_open_quote_is_found_where_it_is_opened() {
        assert_eq!(check_quotes("a,\"b\"\"c\",d\ne,f\"g\n"), Ok(()));
        assert_eq!(check_quotes("a,b\nc,\"d\ne,f\n"), Err(StatementError::OpenQuote { line: 2 }));
        assert_eq!(check_quotes("\"a\"\""), Err(StatementError::OpenQuote { line: 1 }));
    }

    #[test]
    fn a_long_line_is_named() {
        let text = format!("a\n{}\n", "x".repeat(LONGEST_LINE + 1));
        assert_eq!(check_lines(&text), Err(StatementError::LongLine { line: 2, limit: LONGEST_LINE }));
    }
}
