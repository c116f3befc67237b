//! The works: what a caller does, by name.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

/// What a caller does for a while.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub(crate) enum Work {
    /// The server sends without end; counted where it is received.
    Bulk,
    /// Messages of so many bytes come back, one after the other.
    Echo(usize),
    /// Isolated calls with a response of so many bytes: on each of some connections one at a time,
    /// with a pause in between.
    Unary(usize),
    /// So many small calls a second, whether the earlier ones were answered or not; one connection.
    Load(u32),
    /// So many callers, each with one small call under way; one connection.
    Callers(usize),
    /// As [`Work::Load`], while a bulk transfer takes what it can of the same connection.
    Mixed(u32),
    /// New connections, each with its first call, one after the other.
    Connect,
    /// So many connections that are silent.
    Idle(usize),
    /// So many connections, each with two small calls a second.
    Active(usize),
    /// So many connections, each with one small call a second: a message there, and one back.
    Message(usize),
}

impl Work {
    /// Whether its figure is bytes a second.
    pub(crate) fn is_throughput(self) -> bool {
        match self {
            Self::Bulk | Self::Echo(_) => true,
            Self::Unary(_)
            | Self::Load(_)
            | Self::Callers(_)
            | Self::Mixed(_)
            | Self::Connect
            | Self::Idle(_)
            | Self::Active(_)
            | Self::Message(_) => false,
        }
    }

    /// Whether its figure is the memory and the time that many connections take.
    pub(crate) fn is_sessions(self) -> bool {
        matches!(self, Self::Idle(_) | Self::Active(_) | Self::Message(_))
    }

    /// What it does, in a few words.
    pub(crate) fn title(self) -> String {
        match self {
            Self::Bulk => "Bulk, one way, one connection".to_owned(),
            Self::Echo(size) => format!("Echo of {}", size_text(size)),
            Self::Unary(SMALL) => "Isolated calls, one packet each way".to_owned(),
            Self::Unary(size) => format!("Isolated calls, response of {}", size_text(size)),
            Self::Load(rate) => format!("{rate} calls a second, open loop"),
            Self::Callers(count) => format!("{count} callers at once"),
            Self::Mixed(rate) => format!("{rate} calls a second beside a bulk transfer"),
            Self::Connect => "Connect and first call".to_owned(),
            Self::Idle(count) => format!("{count} idle connections"),
            Self::Active(count) => format!("{count} connections with 2 calls a second each"),
            Self::Message(count) => {
                format!("{count} connections with a message each way a second")
            }
        }
    }

    /// One of every kind, to show how they are written.
    pub(crate) const SAMPLES: [Self; 12] = [
        Self::Bulk,
        Self::Echo(4 << 10),
        Self::Echo(64 << 10),
        Self::Unary(SMALL),
        Self::Unary(16 << 10),
        Self::Load(1_000),
        Self::Callers(128),
        Self::Mixed(100),
        Self::Connect,
        Self::Idle(10_000),
        Self::Active(10_000),
        Self::Message(10_000),
    ];
}

impl fmt::Display for Work {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let name = match self {
            Self::Bulk => "bulk".to_owned(),
            Self::Echo(size) => format!("echo:{}", size_text(*size)),
            Self::Unary(SMALL) => "unary".to_owned(),
            Self::Unary(size) => format!("unary:{}", size_text(*size)),
            Self::Load(rate) => format!("load:{rate}"),
            Self::Callers(count) => format!("callers:{count}"),
            Self::Mixed(rate) => format!("mixed:{rate}"),
            Self::Connect => "connect".to_owned(),
            Self::Idle(count) => format!("idle:{count}"),
            Self::Active(count) => format!("active:{count}"),
            Self::Message(count) => format!("message:{count}"),
        };
        f.pad(&name)
    }
}

impl FromStr for Work {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let (name, value) = match text.split_once(':') {
            Some((name, value)) => (name, Some(value)),
            None => (text, None),
        };
        let wrong = || format!("no work `{text}`; `bench list` shows how they are written");
        let number = |default: usize| value.map_or(Some(default), size).filter(|&n| n > 0);
        let count = |default| {
            let number = number(default)?;
            (number <= MAX_COUNT).then_some(number)
        };
        let rate = |default| {
            number(default)
                .and_then(|n| u32::try_from(n).ok())
                .filter(|&n| n <= MAX_RATE)
        };
        let bytes = |default| number(default).filter(|&n| n <= MAX_BYTES);
        let work = match name {
            "bulk" if value.is_none() => Some(Self::Bulk),
            "connect" if value.is_none() => Some(Self::Connect),
            "echo" => bytes(64 << 10).map(Self::Echo),
            "unary" => bytes(SMALL).filter(|&n| n >= SMALL).map(Self::Unary),
            "load" => rate(1_000).map(Self::Load),
            "mixed" => rate(100).map(Self::Mixed),
            "callers" => count(128).map(Self::Callers),
            "idle" => count(1_000).map(Self::Idle),
            "active" => count(1_000).map(Self::Active),
            "message" => count(1_000).map(Self::Message),
            _ => None,
        };
        work.ok_or_else(wrong)
    }
}

impl TryFrom<String> for Work {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        text.parse()
    }
}

impl From<Work> for String {
    fn from(work: Work) -> Self {
        work.to_string()
    }
}

/// A number, with K or M for its multiples of 1024 and 1024².
fn size(text: &str) -> Option<usize> {
    let (digits, unit) = match text.strip_suffix('K') {
        Some(digits) => (digits, 1 << 10),
        None => match text.strip_suffix('M') {
            Some(digits) => (digits, 1 << 20),
            None => (text, 1),
        },
    };
    digits.parse::<usize>().ok()?.checked_mul(unit)
}

fn size_text(bytes: usize) -> String {
    if bytes > 0 && bytes.is_multiple_of(1 << 20) {
        format!("{}M", bytes >> 20)
    } else if bytes > 0 && bytes.is_multiple_of(1 << 10) {
        format!("{}K", bytes >> 10)
    } else {
        bytes.to_string()
    }
}

/// Bytes of every request, and of a small response.
pub(crate) const SMALL: usize = 64;

/// Most bytes of a message: what tonic takes by default.
const MAX_BYTES: usize = 3 << 20;

/// Most connections or callers.
const MAX_COUNT: usize = 100_000;

/// Most calls a second.
const MAX_RATE: u32 = 1_000_000;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_work_is_read_back() {
        for work in Work::SAMPLES {
            assert_eq!(work.to_string().parse(), Ok(work));
        }
        assert_eq!("echo:1M".parse(), Ok(Work::Echo(1 << 20)));
        assert_eq!("unary:16K".parse(), Ok(Work::Unary(16 << 10)));
        assert_eq!("unary".parse(), Ok(Work::Unary(SMALL)));
        assert_eq!("callers".parse(), Ok(Work::Callers(128)));
    }

    #[test]
    fn what_is_no_work_is_refused() {
        for text in [
            "",
            "bulk:1",
            "echo:",
            "echo:0",
            "echo:4G",
            "echo:100M",
            "unary:3",
            "load:-1",
            "idle:9999999",
            "idle:99999999999999999999M",
        ] {
            assert!(text.parse::<Work>().is_err(), "{text}");
        }
    }
}
