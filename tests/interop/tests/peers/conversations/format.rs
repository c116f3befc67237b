//! A recorded conversation as a file, one for each: see `vectors/README.md`.

use std::fs;
use std::path::{Path, PathBuf};

use kcp_transport::{Cipher, Config, Fec, Mtu};
use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// Where the files are.
const FOLDER: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/vectors/conversations");

/// What was agreed on before, and all that happened at our end.
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
pub(super) struct Conversation {
    /// Who was at the other end.
    pub(super) peer: String,
    /// Whether the session was opened by us.
    pub(super) we_dial: bool,
    /// A cipher of kcptun.
    pub(super) cipher: String,
    /// What the key is derived from as kcptun does it.
    pub(super) passphrase: String,
    /// Password and salt that the key is derived from as rpcx does it, instead.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) rpcx_key: Option<(String, String)>,
    /// Shards of our packets.
    pub(super) code: Option<(usize, usize)>,
    /// Shards of the peer's.
    pub(super) peer_code: Option<(usize, usize)>,
    /// Longest datagram of ours, in bytes.
    pub(super) mtu: usize,
    pub(super) conv: u32,
    /// In the order in which it happened.
    pub(super) events: Vec<Happened>,
    /// All that the peer wrote.
    pub(super) heard: Hex,
    /// Its messages beside the stream.
    pub(super) heard_oob: Vec<Hex>,
}

/// What happened, `at` so many microseconds behind the begin.
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Happened {
    /// We wrote, and these datagrams left at once.
    Wrote { at: u64, bytes: Hex, left: Vec<Hex> },
    /// We sent a message beside the stream.
    WroteOob { at: u64, message: Hex },
    /// A datagram of the peer arrived.
    Got { at: u64, datagram: Hex },
    /// A timer was due. What it sent may be acknowledged by what follows.
    Woke { at: u64 },
}

impl Conversation {
    pub(super) fn config(&self) -> Config {
        let code = |(data, parity)| Fec::new(data, parity).expect("a code");
        let cipher = match &self.rpcx_key {
            Some((password, salt)) => examples::rpcx::cipher(&self.cipher, password, salt),
            None => Cipher::kcptun(&self.cipher, &self.passphrase),
        };
        Config::fast3()
            .cipher(cipher.expect("a cipher of kcptun"))
            .protect_control(self.rpcx_key.is_some())
            .fec(self.code.map(code))
            .mtu(Mtu::new(self.mtu).expect("in range"))
    }

    /// Datagrams of the peer.
    pub(super) fn datagrams(&self) -> usize {
        let got = |event: &&Happened| matches!(event, Happened::Got { .. });
        self.events.iter().filter(got).count()
    }
}

fn file(name: &str) -> PathBuf {
    Path::new(FOLDER).join(format!("{name}.json"))
}

pub(super) fn write(name: &str, conversation: &Conversation) {
    fs::create_dir_all(FOLDER).expect("the folder can be made");
    let mut text = serde_json::to_string(conversation).expect("plain values");
    // One event a line, for those who read it and for git.
    for (from, to) in [
        ("\"events\":[", "\n\"events\":[\n"),
        ("},{\"", "},\n{\""),
        ("],\"heard\"", "],\n\"heard\""),
    ] {
        text = text.replace(from, to);
    }
    fs::write(file(name), text + "\n").expect("vectors can be written");
}

/// All that were ever recorded, by name.
pub(super) fn read_all() -> Vec<(String, Conversation)> {
    let files = fs::read_dir(FOLDER).expect("there are vectors");
    let mut all: Vec<_> = files
        .map(|entry| {
            let path = entry.expect("it can be read").path();
            let name = path
                .file_stem()
                .expect("a name")
                .to_string_lossy()
                .into_owned();
            let text = fs::read_to_string(&path).expect("it can be read");
            let conversation = serde_json::from_str(&text);
            (
                name,
                conversation.unwrap_or_else(|error| panic!("{}: {error}", path.display())),
            )
        })
        .collect();
    all.sort_by(|(one, _), (other, _)| one.cmp(other));
    all
}

/// Bytes, in a file as hexadecimal digits.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct Hex(pub(super) Vec<u8>);

impl Serialize for Hex {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        let digits: String = self.0.iter().map(|byte| format!("{byte:02x}")).collect();
        to.serialize_str(&digits)
    }
}

impl<'de> Deserialize<'de> for Hex {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        let digits = String::deserialize(from)?;
        let byte = |pair: &[u8]| {
            let pair = std::str::from_utf8(pair).ok()?;
            u8::from_str_radix(pair, 16).ok()
        };
        let bytes: Option<_> = digits.as_bytes().chunks(2).map(byte).collect();
        let bytes = bytes.filter(|_| digits.len().is_multiple_of(2));
        bytes
            .map(Self)
            .ok_or_else(|| serde::de::Error::custom("not hexadecimal"))
    }
}
