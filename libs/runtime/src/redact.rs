//! What of a configuration may be shown.

use toml::{Table, Value};

/// What stands in the place of what may not be shown.
const HIDDEN: &str = "***";

/// The configuration without its secrets: every text whose key says that it is one, and the password inside a URL or a connection string.
#[must_use]
pub fn redacted(mut table: Table) -> Table {
    for (key, value) in &mut table {
        match value {
            Value::Table(inner) => *inner = redacted(std::mem::take(inner)),
            Value::String(text) if !text.is_empty() => {
                *text = if is_secret(key) { HIDDEN.to_owned() } else { without_password(text) };
            }
            _ => {}
        }
    }
    table
}

/// Whether the key's value is a secret itself, rather than the file that has it.
pub(crate) fn is_secret(key: &str) -> bool {
    let key = key.to_lowercase();
    let words = ["secret", "password", "token", "api_key"];
    !key.ends_with("_file") && words.iter().any(|word| key.ends_with(word))
}

fn without_password(text: &str) -> String {
    if let Some((scheme, rest)) = text.split_once("://") {
        let end = rest.find(['/', '?', '#']).unwrap_or(rest.len());
        let (authority, rest) = rest.split_at(end);
        let authority = match authority.rsplit_once('@') {
            Some((user, host)) => match user.split_once(':') {
                Some((user, _)) => format!("{user}:{HIDDEN}@{host}"),
                None => format!("{user}@{host}"),
            },
            None => authority.to_owned(),
        };
        return format!("{scheme}://{authority}{}", hide_pairs(rest));
    }
    hide_pairs(text)
}

/// `password=...` in a connection string or a query, up to where its value ends.
fn hide_pairs(text: &str) -> String {
    let (mut shown, mut rest) = (String::with_capacity(text.len()), text);
    while let Some(at) = rest.to_ascii_lowercase().find("password") {
        let (before, from) = rest.split_at(at);
        let Some(equals) = from.find('=') else { break };
        let (name, value) = from.split_at(equals + 1);
        let value = value.trim_start();
        // A quoted value may have spaces in it, and quotes behind a backslash.
        let end = if let Some(quoted) = value.strip_prefix('\'') {
            let mut escaped = false;
            let closing = quoted.char_indices().find(|(_, c)| {
                let closes = *c == '\'' && !escaped;
                escaped = *c == '\\' && !escaped;
                closes
            });
            closing.map_or(value.len(), |(at, _)| at + 2)
        } else {
            value.find([' ', '&']).unwrap_or(value.len())
        };
        shown.push_str(before);
        shown.push_str(name);
        shown.push_str(HIDDEN);
        rest = &value[end..];
    }
    shown.push_str(rest);
    shown
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_secret_is_shown() {
        let table: Table = "
            listen = '127.0.0.1:1'
            [security]
            secret = 'canary'
            token_file = '/run/token'
            [store]
            url = 'postgres://user:canary@host/db?sslmode=require&password=canary'
            other = \"host=h password='can ary\\\\' x' user=u\"
            third = 'host=h Password = canary'
            plain = 'postgres://user@host/db'
        "
        .parse()
        .unwrap();
        let shown = redacted(table).to_string();
        assert!(!shown.contains("canary") && !shown.contains("ary"), "{shown}");
        for kept in [
            "127.0.0.1:1",
            "/run/token",
            "postgres://user:***@host/db?sslmode=require",
            "user=u",
            "postgres://user@host/db",
        ] {
            assert!(shown.contains(kept), "{kept} in {shown}");
        }
    }
}
