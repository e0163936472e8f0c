//! Which addresses may be spoken to.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::str::FromStr;

use crate::OutboundError;

/// Admits public addresses, and those of the networks that it is given.
#[derive(Debug, Clone, Default)]
pub struct Guard {
    networks: Vec<Network>,
}

/// A network: an address and how many of its first bits count, as in `10.0.0.0/8` and `fd00::/8`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Network {
    address: IpAddr,
    bits: u32,
}

// === impl Guard ===

impl Guard {
    /// Admits these networks beside what is public.
    #[must_use]
    pub const fn new(networks: Vec<Network>) -> Self {
        Self { networks }
    }

    /// Whether this address may be spoken to.
    #[must_use]
    pub fn admits(&self, address: IpAddr) -> bool {
        let address = address.to_canonical();
        is_public(address) || self.networks.iter().any(|network| network.contains(address))
    }
}

// === impl Network ===

impl Network {
    fn contains(&self, address: IpAddr) -> bool {
        let same = |own: u128, other: u128, width: u32| {
            let host_bits = width - self.bits;
            own.checked_shr(host_bits).unwrap_or(0) == other.checked_shr(host_bits).unwrap_or(0)
        };
        match (self.address, address) {
            (IpAddr::V4(own), IpAddr::V4(other)) => same(own.to_bits().into(), other.to_bits().into(), 32),
            (IpAddr::V6(own), IpAddr::V6(other)) => same(own.to_bits(), other.to_bits(), 128),
            _ => false,
        }
    }
}

impl FromStr for Network {
    type Err = OutboundError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let wrong = || OutboundError::InvalidNetwork(text.to_owned());
        let (address, bits) = text.split_once('/').ok_or_else(wrong)?;
        let address: IpAddr = address.parse().map_err(|_| wrong())?;
        let bits: u32 = bits.parse().map_err(|_| wrong())?;
        let width = if address.is_ipv4() { 32 } else { 128 };
        if bits > width {
            return Err(wrong());
        }
        Ok(Self { address, bits })
    }
}

/// Whether an address is one of the public internet's, by the IANA registries of special-purpose addresses.
fn is_public(address: IpAddr) -> bool {
    match address {
        IpAddr::V4(address) => is_public_v4(address),
        IpAddr::V6(address) => is_public_v6(address),
    }
}

fn is_public_v4(address: Ipv4Addr) -> bool {
    let [a, b, c, _] = address.octets();
    let is_special = address.is_private()
        || address.is_loopback()
        || address.is_link_local()
        || address.is_documentation()
        || address.is_multicast()
        // This network; carriers' shared space; protocol assignments; the relay of 6to4; benchmarks; reserved, broadcast included.
        || a == 0
        || (a == 100 && (64..128).contains(&b))
        || (a == 192 && b == 0 && c == 0)
        || (a == 192 && b == 88 && c == 99)
        || (a == 198 && (b == 18 || b == 19))
        || a >= 240;
    !is_special
}

fn is_public_v6(address: Ipv6Addr) -> bool {
    let segments = address.segments();
    let embedded = |high: u16, low: u16| Ipv4Addr::from_bits(u32::from(high) << 16 | u32::from(low));
    match segments {
        // Where another address is inside, that is where the call goes: NAT64 and 6to4.
        [0x64, 0xff9b, 0, 0, 0, 0, high, low] | [0x2002, high, low, ..] => is_public_v4(embedded(high, low)),
        // Protocol assignments with Teredo in them, and documentation.
        [0x2001, second, ..] if second < 0x200 || second == 0xdb8 => false,
        [0x3fff, second, ..] if second < 0x1000 => false,
        // All else that is given out for the internet.
        [first, ..] => first & 0xe000 == 0x2000,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_inside_is_refused_in_every_spelling() {
        let guard = Guard::default();
        for inside in [
            "127.0.0.1",
            "0.0.0.0",
            "10.1.2.3",
            "172.16.0.1",
            "172.31.255.255",
            "192.168.1.1",
            "169.254.169.254",
            "100.64.0.1",
            "198.18.0.1",
            "192.0.0.1",
            "224.0.0.1",
            "255.255.255.255",
            "203.0.113.9",
            "::1",
            "::",
            "::ffff:127.0.0.1",
            "::ffff:10.0.0.1",
            "::127.0.0.1",
            "fe80::1",
            "fc00::1",
            "fd00:ec2::254",
            "fec0::1",
            "ff02::1",
            "2001:db8::1",
            "2001::1",
            "64:ff9b::a00:1",
            "64:ff9b:1::1",
            "2002:7f00:1::",
            "100::1",
            "3fff::1",
        ] {
            assert!(!guard.admits(inside.parse().unwrap()), "{inside}");
        }
    }

    #[test]
    fn what_is_public_is_admitted() {
        let guard = Guard::default();
        for public in
            ["1.1.1.1", "100.128.0.1", "172.32.0.1", "2606:4700::1111", "64:ff9b::101:101", "2a00::1"]
        {
            assert!(guard.admits(public.parse().unwrap()), "{public}");
        }
    }

    #[test]
    fn a_network_is_admitted_by_its_bits() {
        let guard = Guard::new(vec!["10.8.0.0/13".parse().unwrap(), "fd00::/16".parse().unwrap()]);
        for (address, is_admitted) in [
            ("10.8.0.1", true),
            ("10.15.255.255", true),
            ("10.16.0.0", false),
            ("::ffff:10.8.0.1", true),
            ("fd00:1::1", true),
            ("fd01::1", false),
            ("127.0.0.1", false),
        ] {
            assert_eq!(guard.admits(address.parse().unwrap()), is_admitted, "{address}");
        }
        let all = Guard::new(vec!["0.0.0.0/0".parse().unwrap(), "::/0".parse().unwrap()]);
        assert!(all.admits("127.0.0.1".parse().unwrap()) && all.admits("::1".parse().unwrap()));
    }

    #[test]
    fn what_is_no_network_is_refused() {
        for wrong in ["", "10.0.0.0", "10.0.0.0/33", "::/129", "10.0.0/8", "host/8", "10.0.0.0/-1"] {
            assert!(wrong.parse::<Network>().is_err(), "{wrong}");
        }
    }
}
