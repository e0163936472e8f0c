//! The tokens of OFX, as SGML and as XML.
//!
//! OFX 1.x leaves out the end tags of elements that hold text, 2.x writes them, and what banks send is both at once: XML headers over SGML
//! bodies, no header at all, stray `&`. Such files are no well-formed anything, so they are read as a run of tags and texts, which all
//! of them are.

/// A tag or a text between tags.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Token {
    /// A start tag, in capitals.
    Open(String),
    /// An end tag, in capitals.
    Close(String),
    /// Text, with entities replaced and runs of white space made one space. Never empty.
    Text(String),
}

/// Tokens with the offsets at which they begin.
#[derive(Debug)]
pub(super) struct Tokens<'a> {
    text: &'a str,
    at: usize,
}

// === impl Tokens ===

impl<'a> Tokens<'a> {
    pub(super) const fn new(text: &'a str) -> Self {
        Self { text, at: 0 }
    }

    /// The markup at the current offset, if there is any: its token, if it has one, and its length.
    fn markup(rest: &str) -> Option<(Option<Token>, usize)> {
        if let Some(body) = rest.strip_prefix("<![CDATA[") {
            let end = body.find("]]>").unwrap_or(body.len());
            let length = "<![CDATA[".len() + end + "]]>".len();
            return Some((plain(&body[..end]), length.min(rest.len())));
        }
        if rest.starts_with("<!--") {
            return Some((None, rest.find("-->").map_or(rest.len(), |end| end + 3)));
        }
        let inside = rest.strip_prefix('<')?;
        let (is_close, name_start) = inside.strip_prefix('/').map_or((false, inside), |name| (true, name));
        let first = name_start.chars().next()?;
        // A `<` that begins no tag is part of a text that somebody forgot to escape.
        if !(first.is_ascii_alphabetic() || matches!(first, '?' | '!')) {
            return None;
        }
        // Looked for up to the next `<` only: else a file of open brackets would be read once for each of them.
        let end = inside.find(['>', '<']).filter(|end| inside.as_bytes()[*end] == b'>')? + 1;
        let length = name_start.find(|c: char| c.is_ascii_whitespace() || matches!(c, '>' | '/'))?;
        let name = name_start[..length].to_ascii_uppercase();
        let token = match first {
            '?' | '!' => None,
            _ if is_close => Some(Token::Close(name)),
            _ => Some(Token::Open(name)),
        };
        Some((token, end + 1))
    }
}

impl Iterator for Tokens<'_> {
    type Item = (usize, Token);

    fn next(&mut self) -> Option<Self::Item> {
        while self.at < self.text.len() {
            let (start, rest) = (self.at, &self.text[self.at..]);
            if let Some((token, length)) = Self::markup(rest) {
                self.at += length;
                if let Some(token) = token {
                    return Some((start, token));
                }
                continue;
            }
            let is_tag = |at: &usize| Self::markup(&rest[*at..]).is_some();
            let end = rest
                .match_indices('<')
                .map(|(at, _)| at)
                .filter(|at| *at > 0)
                .find(is_tag)
                .unwrap_or(rest.len());
            self.at += end;
            if let Some(token) = plain(&unescaped(&rest[..end])) {
                return Some((start, token));
            }
        }
        None
    }
}

fn plain(text: &str) -> Option<Token> {
    let words: Vec<&str> = text.split_whitespace().collect();
    (!words.is_empty()).then(|| Token::Text(words.join(" ")))
}

/// The text with entities replaced; what is no entity stays as it is.
fn unescaped(text: &str) -> String {
    let mut plain = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(at) = rest.find('&') {
        plain.push_str(&rest[..at]);
        rest = &rest[at..];
        // The longest entity that we know is `&#x10FFFF;`.
        let entity = rest.char_indices().take(10).find(|(_, c)| *c == ';').map(|(end, _)| &rest[1..end]);
        match entity.and_then(|name| Some((name, character(name)?))) {
            Some((name, character)) => {
                plain.push(character);
                rest = &rest[name.len() + 2..];
            }
            None => {
                plain.push('&');
                rest = &rest[1..];
            }
        }
    }
    plain.push_str(rest);
    plain
}

fn character(entity: &str) -> Option<char> {
    match entity {
        "amp" => Some('&'),
        "lt" => Some('<'),
        "gt" => Some('>'),
        "quot" => Some('"'),
        "apos" => Some('\''),
        "nbsp" => Some(' '),
        _ => {
            let number = entity.strip_prefix('#')?;
            let hexadecimal = number.strip_prefix(['x', 'X']).map(|digits| u32::from_str_radix(digits, 16));
            char::from_u32(hexadecimal.unwrap_or_else(|| number.parse()).ok()?)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tokens(text: &str) -> Vec<Token> {
        Tokens::new(text).map(|(_, token)| token).collect()
    }

    fn open(name: &str) -> Token {
        Token::Open(name.to_owned())
    }

    fn text(text: &str) -> Token {
        Token::Text(text.to_owned())
    }

    #[test]
    fn sgml_and_xml_read_alike() {
        let sgml = tokens("<STMTTRN>\n<NAME>Joe's  Bar\n<MEMO>x</STMTTRN>");
        let xml = tokens(
            "<?xml version=\"1.0\"?><stmttrn a='1'><NAME>Joe's Bar</NAME><!-- > --><MEMO><![CDATA[x]]></MEMO></stmttrn>",
        );
        let without_leaf_ends: Vec<Token> = xml
            .into_iter()
            .filter(|token| !matches!(token, Token::Close(name) if name == "NAME" || name == "MEMO"))
            .collect();
        assert_eq!(sgml, without_leaf_ends);
        assert_eq!(sgml[..3], [open("STMTTRN"), open("NAME"), text("Joe's Bar")]);
    }

    #[test]
    fn entities_are_replaced_and_strays_are_kept() {
        assert_eq!(
            tokens("<N>A &amp; B &#233;&#xe9; & C < 3 &bogus; &#xfffffff;"),
            [open("N"), text("A & B éé & C < 3 &bogus; &#xfffffff;")]
        );
    }

    #[test]
    fn a_torn_tag_is_text_and_never_a_panic() {
        assert_eq!(tokens("<NAME>é&"), [open("NAME"), text("é&")]);
        assert_eq!(tokens("<NAM"), [text("<NAM")]);
        assert_eq!(tokens("<"), [text("<")]);
        assert_eq!(tokens("<![CDATA[x"), [text("x")]);
        let brackets = "<a".repeat(500_000);
        assert_eq!(tokens(&brackets), [text(&brackets)]);
    }
}
