//! Child processes that say on standard error what they do.

use std::process::Stdio;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use tokio::io::{AsyncBufReadExt as _, AsyncRead, BufReader};
use tokio::process::{Child, Command};
use tokio::sync::Notify;

/// Only a guard, far beyond what anything here takes.
pub(crate) const GUARD: Duration = Duration::from_secs(100);

/// Waits, but not for ever.
pub(crate) async fn within<T>(what: &str, future: impl Future<Output = T>) -> T {
    tokio::time::timeout(GUARD, future)
        .await
        .unwrap_or_else(|_| panic!("nothing came of: {what}"))
}

/// A running program. Dropping it kills it.
pub(crate) struct Process {
    child: Child,
    log: Arc<Log>,
}

#[derive(Default)]
struct Log {
    lines: Mutex<Vec<String>>,
    grown: Notify,
}

impl Process {
    /// Starts a program. What it says on either output is kept.
    pub(crate) fn start(mut command: Command) -> Self {
        let mut child = command
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .kill_on_drop(true)
            .spawn()
            .unwrap_or_else(|error| panic!("{command:?}: {error}"));
        let log = Arc::new(Log::default());
        tokio::spawn(keep(child.stdout.take().unwrap(), Arc::clone(&log)));
        tokio::spawn(keep(child.stderr.take().unwrap(), Arc::clone(&log)));
        Self { child, log }
    }

    /// Waits for a line with `text` in it; gives what follows. `None` if it ends without having said it.
    pub(crate) async fn says(&mut self, text: &str) -> Option<String> {
        loop {
            let grown = self.log.grown.notified();
            let said = self.log.lines.lock().unwrap().iter().find_map(|line| {
                let at = line.find(text)?;
                Some(line[at + text.len()..].trim().to_owned())
            });
            if said.is_some() {
                return said;
            }
            tokio::select! {
                () = grown => {}
                _ = self.child.wait() => return None,
            }
        }
    }

    /// Whether it has not ended.
    pub(crate) fn is_running(&mut self) -> bool {
        self.child.try_wait().unwrap().is_none()
    }

    /// Ends it without a chance to say goodbye.
    pub(crate) async fn kill(&mut self) {
        self.child.kill().await.unwrap();
    }

    /// Processor time that it has used, to a hundredth of a second.
    pub(crate) fn cpu(&self) -> Duration {
        let stat = self.proc("stat");
        // The name, in parentheses, may have spaces; user and system time are the fields 14 and 15.
        let (_, fields) = stat.rsplit_once(')').unwrap();
        let fields: Vec<&str> = fields.split_whitespace().collect();
        let ticks = |field: &str| field.parse::<u64>().unwrap();
        Duration::from_millis(10 * (ticks(fields[11]) + ticks(fields[12])))
    }

    /// Memory that it has in use.
    pub(crate) fn resident_bytes(&self) -> u64 {
        let status = self.proc("status");
        let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
        let kibibytes = line.unwrap().trim().trim_end_matches(" kB");
        kibibytes.parse::<u64>().unwrap() << 10
    }

    fn proc(&self, file: &str) -> String {
        let id = self.child.id().unwrap();
        std::fs::read_to_string(format!("/proc/{id}/{file}")).unwrap()
    }

    /// The last that it said.
    pub(crate) fn last_words(&self) -> String {
        let lines = self.log.lines.lock().unwrap();
        lines[lines.len().saturating_sub(12)..].join("\n    ")
    }
}

async fn keep(output: impl AsyncRead + Unpin, log: Arc<Log>) {
    let mut lines = BufReader::new(output).lines();
    while let Ok(Some(line)) = lines.next_line().await {
        log.lines.lock().unwrap().push(line);
        log.grown.notify_waiters();
    }
}
