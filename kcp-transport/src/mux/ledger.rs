//! Which streams live, and how the peer ended its side of each.
//!
//! yamux reports a stream's orderly end, its reset and the loss of the session alike, as an end of
//! file. The ledger keeps what the frames said, so that a stream can tell them apart.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU8, Ordering};

/// How the peer ended its side of one stream. Shared by the ledger and the stream's handle.
#[derive(Debug, Default)]
pub(super) struct Fate(AtomicU8);

impl Fate {
    const FINISHED: u8 = 1;
    const RESET: u8 = 2;

    /// The peer has sent everything.
    pub(super) fn set_finished(&self) {
        self.0.fetch_or(Self::FINISHED, Ordering::Release);
    }

    /// The peer gave the stream up.
    pub(super) fn set_reset(&self) {
        self.0.fetch_or(Self::RESET, Ordering::Release);
    }

    /// Whether everything the peer sent has arrived, and was all it had to send.
    pub(super) fn is_finished(&self) -> bool {
        self.0.load(Ordering::Acquire) & Self::FINISHED != 0
    }

    /// Whether the peer takes nothing any more.
    pub(super) fn is_reset(&self) -> bool {
        self.0.load(Ordering::Acquire) & Self::RESET != 0
    }

    /// Whether the peer will send nothing more, for whatever reason.
    pub(super) fn is_ended(&self) -> bool {
        self.0.load(Ordering::Acquire) != 0
    }
}

/// Which end of the connection we are; it decides whose stream numbers are odd.
pub(super) use yamux::Mode;

/// Every stream that yamux knows, by number.
#[derive(Debug)]
pub(super) struct Ledger {
    mode: Mode,
    entries: HashMap<u32, Entry>,
    /// How many of the entries are streams of the peer.
    inbound: usize,
    max_inbound: usize,
}

#[derive(Debug, Default)]
struct Entry {
    fate: Arc<Fate>,
    abandoned: bool,
}

impl Ledger {
    pub(super) fn new(mode: Mode, max_inbound: usize) -> Self {
        Self {
            mode,
            entries: HashMap::new(),
            inbound: 0,
            max_inbound,
        }
    }

    /// Enters a stream, unless it was [admitted](Self::admit) before.
    pub(super) fn enter(&mut self, stream: u32) -> Arc<Fate> {
        if let Some(entry) = self.entries.get(&stream) {
            return Arc::clone(&entry.fate);
        }
        self.inbound += usize::from(self.is_inbound(stream));
        Arc::clone(&self.entries.entry(stream).or_default().fate)
    }

    /// Enters a stream that the peer opens; `false` if it has too many.
    ///
    /// A number that the peer must not use is let through: yamux ends the session for it.
    pub(super) fn admit(&mut self, stream: u32) -> bool {
        if !self.is_inbound(stream) || self.entries.contains_key(&stream) {
            return true;
        }
        let admitted = self.inbound < self.max_inbound;
        if admitted {
            self.enter(stream);
        }
        admitted
    }

    /// Takes no streams of the peer any more.
    pub(super) fn admit_none(&mut self) {
        self.max_inbound = 0;
    }

    /// Strikes a stream that yamux has forgotten.
    pub(super) fn strike(&mut self, stream: u32) {
        if self.entries.remove(&stream).is_some() && self.is_inbound(stream) {
            self.inbound -= 1;
        }
    }

    /// Notes that our end of the stream was dropped before it was shut down.
    pub(super) fn abandon(&mut self, stream: u32) {
        if let Some(entry) = self.entries.get_mut(&stream) {
            entry.abandoned = true;
        }
    }

    pub(super) fn is_abandoned(&self, stream: u32) -> bool {
        self.entries
            .get(&stream)
            .is_some_and(|entry| entry.abandoned)
    }

    pub(super) fn fate(&self, stream: u32) -> Option<&Arc<Fate>> {
        self.entries.get(&stream).map(|entry| &entry.fate)
    }

    /// The numbers of all streams, in order.
    pub(super) fn streams(&self) -> Vec<u32> {
        let mut streams: Vec<u32> = self.entries.keys().copied().collect();
        streams.sort_unstable();
        streams
    }

    /// Open streams of the peer.
    pub(super) fn inbound(&self) -> usize {
        self.inbound
    }

    /// Open streams of ours.
    pub(super) fn outbound(&self) -> usize {
        self.entries.len() - self.inbound
    }

    fn is_inbound(&self, stream: u32) -> bool {
        let odd = stream % 2 == 1;
        match self.mode {
            Mode::Client => !odd,
            Mode::Server => odd,
        }
    }
}
