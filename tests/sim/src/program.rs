//! What the program at one end of a session does and has seen.

use std::collections::VecDeque;

use kcp_transport::proto::SessionKey;
use kcp_transport::{SessionError, SessionStats};

use crate::Pattern;

/// A long transfer is written in pieces of this many bytes.
const WRITE_LEN: usize = 16 * 1024;

pub(crate) struct Program {
    pub(crate) host: usize,
    /// `None` at a model, which has one session only.
    pub(crate) key: Option<SessionKey>,
    pub(crate) outgoing: VecDeque<Vec<u8>>,
    pub(crate) transfer: Option<(Pattern, u64)>,
    pub(crate) expected: Option<Pattern>,
    pub(crate) inbox: Vec<Vec<u8>>,
    pub(crate) oob: Vec<Vec<u8>>,
    pub(crate) received: u64,
    pub(crate) reading: bool,
    pub(crate) answered: bool,
    pub(crate) drained: bool,
    pub(crate) ended: Option<(SessionError, Box<SessionStats>)>,
}

impl Program {
    pub(crate) fn new(host: usize, key: Option<SessionKey>) -> Self {
        Self {
            host,
            key,
            outgoing: VecDeque::new(),
            transfer: None,
            expected: None,
            inbox: Vec::new(),
            oob: Vec::new(),
            received: 0,
            reading: true,
            answered: false,
            drained: false,
            ended: None,
        }
    }

    /// Whether it has nothing left to write.
    pub(crate) fn has_written(&self) -> bool {
        self.outgoing.is_empty() && self.transfer.is_none()
    }

    /// What it writes next.
    pub(crate) fn next_write(&mut self) -> Option<Vec<u8>> {
        if let Some(bytes) = self.outgoing.pop_front() {
            return Some(bytes);
        }
        let (pattern, left) = self.transfer.as_mut()?;
        let len = (*left).min(WRITE_LEN as u64);
        *left -= len;
        let bytes = pattern.bytes(len as usize);
        if *left == 0 {
            self.transfer = None;
        }
        Some(bytes).filter(|bytes| !bytes.is_empty())
    }

    /// It reads `bytes`.
    pub(crate) fn take_in(&mut self, bytes: &[u8]) {
        self.received += bytes.len() as u64;
        match &mut self.expected {
            Some(pattern) => assert!(
                pattern.matches(bytes),
                "wrong bytes before {} of a transfer",
                self.received
            ),
            None => self.inbox.push(bytes.to_vec()),
        }
    }
}
