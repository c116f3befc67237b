//! Settings of a session. Whatever [`MuxConfig`] exists is valid: its setters check.

use std::time::Duration;

use crate::error::ConfigError;

/// Window every stream starts with, in bytes; the yamux specification fixes it.
pub(super) const INITIAL_WINDOW: usize = 256 * 1024;

/// Highest stream limit in either direction. Keeps the sum of all initial windows, which yamux
/// computes as a `usize`, below 2³¹ bytes.
const MAX_STREAMS: usize = 4_096;

/// Settings of a [`MuxSession`](super::MuxSession).
///
/// The default suits RPC between two peers of this library. Both ends may differ in every setting.
///
/// ```
/// use kcp_transport::mux::MuxConfig;
///
/// let config = MuxConfig::default().max_outbound(1_000)?.send_buffer(128 * 1024)?;
/// # Ok::<(), kcp_transport::error::ConfigError>(())
/// ```
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct MuxConfig {
    pub(super) max_outbound: usize,
    pub(super) max_inbound: usize,
    pub(super) accept_backlog: usize,
    pub(super) window_growth: usize,
    pub(super) frame_size: usize,
    pub(super) send_buffer: usize,
    pub(super) eager_open: bool,
    pub(super) eager_accept: bool,
    pub(super) keep_alive: Option<KeepAlive>,
    pub(super) linger: Duration,
}

impl Default for MuxConfig {
    fn default() -> Self {
        Self {
            max_outbound: 256,
            max_inbound: 1_024,
            accept_backlog: 1_024,
            window_growth: 64 * 1024 * 1024,
            frame_size: 32 * 1024,
            send_buffer: 256 * 1024,
            eager_open: true,
            eager_accept: true,
            keep_alive: Some(KeepAlive {
                interval: Duration::from_secs(10),
                timeout: Duration::from_secs(30),
            }),
            linger: Duration::from_secs(30),
        }
    }
}

impl MuxConfig {
    /// Settings for a peer that runs hashicorp/yamux (Go).
    ///
    /// A Go writer puts its whole window into one frame, which holds up every other stream while it
    /// is on its way; so no window may grow beyond 1 MiB. Go also refuses streams beyond 256 that
    /// its application has not accepted yet, and ends the session if a stream it opened is not
    /// acknowledged within 75 s: at most 256 streams are open at a time, and streams are
    /// acknowledged as they arrive. Source: hashicorp/yamux `stream.go`, `DefaultConfig`.
    pub fn go_peer() -> Self {
        Self {
            max_outbound: 256,
            window_growth: 1024 * 1024 - INITIAL_WINDOW,
            eager_accept: true,
            ..Self::default()
        }
    }

    /// Streams of ours that may be open at a time; beyond it
    /// [`open`](super::MuxSession::open) waits.
    ///
    /// Default 256; 1 to 4096. The peer must allow as many, or it resets the surplus. A peer built
    /// on the yamux crate alone ends the whole session instead. Source of the default: yamux's
    /// limit of 256 streams that the peer has not acknowledged.
    ///
    /// # Errors
    /// [`ConfigError::OutOfRange`].
    pub fn max_outbound(mut self, streams: usize) -> Result<Self, ConfigError> {
        self.max_outbound = in_range("max_outbound", "1 to 4096", 1, MAX_STREAMS, streams)?;
        Ok(self)
    }

    /// Streams of the peer that may be open at a time; one more is reset at once, the others live on.
    ///
    /// Default 1024; 0 to 4096. Each may fill 256 KiB of memory while nobody reads it.
    ///
    /// # Errors
    /// [`ConfigError::OutOfRange`].
    pub fn max_inbound(mut self, streams: usize) -> Result<Self, ConfigError> {
        self.max_inbound = in_range("max_inbound", "0 to 4096", 0, MAX_STREAMS, streams)?;
        Ok(self)
    }

    /// Streams that may wait to be accepted; one more is reset.
    ///
    /// Default 1024; 1 to 65536. For a [`MuxIncoming`](super::MuxIncoming) it counts the streams of
    /// all its sessions together.
    ///
    /// # Errors
    /// [`ConfigError::OutOfRange`].
    pub fn accept_backlog(mut self, streams: usize) -> Result<Self, ConfigError> {
        self.accept_backlog = in_range("accept_backlog", "1 to 65536", 1, 65_536, streams)?;
        Ok(self)
    }

    /// Bytes by which the receive windows of all streams together may grow beyond 256 KiB each.
    ///
    /// Default 64 MiB; 0 to 1 GiB. A window doubles while the peer uses up half of it within two
    /// round trips, so one stream can fill a path whose bandwidth times delay is this large. The
    /// memory of a session whose streams nobody reads is bounded by this, plus 256 KiB a stream.
    ///
    /// # Errors
    /// [`ConfigError::OutOfRange`].
    pub fn window_growth(mut self, bytes: usize) -> Result<Self, ConfigError> {
        self.window_growth = in_range("window_growth", "0 to 1 GiB", 0, 1 << 30, bytes)?;
        Ok(self)
    }

    /// Largest frame we send, in bytes of payload: longer writes are cut.
    ///
    /// Default 32 KiB; 1 KiB to 256 KiB. While a frame is on its way no other stream moves. The
    /// default holds a whole HTTP/2 frame (16 KiB and its header) without cutting it.
    ///
    /// # Errors
    /// [`ConfigError::OutOfRange`].
    pub fn frame_size(mut self, bytes: usize) -> Result<Self, ConfigError> {
        let range = "1 KiB to 256 KiB";
        self.frame_size = in_range("frame_size", range, 1024, INITIAL_WINDOW, bytes)?;
        Ok(self)
    }

    /// Bytes that may wait in the session for the connection below; beyond it writers wait.
    ///
    /// Default 256 KiB; 4 KiB to 64 MiB. Bytes that wait here cannot be overtaken by those of
    /// another stream, so more of them means more delay, not more throughput. A session holds at
    /// most this much, one frame, and 12 bytes for each frame that waits.
    ///
    /// # Errors
    /// [`ConfigError::OutOfRange`].
    pub fn send_buffer(mut self, bytes: usize) -> Result<Self, ConfigError> {
        self.send_buffer = in_range("send_buffer", "4 KiB to 64 MiB", 4096, 64 << 20, bytes)?;
        Ok(self)
    }

    /// Whether the peer learns of a stream when it is opened.
    ///
    /// Default `true`: costs 12 bytes. With `false` it learns with the first byte written, or when
    /// the opener first reads, so protocols in which the acceptor speaks first work either way.
    pub fn eager_open(mut self, eager: bool) -> Self {
        self.eager_open = eager;
        self
    }

    /// Whether the opener learns at once that its stream has arrived.
    ///
    /// Default `true`: costs 12 bytes. With `false` it learns with the first byte we write, and
    /// peers that limit streams not yet acknowledged (the yamux crate at 256, hashicorp/yamux by
    /// a timeout of 75 s) may stop opening streams until then.
    pub fn eager_accept(mut self, eager: bool) -> Self {
        self.eager_accept = eager;
        self
    }

    /// When to probe the peer, and when to give it up.
    ///
    /// Default every 10 s and after 30 s. `None`: a peer that vanished is found only by the
    /// connection below.
    pub fn keep_alive(mut self, keep_alive: Option<KeepAlive>) -> Self {
        self.keep_alive = keep_alive;
        self
    }

    /// How long a stream that was shut down and dropped still takes what the peer sends.
    ///
    /// Default 30 s. The bytes are discarded, so that a peer may finish writing. Then the stream
    /// is reset, so that it does not wait for ever.
    pub fn linger(mut self, duration: Duration) -> Self {
        self.linger = duration;
        self
    }

    /// The same settings as yamux understands them, in the order its assertions allow.
    pub(super) fn yamux(&self) -> yamux::Config {
        let streams = self.max_outbound + self.max_inbound;
        let mut config = yamux::Config::default();
        config
            .set_max_connection_receive_window(None)
            .set_max_num_streams(streams)
            .set_max_connection_receive_window(Some(streams * INITIAL_WINDOW + self.window_growth))
            .set_split_send_size(self.frame_size)
            .set_read_after_close(true);
        config
    }
}

/// How often a peer is probed, and how long it may stay silent.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct KeepAlive {
    pub(super) interval: Duration,
    pub(super) timeout: Duration,
}

impl KeepAlive {
    /// Ping every `interval`; give the session up once nothing at all was received for `timeout`.
    ///
    /// # Errors
    /// [`ConfigError::OutOfRange`] unless `interval` is at least 1 ms and `timeout` longer than it:
    /// a healthy peer could not answer in time.
    pub fn new(interval: Duration, timeout: Duration) -> Result<Self, ConfigError> {
        if interval < Duration::from_millis(1) {
            return Err(ConfigError::OutOfRange {
                what: "keep-alive interval in milliseconds",
                allowed: "at least 1",
                actual: 0,
            });
        }
        if timeout <= interval {
            return Err(ConfigError::OutOfRange {
                what: "keep-alive timeout in milliseconds",
                allowed: "more than the interval",
                actual: u64::try_from(timeout.as_millis()).unwrap_or(u64::MAX),
            });
        }
        Ok(Self { interval, timeout })
    }
}

fn in_range(
    what: &'static str,
    allowed: &'static str,
    min: usize,
    max: usize,
    value: usize,
) -> Result<usize, ConfigError> {
    if (min..=max).contains(&value) {
        return Ok(value);
    }
    Err(ConfigError::OutOfRange {
        what,
        allowed,
        actual: value as u64,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_extreme_that_the_setters_allow_is_accepted_by_yamux() {
        for streams in [1, MAX_STREAMS] {
            for growth in [0, 1 << 30] {
                let config = MuxConfig::default()
                    .max_outbound(streams)
                    .and_then(|c| c.max_inbound(streams))
                    .and_then(|c| c.window_growth(growth))
                    .unwrap();
                config.yamux();
            }
        }
        MuxConfig::go_peer().yamux();
        MuxConfig::default().max_inbound(0).unwrap().yamux();
    }

    #[test]
    fn a_value_out_of_range_is_refused_with_its_range() {
        let error = MuxConfig::default().max_outbound(0).unwrap_err();
        assert_eq!(error.to_string(), "max_outbound must be 1 to 4096, not 0");
        assert!(MuxConfig::default().max_inbound(MAX_STREAMS + 1).is_err());
        assert!(MuxConfig::default().frame_size(1023).is_err());
        assert!(MuxConfig::default().send_buffer(4095).is_err());
        assert!(MuxConfig::default().accept_backlog(0).is_err());
        assert!(MuxConfig::default().window_growth((1 << 30) + 1).is_err());
    }

    #[test]
    fn a_keep_alive_that_a_healthy_peer_could_miss_is_refused() {
        let second = Duration::from_secs(1);
        assert!(KeepAlive::new(second, second).is_err());
        assert!(KeepAlive::new(Duration::ZERO, second).is_err());
        assert!(KeepAlive::new(second, 2 * second).is_ok());
    }
}
