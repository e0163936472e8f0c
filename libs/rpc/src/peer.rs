//! What an operator says of one peer.

use std::fmt;

use serde::de::value::MapAccessDeserializer;
use serde::de::{MapAccess, Visitor};
use serde::{Deserialize, Deserializer};

use crate::ResilienceSettings;

/// A peer: its URL, or a table with `url` and what else is said of it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct PeerSettings {
    /// Where it is: `http://HOST:PORT`.
    pub url: String,
    /// What holds for it alone.
    pub resilience: ResilienceSettings,
    /// Whether it is one of ours although it is no service of the mesh: then it is shown our token and our certificate, and has to prove itself by our authorities.
    pub is_ours: bool,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct PeerTable {
    url: String,
    #[serde(default)]
    resilience: ResilienceSettings,
    #[serde(default)]
    is_ours: bool,
}

// === impl PeerSettings ===

impl From<String> for PeerSettings {
    fn from(url: String) -> Self {
        Self { url, ..Self::default() }
    }
}

impl<'de> Deserialize<'de> for PeerSettings {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Either;

        impl<'de> Visitor<'de> for Either {
            type Value = PeerSettings;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("http://HOST:PORT, or a table with `url` and `resilience`")
            }

            fn visit_str<E: serde::de::Error>(self, url: &str) -> Result<PeerSettings, E> {
                Ok(url.to_owned().into())
            }

            fn visit_map<M: MapAccess<'de>>(self, map: M) -> Result<PeerSettings, M::Error> {
                let PeerTable { url, resilience, is_ours } =
                    PeerTable::deserialize(MapAccessDeserializer::new(map))?;
                Ok(PeerSettings { url, resilience, is_ours })
            }
        }

        deserializer.deserialize_any(Either)
    }
}
