//! The model against what was recorded from kcp-go: every packet, state, return code and counter.

#[path = "vectors/fec.rs"]
mod fec;
#[path = "vectors/kcp.rs"]
mod kcp;

use serde::de::DeserializeOwned;
use serde::{Deserialize, Deserializer};

/// Reads `vectors/<name>.json`.
fn load<T: DeserializeOwned>(name: &str) -> T {
    let path = format!("{}/vectors/{name}.json", env!("CARGO_MANIFEST_DIR"));
    let text = std::fs::read_to_string(&path).unwrap_or_else(|error| panic!("{path}: {error}"));
    serde_json::from_str(&text).unwrap_or_else(|error| panic!("{path}: {error}"))
}

/// Bytes that a vector holds as hexadecimal text.
#[derive(Clone, PartialEq, Eq)]
struct Hex(Vec<u8>);

impl std::fmt::Debug for Hex {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

impl<'de> Deserialize<'de> for Hex {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        let digits = text.as_bytes().chunks(2);
        let bytes = digits.map(|pair| {
            let pair = std::str::from_utf8(pair).map_err(serde::de::Error::custom)?;
            u8::from_str_radix(pair, 16).map_err(serde::de::Error::custom)
        });
        bytes.collect::<Result<_, _>>().map(Self)
    }
}

/// Wraps bytes for comparison with a vector.
fn hex(packets: impl IntoIterator<Item = Vec<u8>>) -> Vec<Hex> {
    packets.into_iter().map(Hex).collect()
}
