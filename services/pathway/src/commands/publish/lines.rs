//! Reading events line by line.

use pathway_kernel::Fault;
use tokio::io::{AsyncBufRead, AsyncBufReadExt as _};

use super::{LARGEST_EVENT, unreadable};

/// A line of the input: its event, or why it holds none.
pub(super) enum Line {
    Event(u64, Vec<u8>),
    TooLong(u64),
}

/// Reads a line without ever holding more of it than an event may have.
pub(super) async fn next_line(
    input: &mut (impl AsyncBufRead + Unpin),
    number: &mut u64,
) -> Result<Option<Line>, Fault> {
    let mut data = Vec::new();
    let (mut seen, mut too_long) = (false, false);
    loop {
        let chunk = input.fill_buf().await.map_err(|error| unreadable(&"the input", &error))?;
        if chunk.is_empty() {
            break;
        }
        if !seen {
            *number += 1;
            seen = true;
        }
        let (part, used, ended) = match chunk.iter().position(|&byte| byte == b'\n') {
            Some(at) => (&chunk[..at], at + 1, true),
            None => (chunk, chunk.len(), false),
        };
        too_long |= data.len() + part.len() > LARGEST_EVENT;
        if !too_long {
            data.extend_from_slice(part);
        }
        input.consume(used);
        if ended {
            break;
        }
    }
    Ok(match (seen, too_long) {
        (false, _) => None,
        (true, true) => Some(Line::TooLong(*number)),
        (true, false) => Some(Line::Event(*number, data)),
    })
}

#[cfg(test)]
mod tests {
    use tokio::io::BufReader;

    use super::*;

    async fn lines(input: &[u8]) -> Vec<(u64, Option<usize>)> {
        let (mut input, mut number, mut lines) = (BufReader::with_capacity(7, input), 0, Vec::new());
        while let Some(line) = next_line(&mut input, &mut number).await.unwrap() {
            lines.push(match line {
                Line::Event(number, data) => (number, Some(data.len())),
                Line::TooLong(number) => (number, None),
            });
        }
        lines
    }

    #[tokio::test]
    async fn lines_are_counted_also_without_a_last_newline() {
        assert_eq!(lines(b"{}\n\n{\"a\":1}").await, [(1, Some(2)), (2, Some(0)), (3, Some(7))]);
        assert_eq!(lines(b"").await, []);
    }

    #[tokio::test]
    async fn a_line_that_is_too_long_is_named_and_its_neighbours_are_read() {
        let mut input = vec![b'x'; 10 * LARGEST_EVENT];
        input.extend_from_slice(b"\n{}\n");
        assert_eq!(lines(&input).await, [(1, None), (2, Some(2))]);
    }
}
