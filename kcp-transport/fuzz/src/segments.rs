//! Reading segments, and telling packets apart.

use kcp_transport::internals::packets;

/// Reads `input` as an opened datagram. What was read, written again, must give the same bytes.
pub fn run(input: &[u8]) {
    let (copy, tiles) = packets::rewrite_segments(input);
    assert!(input.starts_with(&copy));
    assert!(!tiles || copy.len() == input.len());
    if let Some((content, conv, may_open, begins)) = packets::demultiplex(input) {
        assert!(content.len() <= input.len());
        assert!(conv.is_some() || !(may_open || begins));
    }
}
