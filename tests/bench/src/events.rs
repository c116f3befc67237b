//! What the two ends say on standard output, one JSON object a line. The Go program says the same.

use std::net::SocketAddr;

use serde::{Deserialize, Serialize};

use crate::model::Outcome;

/// A line of an end.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "event", rename_all = "lowercase")]
pub(crate) enum Event {
    /// A server listens.
    Listening {
        /// Where.
        addr: SocketAddr,
    },
    /// The measured time of a caller begins.
    Begin,
    /// It is over.
    End,
    /// What the caller counted. Its last words.
    Result(Outcome),
    /// It cannot go on. Its last words.
    Error {
        /// Why.
        message: String,
    },
}

impl Event {
    /// Says it.
    pub(crate) fn print(&self) {
        let line = serde_json::to_string(self).expect("events are plain data");
        println!("{line}");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_are_as_the_go_program_writes_them() {
        let read = |line| serde_json::from_str::<Event>(line).unwrap();
        let addr = "127.0.0.1:80".parse().unwrap();
        assert_eq!(
            read(r#"{"event":"listening","addr":"127.0.0.1:80"}"#),
            Event::Listening { addr }
        );
        assert_eq!(read(r#"{"event":"begin"}"#), Event::Begin);
        assert_eq!(read(r#"{"event":"end"}"#), Event::End);
        assert_eq!(
            read(r#"{"event":"error","message":"no"}"#),
            Event::Error {
                message: "no".to_owned()
            }
        );
        let result = r#"{"event":"result","seconds":2.5,"cpu":1.5,"bytes":7,"calls":3,"failed":1,"unfinished":2,
            "latencies":[[200,2],[300,1]]}"#;
        let Event::Result(outcome) = read(result) else {
            panic!("no result");
        };
        assert_eq!((outcome.bytes, outcome.latencies.len()), (7, 3));
    }
}
