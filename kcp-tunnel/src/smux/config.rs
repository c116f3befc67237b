//! Settings of a session, each checked where it is set: a [`Config`] that exists is valid.

use core::fmt;
use core::time::Duration;

/// Version of the protocol. Both ends must be set to the same one; nothing is negotiated.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Version {
    /// The session's receive budget is the only flow control: one unread stream stalls all.
    V1,
    /// Every stream has a window of its own, which its reader reopens.
    V2,
}

impl Version {
    /// The first byte of every frame.
    pub(super) const fn byte(self) -> u8 {
        match self {
            Self::V1 => 1,
            Self::V2 => 2,
        }
    }
}

/// Settings of a session.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Config {
    pub(super) version: Version,
    pub(super) keepalive: Duration,
    pub(super) timeout: Duration,
    pub(super) max_frame: usize,
    pub(super) receive_budget: usize,
    pub(super) stream_window: u32,
    pub(super) accept_backlog: usize,
    pub(super) max_streams: usize,
    pub(super) half_close: bool,
    pub(super) announce: bool,
}

impl Config {
    /// The defaults, which are those of the Go library smux 1.5 where it has the setting.
    pub fn new(version: Version) -> Self {
        Self {
            version,
            keepalive: Duration::from_secs(10),
            timeout: Duration::from_secs(30),
            max_frame: 32_768,
            receive_budget: 4_194_304,
            stream_window: 65_536,
            accept_backlog: 1_024,
            max_streams: 16_384,
            half_close: true,
            announce: false,
        }
    }

    /// How long this end stays silent before it sends a NOP, and how long the peer may stay silent
    /// before the session ends.
    ///
    /// Default 10 s and 30 s. The timeout does not run while this end reads nothing because its
    /// receive budget is used up.
    ///
    /// # Errors
    /// `interval` is zero or longer than `timeout`.
    pub fn keepalive(mut self, interval: Duration, timeout: Duration) -> Result<Self, ConfigError> {
        if interval.is_zero() || interval > timeout {
            return Err(ConfigError::Keepalive { interval, timeout });
        }
        self.keepalive = interval;
        self.timeout = timeout;
        Ok(self)
    }

    /// Most payload bytes in a frame that this end sends. It receives up to 65,535 whatever is set.
    ///
    /// Default 32,768. Smaller frames share a slow link more evenly between streams; each costs 8
    /// bytes.
    ///
    /// # Errors
    /// `bytes` is not from 1 to 65,535.
    pub fn max_frame(mut self, bytes: usize) -> Result<Self, ConfigError> {
        if !(1..=usize::from(u16::MAX)).contains(&bytes) {
            return Err(ConfigError::MaxFrame(bytes));
        }
        self.max_frame = bytes;
        Ok(self)
    }

    /// Received bytes that may wait for readers: on all streams together, and the window announced
    /// for each stream (version 2 only).
    ///
    /// Default 4 MiB and 64 KiB. The first bounds memory against any peer, the second only against
    /// one that keeps to its window.
    ///
    /// # Errors
    /// `stream` is zero or more than `session`, or `session` is more than 2³¹ − 1.
    pub fn buffers(mut self, session: usize, stream: usize) -> Result<Self, ConfigError> {
        let window = u32::try_from(stream).ok();
        let Some(window) =
            window.filter(|_| stream != 0 && stream <= session && session <= MAX_BUFFER)
        else {
            return Err(ConfigError::Buffers { session, stream });
        };
        self.receive_budget = session;
        self.stream_window = window;
        Ok(self)
    }

    /// Streams opened by the peer that may wait for [`accept`](super::Session::accept); one more
    /// is refused, that is, finished at once.
    ///
    /// Default 1,024. 0 refuses every stream of the peer. (The Go library stops reading the
    /// transport instead, which stalls the streams that are already open.)
    pub fn accept_backlog(mut self, streams: usize) -> Self {
        self.accept_backlog = streams;
        self
    }

    /// Streams that may exist at once, whoever opened them. Default 16,384.
    ///
    /// Beyond it, opening fails, and what the peer opens is refused. A stream holds up to 64 KiB that
    /// wait to be sent, besides its share of the receive budget; in a tunnel 16 KiB while 1 MiB waits in
    /// all. (The Go library has no limit.)
    pub fn max_streams(mut self, streams: usize) -> Self {
        self.max_streams = streams;
        self
    }

    /// Whether to tell the peer that this end half-closes streams, and to learn whether the peer
    /// does: see [`Peer`](super::Peer). Default `false`.
    ///
    /// Says so in a frame of data on a stream that never exists, which others drop.
    pub fn announce(mut self, enabled: bool) -> Self {
        self.announce = enabled;
        self
    }

    /// Whether a peer that has finished a stream may still be reading it. Default `true`.
    ///
    /// The wire does not tell a finished direction from a closed stream, and peers older than smux
    /// 1.5.5x know only the second. With `false`, the peer's FIN also fails our writes, which would
    /// otherwise vanish there, or in version 2 wait for ever for its window.
    pub fn half_close(mut self, supported: bool) -> Self {
        self.half_close = supported;
        self
    }
}

impl fmt::Display for Config {
    /// The settings in effect, in one line.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "version {}, frames of {} bytes, buffers of {} bytes a session and {} a stream, keepalive {:?}",
            self.version.byte(),
            self.max_frame,
            self.receive_budget,
            self.stream_window,
            self.keepalive
        )
    }
}

/// A setting that no session can have.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ConfigError {
    /// The keepalive interval is zero or longer than the timeout.
    #[error(
        "keepalive every {interval:?} must be more than zero and at most the timeout of {timeout:?}"
    )]
    Keepalive {
        /// The interval asked for.
        interval: Duration,
        /// The timeout asked for.
        timeout: Duration,
    },
    /// The frame size does not fit its field of 16 bits.
    #[error("frames of {0} bytes: must be from 1 to 65535")]
    MaxFrame(usize),
    /// The buffers do not fit into each other.
    #[error(
        "a stream buffer of {stream} bytes must be from 1 to the session's, and that ({session}) at most 2147483647"
    )]
    Buffers {
        /// The session's buffer asked for, in bytes.
        session: usize,
        /// The stream's buffer asked for, in bytes.
        stream: usize,
    },
}

/// Largest receive budget. Source: smux `VerifyConfig`.
const MAX_BUFFER: usize = i32::MAX as usize;

#[cfg(test)]
mod tests {
    use super::*;

    fn config() -> Config {
        Config::new(Version::V2)
    }

    #[test]
    fn a_keepalive_must_fit_into_the_timeout() {
        let secs = Duration::from_secs;
        assert!(config().keepalive(secs(30), secs(30)).is_ok());
        assert!(config().keepalive(secs(31), secs(30)).is_err());
        assert!(config().keepalive(secs(0), secs(30)).is_err());
    }

    #[test]
    fn a_frame_fits_its_length_field() {
        assert!(config().max_frame(1).is_ok());
        assert!(config().max_frame(65_535).is_ok());
        assert_eq!(
            config().max_frame(65_536).unwrap_err(),
            ConfigError::MaxFrame(65_536)
        );
        assert!(config().max_frame(0).is_err());
    }

    #[test]
    fn a_stream_buffer_fits_into_the_sessions() {
        assert!(config().buffers(1, 1).is_ok());
        assert!(config().buffers(MAX_BUFFER, 1).is_ok());
        assert!(config().buffers(MAX_BUFFER + 1, 1).is_err());
        assert!(config().buffers(100, 101).is_err());
        assert!(config().buffers(100, 0).is_err());
    }
}
