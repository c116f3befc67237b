//! Encoder and decoder together, and both against what kcp-go does.

mod change;
mod loss;
mod recorded;

use super::*;
use crate::proto::Time;

/// A file of `tests/interop/vectors`.
macro_rules! vectors {
    ($name:literal) => {
        serde_json::from_str::<serde_json::Value>(include_str!(concat!(
            env!("CARGO_MANIFEST_DIR"),
            "/../tests/interop/vectors/",
            $name
        )))
        .unwrap()
    };
}
pub(super) use vectors;

pub(super) fn fec(data: usize, parity: usize) -> Fec {
    Fec::new(data, parity).unwrap()
}

pub(super) fn ms(millis: u64) -> Time {
    Time::from_millis(millis)
}

/// Sends a payload.
pub(super) fn data_packet(encoder: &mut Encoder, now: Time, payload: &[u8]) -> Vec<u8> {
    let mut packet = [&[0; header::HEADER], payload].concat();
    encoder.fold(now, &mut packet);
    packet
}

pub(super) fn seqid(packet: &[u8]) -> u32 {
    u32::from_le_bytes(*packet.first_chunk().unwrap())
}

/// Makes the parity that is due.
pub(super) fn parity_packets(encoder: &mut Encoder) -> Vec<Vec<u8>> {
    let mut packets = Vec::new();
    let mut out = [0; header::MAX_PACKET];
    while let Some(len) = encoder.next_parity(&mut out) {
        packets.push(out[..len].to_vec());
    }
    packets
}

/// Sends payloads at once and returns all packets, parity behind its group.
pub(super) fn send<'a>(
    encoder: &mut Encoder,
    payloads: impl IntoIterator<Item = &'a [u8]>,
) -> Vec<Vec<u8>> {
    let mut packets = Vec::new();
    for payload in payloads {
        packets.push(data_packet(encoder, Time::ZERO, payload));
        packets.extend(parity_packets(encoder));
    }
    packets
}
