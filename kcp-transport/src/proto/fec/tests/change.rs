//! A peer whose groups are not, or no longer, what we think: nothing wrong may be rebuilt.
//!
//! Segments are of equal size here, which is the worst case: then most of a packet that was put together from the wrong
//! ones looks right, because sums of equal bytes are equal bytes.

use super::*;
use crate::proto::fec::header::{HEADER, Kind};

const CONV: u32 = 0x1122_3344;
const SEGMENT: usize = 24;
const PAYLOAD: usize = 40;

/// A small generator of numbers that look random. Source: Vigna's splitmix64.
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let z = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    fn percent(&mut self, percent: u64) -> bool {
        self.next() % 100 < percent
    }
}

/// A KCP packet of one segment, as kcp-go sends them in bulk.
fn kcp_packet(sn: u32) -> Vec<u8> {
    let mut packet = Vec::new();
    packet.extend(CONV.to_le_bytes());
    packet.extend([81, 0]);
    packet.extend(128_u16.to_le_bytes());
    packet.extend((1_000 + sn / 3).to_le_bytes());
    packet.extend(sn.to_le_bytes());
    packet.extend((sn / 20).to_le_bytes());
    packet.extend((PAYLOAD as u32).to_le_bytes());
    packet.extend((0..PAYLOAD).map(|i| (sn as usize * 7 + i) as u8));
    packet
}

fn field(segment: &[u8; SEGMENT], at: usize) -> u32 {
    u32::from_le_bytes(*segment[at..].first_chunk().unwrap())
}

/// What a session can know of a packet: its segments fill it exactly and belong here, and their numbers are near.
fn plausible(mut packet: &[u8], newest: u32) -> bool {
    if packet.is_empty() {
        return false;
    }
    while let Some((segment, rest)) = packet.split_first_chunk::<SEGMENT>() {
        let near = |number: u32| number.abs_diff(newest) < 512;
        let valid = field(segment, 0) == CONV
            && (81..=84).contains(&segment[4])
            && near(field(segment, 12))
            && field(segment, 16) <= newest;
        match rest.split_at_checked(field(segment, 20) as usize) {
            Some((_, rest)) if valid => packet = rest,
            Some(_) | None => return false,
        }
    }
    packet.is_empty()
}

/// The packets of a peer from its first on: groups of one shape up to number `change`, then of another, beginning there.
fn stream(before: Fec, change: u32, after: Fec) -> Vec<Vec<u8>> {
    let mut sn = 0;
    let mut packets = |shape: Fec, first: u32, count: u32| {
        let mut encoder = Encoder::new(Code::new(shape));
        let mut packets = Vec::new();
        while packets.len() < count as usize {
            packets.extend(send(&mut encoder, [kcp_packet(sn).as_slice()]));
            sn += 1;
        }
        packets.truncate(count as usize);
        for (seqid, packet) in (first..).zip(&mut packets) {
            packet[..4].copy_from_slice(&seqid.to_le_bytes());
        }
        packets
    };
    let mut stream = packets(before, 0, change);
    stream.extend(packets(after, change, 600));
    stream
}

/// Sends a stream over a path that loses some of it, to a decoder that knows the shape at its beginning. Returns how many
/// packets were rebuilt. Panics at the first that was never sent.
fn receive(stream: &[Vec<u8>], decoder: &mut Decoder, loss: u64, seed: u64) -> usize {
    let mut random = Random(seed);
    let mut newest = 0;
    let mut rebuilt = 0;
    let first = seqid(&stream[0]);
    for packet in stream {
        if random.percent(loss) {
            continue;
        }
        if Kind::of(packet) == Some(Kind::Data) {
            newest = newest.max(field(packet[HEADER..].first_chunk().unwrap(), 12));
        }
        for repaired in decoder.accept(packet, |packet| plausible(packet, newest)) {
            let sent = &stream[(repaired.seqid - first) as usize];
            assert_eq!(
                sent[HEADER..],
                *repaired.packet,
                "loss {loss} %, seed {seed}"
            );
            rebuilt += 1;
        }
    }
    rebuilt
}

/// Packets of the group in which the change happens that are data in place of parity, or the other way round.
fn witnesses(before: Fec, change: u32, after: Fec) -> usize {
    let end = change.next_multiple_of(before.packets());
    (change..end)
        .filter(|&seqid| before.is_data(seqid) != after.is_data(seqid - change))
        .count()
}

/// kcp-go rebuilds thousands of wrong packets in these cases.
///
/// Only changes that three packets of the group bear witness to are tried. If all witnesses are lost, what remains of the
/// group looks perfect, and what is rebuilt from it is wrong beyond the means of any decoder to tell. kcp-go and we never
/// change shape within a session.
#[test]
fn nothing_wrong_is_rebuilt_when_the_peer_changes_its_shape() {
    let before = fec(10, 3);
    for after in [fec(5, 3), fec(10, 5), fec(3, 1), fec(10, 3)] {
        // At 195 a group of 10/3 begins, and one of 10/5.
        let told_apart = |&change: &u32| change == 195 || witnesses(before, change, after) >= 3;
        for change in (195..208).filter(told_apart) {
            let stream = stream(before, change, after);
            for (loss, seed) in [0, 2, 10, 20]
                .into_iter()
                .flat_map(|loss| (0..8).map(move |seed| (loss, seed)))
            {
                let mut decoder = Decoder::new(Some(Code::new(before)));
                let rebuilt = receive(&stream, &mut decoder, loss, seed);
                assert_eq!(
                    rebuilt > 0,
                    loss > 0,
                    "{after} from {change}, loss {loss} %, seed {seed}"
                );
            }
        }
    }
}

#[test]
fn a_change_between_two_groups_is_followed() {
    let mut decoder = Decoder::new(Some(Code::new(fec(10, 3))));
    let stream = stream(fec(10, 3), 208, fec(5, 3));
    receive(&stream[..213], &mut decoder, 0, 0);
    assert_eq!(decoder.shape(), Some(fec(10, 3)));
    // Parity where data should be: doubt, until two periods of the new shape are seen.
    receive(&stream[213..214], &mut decoder, 0, 0);
    assert_eq!(decoder.shape(), None);
    receive(&stream[214..232], &mut decoder, 0, 0);
    assert_eq!(decoder.shape(), None);
    receive(&stream[232..233], &mut decoder, 0, 0);
    assert_eq!(decoder.shape(), Some(fec(5, 3)));
    assert!(receive(&stream[233..], &mut decoder, 10, 0) > 0);
}

#[test]
fn groups_that_begin_elsewhere_are_not_followed() {
    let mut decoder = Decoder::new(Some(Code::new(fec(10, 3))));
    receive(&stream(fec(10, 3), 200, fec(10, 3)), &mut decoder, 0, 0);
    assert_eq!(decoder.shape(), None);
}
