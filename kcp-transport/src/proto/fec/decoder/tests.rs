use super::*;
use crate::proto::fec::Encoder;
use crate::proto::fec::tests::{fec, send, seqid};

/// No packet was rebuilt.
const NONE: [u32; 0] = [];

fn decoder(data: usize, parity: usize) -> Decoder {
    Decoder::trusting(Code::new(fec(data, parity)))
}

/// So many groups of packets that all differ, starting with the first of a session.
fn groups(data: usize, parity: usize, count: u32) -> Vec<Vec<u8>> {
    let mut encoder = Encoder::new(Code::new(fec(data, parity)));
    let payloads: Vec<_> = (0..count * data as u32)
        .map(|i| format!("payload {}", i * 77))
        .collect();
    send(&mut encoder, payloads.iter().map(String::as_bytes))
}

/// Takes in packets and returns the numbers of those that were rebuilt.
fn accept<'a>(decoder: &mut Decoder, packets: impl IntoIterator<Item = &'a Vec<u8>>) -> Vec<u32> {
    let mut rebuilt = Vec::new();
    for packet in packets {
        rebuilt.extend(
            decoder
                .accept(packet, |_| true)
                .map(|repaired| repaired.seqid),
        );
    }
    rebuilt
}

/// The packets without those of some numbers.
fn without<'a>(packets: &'a [Vec<u8>], lost: &[u32]) -> impl Iterator<Item = &'a Vec<u8>> {
    packets
        .iter()
        .filter(|packet| !lost.contains(&seqid(packet)))
}

#[test]
fn a_packet_in_the_wrong_place_ends_all_repair_until_two_periods_are_confirmed() {
    let packets = groups(3, 1, 8);
    let mut decoder = decoder(3, 1);
    let mut misplaced = packets[3].clone();
    misplaced[4] = 0xf1;
    assert_eq!(
        accept(
            &mut decoder,
            [&packets[0], &packets[1], &misplaced, &packets[3]]
        ),
        NONE
    );
    assert_eq!(decoder.shape(), None);
    assert_eq!(decoder.counters(), FecCounters::default());
    // Groups 1 and 2 are the evidence; it is complete with the begin of group 3.
    assert_eq!(
        accept(&mut decoder, without(&packets[4..], &[14, 17])),
        [14, 17]
    );
    assert_eq!(decoder.shape(), Some(fec(3, 1)));
}

#[test]
fn data_of_a_group_that_lost_too_much_counts_as_short_once_it_is_forgotten() {
    let packets = groups(3, 1, 6);
    let mut decoder = decoder(3, 1);
    // Group 0 keeps one data packet of three, group 1 a data packet and the parity.
    accept(&mut decoder, without(&packets[..16], &[1, 2, 5, 6]));
    assert_eq!(decoder.counters().short, 0);
    accept(&mut decoder, &packets[16..20]);
    assert_eq!(decoder.counters().short, 1);
    accept(&mut decoder, &packets[20..]);
    assert_eq!(decoder.counters().short, 2);
}

#[test]
fn a_refused_packet_holds_back_its_group_and_ends_all_repair() {
    let packets = groups(3, 2, 1);
    let mut decoder = decoder(3, 2);
    accept(&mut decoder, [&packets[0], &packets[3]]);
    let mut asked = Vec::new();
    let repairs = decoder.accept(&packets[4], |packet| {
        asked.push(packet.to_vec());
        packet == b"payload 77"
    });
    assert_eq!(repairs.count(), 0);
    assert_eq!(asked, [b"payload 77", &b"payload 154"[..]]);
    assert_eq!(decoder.shape(), None);
    assert_eq!(
        (decoder.counters().errors, decoder.counters().recovered),
        (1, 0)
    );
}

#[test]
fn what_cannot_be_a_packet_is_refused_without_asking() {
    let packets = groups(2, 1, 1);
    // The size of the lost packet comes out as 0, as 1, or as more than there is.
    for size in [0_u8, 1, 200] {
        let mut decoder = decoder(2, 1);
        let rebuilt = packets[1][6];
        let mut damaged = packets[2].clone();
        let coefficient = Code::new(fec(2, 1)).column(1)[0];
        damaged[6] ^= reed_solomon_erasure::galois_8::mul(coefficient, rebuilt ^ size);
        accept(&mut decoder, [&packets[0]]);
        assert_eq!(decoder.accept(&damaged, |_| unreachable!()).count(), 0);
        assert_eq!(decoder.counters().errors, 1);
    }
    // Parity is as long as the longest packet, so this belongs to another group.
    let mut decoder = decoder(2, 1);
    accept(&mut decoder, [&packets[0]]);
    assert_eq!(
        decoder
            .accept(&packets[2][..12], |_| unreachable!())
            .count(),
        0
    );
    assert_eq!(decoder.counters().errors, 1);
}

#[test]
fn a_packet_that_differs_from_what_was_rebuilt_ends_all_repair() {
    let packets = groups(3, 2, 1);
    for late in [1, 4] {
        let mut decoder = decoder(3, 2);
        assert_eq!(
            accept(&mut decoder, [&packets[0], &packets[2], &packets[3]]),
            [1]
        );
        accept(&mut decoder, [&packets[late]]);
        assert_eq!(decoder.shape(), Some(fec(3, 2)));

        let mut decoder = self::decoder(3, 2);
        accept(&mut decoder, [&packets[0], &packets[2], &packets[3]]);
        let mut other = packets[late].clone();
        *other.last_mut().unwrap() ^= 1;
        accept(&mut decoder, [&other]);
        assert_eq!(decoder.shape(), None);
        assert_eq!(decoder.counters().errors, 1);
    }
}

#[test]
fn nothing_is_rebuilt_before_the_shape_is_proven_and_then_what_was_held_up() {
    let packets = groups(10, 3, 3);
    let mut decoder = Decoder::new(Some(Code::new(fec(10, 3))));
    assert_eq!(accept(&mut decoder, without(&packets[..13], &[4, 7])), NONE);
    assert_eq!(accept(&mut decoder, &packets[13..14]), [4, 7]);
    assert_eq!(decoder.counters().recovered, 2);
    // The surplus parity packet was not needed, and agrees.
    assert_eq!(accept(&mut decoder, &packets[10..13]), NONE);
    assert_eq!(accept(&mut decoder, without(&packets[14..], &[20])), [20]);
    assert_eq!(decoder.counters().errors, 0);
}

#[test]
fn a_peer_of_another_shape_is_recognised_whatever_is_lost_at_first() {
    // We presume 3/1. Of the peer's 2/1 only what fits that arrives, then everything.
    let packets = groups(2, 1, 12);
    let mut decoder = Decoder::new(Some(Code::new(fec(3, 1))));
    assert_eq!(
        accept(&mut decoder, [0, 1, 4, 6, 9, 10, 11].map(|at| &packets[at])),
        NONE
    );
    assert_eq!(decoder.shape(), Some(fec(3, 1)));
    assert_eq!(
        accept(&mut decoder, without(&packets[12..], &[27])),
        [27],
        "after two periods"
    );
    assert_eq!(decoder.shape(), Some(fec(2, 1)));
}

#[test]
fn a_peer_that_counts_from_zero_again_is_followed() {
    let mut decoder = decoder(10, 3);
    let packets = groups(10, 3, 1_540);
    accept(&mut decoder, &packets);
    assert_eq!(decoder.counters().newest, 1_539);
    // The first two packets are taken for stragglers, so they count as lost; the shape has to be proven again.
    assert_eq!(accept(&mut decoder, without(&packets[..13], &[4])), NONE);
    assert_eq!(decoder.counters().newest, 0);
    assert_eq!(
        accept(&mut decoder, without(&packets[13..26], &[22])),
        [0, 1, 4, 22]
    );
}

#[test]
fn a_forged_number_costs_no_more_than_two_packets() {
    let packets = groups(10, 3, 8);
    let mut decoder = decoder(10, 3);
    accept(&mut decoder, &packets[..52]);
    let mut forged = packets[0].clone();
    forged[..4].copy_from_slice(&(13 * 100_000_u32).to_le_bytes());
    accept(&mut decoder, [&forged]);
    assert_eq!(
        accept(&mut decoder, without(&packets[52..], &[60, 70])),
        [52, 53, 60, 70]
    );
}

#[test]
fn stragglers_are_no_new_beginning() {
    let packets = groups(3, 1, 40);
    let mut decoder = decoder(3, 1);
    accept(&mut decoder, &packets[..100]);
    for straggler in 0..10 {
        accept(
            &mut decoder,
            [&packets[2 * straggler], &packets[100 + straggler]],
        );
        assert!(decoder.counters().newest >= 24);
    }
    accept(
        &mut decoder,
        [&packets[9], &packets[8], &packets[4], &packets[8]],
    );
    assert_eq!(decoder.counters().newest, 27);
}

#[test]
fn impossible_packets_are_not_taken_in() {
    let mut decoder = decoder(1, 1);
    let packet = |seqid: u32, kind: u8, len: usize| {
        let mut packet = vec![kind; len];
        packet[..4].copy_from_slice(&seqid.to_le_bytes());
        packet[5] = 0;
        packet
    };
    let beyond = fec(1, 1).wrap();
    for (seqid, kind, len) in [
        (0, 0xf1, 7),
        (0, 0xf1, 1_501),
        (0, 0xf3, 100),
        (0, 0x51, 100),
        (beyond, 0xf1, 100),
        (beyond + 1, 0xf2, 100),
    ] {
        accept(&mut decoder, [&packet(seqid, kind, len)]);
    }
    assert_eq!(decoder.counters(), FecCounters::default());
    accept(&mut decoder, [&packet(0, 0xf1, 8), &packet(2, 0xf1, 1_500)]);
    assert_eq!(decoder.counters().complete, 2);
}

#[test]
fn memory_does_not_grow_and_can_be_given_back() {
    let packets = groups(10, 3, 400);
    let mut decoder = decoder(10, 3);
    let lost: Vec<u32> = (0..400)
        .flat_map(|group| [13 * group + group % 10, 13 * group + 11])
        .collect();
    assert_eq!(accept(&mut decoder, without(&packets, &lost)).len(), 400);
    // Four groups that wait for a packet to compare with, and the one that completes.
    assert!(decoder.buffers() <= 4 * 10 + 3, "{}", decoder.buffers());
    let before = decoder.counters();
    decoder.shrink();
    assert_eq!(decoder.buffers(), 0);
    assert_eq!(decoder.counters(), before);
}

#[test]
fn what_was_incomplete_before_shrinking_is_given_up() {
    let packets = groups(3, 1, 2);
    let mut decoder = decoder(3, 1);
    accept(&mut decoder, &packets[..2]);
    decoder.shrink();
    assert_eq!(accept(&mut decoder, &packets[3..4]), NONE);
    assert_eq!(accept(&mut decoder, without(&packets[4..], &[5])), [5]);
}
