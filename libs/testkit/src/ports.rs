//! Ports that stay ours while the process behind them is killed and started again.
//!
//! The obvious thing is to ask the system for a free port and give it back. But such a port lies where the system also takes the near ends of connections from, so that by the
//! time that a killed process comes back, somebody's connection may sit on it. These lie below that range, and a locked file keeps other tests from them.

use std::fs::File;
use std::net::TcpListener;

/// Where the ports begin.
const FIRST: u16 = 20_000;
/// How many there are; the range of the system's own begins at 32768.
const COUNT: u16 = 12_000;

/// A port that nobody else uses for as long as this lives.
#[derive(Debug)]
pub(crate) struct Port {
    number: u16,
    /// Locked; the system unlocks it however the test ends.
    _reserved: File,
}

// === impl Port ===

impl Port {
    /// Reserves one.
    ///
    /// # Panics
    /// If all are in use.
    pub(crate) fn reserve() -> Self {
        let directory = std::env::temp_dir().join("pathway-test-ports");
        std::fs::create_dir_all(&directory).expect("a directory of the ports in use");
        // Tests begin apart, so that they rarely meet.
        let start = u16::try_from(std::process::id().wrapping_mul(31) % u32::from(COUNT)).unwrap_or(0);
        let numbers = (0..COUNT).map(|step| FIRST + (start + step) % COUNT);
        let free = numbers.filter_map(|number| {
            let file = File::create(directory.join(number.to_string())).ok()?;
            file.try_lock().ok()?;
            // Somebody who knows nothing of the files may listen there.
            TcpListener::bind(("127.0.0.1", number)).ok()?;
            Some(Self { number, _reserved: file })
        });
        free.into_iter().next().expect("a free port")
    }

    pub(crate) const fn number(&self) -> u16 {
        self.number
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_port_is_reserved_once() {
        let (one, two) = (Port::reserve(), Port::reserve());
        assert_ne!(one.number(), two.number());
        assert!(TcpListener::bind(("127.0.0.1", one.number())).is_ok(), "nothing listens there yet");
    }
}
