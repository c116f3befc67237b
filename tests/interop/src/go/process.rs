//! A running Go program: commands in, one JSON object a line out.

use std::collections::VecDeque;
use std::path::Path;
use std::process::Stdio;
use std::time::Duration;

use serde::de::DeserializeOwned;
use serde_json::Value;
use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader, Lines};
use tokio::process::{Child, ChildStdin, ChildStdout, Command};

/// How much longer we wait than the child, which can say what it was waiting for.
pub(super) const GRACE: Duration = Duration::from_secs(5);

/// A child process. Dropping it kills it.
///
/// Every method that waits panics when the child reports an error, ends, or says nothing until its timeout.
#[derive(Debug)]
pub(super) struct Process {
    child: Child,
    commands: ChildStdin,
    lines: Lines<BufReader<ChildStdout>>,
    /// What was reported while waiting for something else.
    reported: VecDeque<(String, Value)>,
    patience: Duration,
}

impl Process {
    /// Starts `program`, which ends by itself after `timeout`.
    pub(super) fn start(program: &Path, arguments: &[String], timeout: Duration) -> Self {
        let mut child = Command::new(program)
            .args(arguments)
            .arg(format!("-timeout={}ms", timeout.as_millis()))
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .kill_on_drop(true)
            .spawn()
            .expect("the program was built");
        let commands = child.stdin.take().expect("standard input is a pipe");
        let output = child.stdout.take().expect("standard output is a pipe");
        Self {
            child,
            commands,
            lines: BufReader::new(output).lines(),
            reported: VecDeque::new(),
            patience: timeout + GRACE,
        }
    }

    pub(super) fn id(&self) -> Option<u32> {
        self.child.id()
    }

    pub(super) async fn command(&mut self, command: &str) {
        let line = format!("{command}\n");
        let written = self.commands.write_all(line.as_bytes()).await;
        written.unwrap_or_else(|error| panic!("the Go peer does not hear {command:?}: {error}"));
    }

    /// The oldest report of this name, now or later.
    pub(super) async fn event<T: DeserializeOwned>(&mut self, name: &str) -> T {
        let earlier = self
            .reported
            .iter()
            .position(|(reported, _)| reported == name);
        let found = earlier.and_then(|at| self.reported.remove(at));
        let (_, event) = match found {
            Some(event) => event,
            None => tokio::time::timeout(self.patience, self.read_until(name))
                .await
                .unwrap_or_else(|_| panic!("the Go peer never reported {name:?}")),
        };
        serde_json::from_value(event).unwrap_or_else(|error| panic!("{name:?}: {error}"))
    }

    async fn read_until(&mut self, name: &str) -> (String, Value) {
        loop {
            let line = self.lines.next_line().await.expect("a pipe can be read");
            let line = line.unwrap_or_else(|| panic!("the Go peer ended before {name:?}"));
            let event: Value = serde_json::from_str(&line)
                .unwrap_or_else(|error| panic!("the Go peer said {line:?}: {error}"));
            let reported = event["event"].as_str().unwrap_or_default().to_owned();
            assert_ne!(
                reported, "error",
                "the Go peer failed: {}",
                event["message"]
            );
            if reported == name {
                return (reported, event);
            }
            self.reported.push_back((reported, event));
        }
    }

    /// Waits for its end, which must be one without an error.
    pub(super) async fn ended(mut self) {
        let status = self.child.wait().await.expect("a child can be waited for");
        assert!(status.success(), "the Go peer ended with {status}");
    }

    /// Ends it at once, and waits until its sockets are closed.
    pub(super) async fn kill(mut self) {
        self.child.kill().await.expect("a child can be killed");
    }
}

#[cfg(test)]
mod tests {
    use std::net::SocketAddr;

    use super::*;
    use crate::go::{Go, PeerOptions, Release};

    #[tokio::test]
    async fn a_dropped_peer_is_killed() {
        let Some(go) = Go::find(Release::Current) else {
            return;
        };
        let peer = go.listen(&PeerOptions::default()).await;
        let Process {
            child,
            commands: _still_open,
            mut lines,
            ..
        } = peer.into_process();
        drop(child);
        let line = tokio::time::timeout(GRACE, lines.next_line())
            .await
            .unwrap();
        assert_eq!(line.unwrap(), None, "its end of the pipe is closed");
    }

    #[tokio::test]
    async fn an_error_of_the_peer_is_ours() {
        let Some(go) = Go::find(Release::Current) else {
            return;
        };
        let mut options = PeerOptions::default();
        options.session.mtu = 24;
        let nobody = SocketAddr::from(([127, 0, 0, 1], 9));
        let dial = tokio::spawn(async move { go.dial(nobody, &options).await });
        let panic = dial.await.unwrap_err().into_panic();
        let message = panic.downcast::<String>().unwrap();
        assert!(message.contains("mtu 24 refused"), "{message}");
    }
}
