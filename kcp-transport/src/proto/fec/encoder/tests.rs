use super::*;
use crate::proto::fec::tests::{data_packet, fec, ms, parity_packets, send, seqid};

fn encoder(data: usize, parity: usize) -> Encoder {
    Encoder::new(Code::new(fec(data, parity)))
}

const PAYLOADS: [&[u8]; 3] = [b"first", b"the second", b"third"];

#[test]
fn a_limit_leaves_out_parity_but_not_its_numbers() {
    let mut full = encoder(3, 3);
    let mut limited = encoder(3, 3);
    limited.set_parity_limit(1);
    let full = [send(&mut full, PAYLOADS), send(&mut full, PAYLOADS)].concat();
    let limited = [send(&mut limited, PAYLOADS), send(&mut limited, PAYLOADS)].concat();
    let sent = full
        .iter()
        .filter(|packet| ![4, 5, 10, 11].contains(&seqid(packet)));
    assert!(limited.iter().eq(sent));
}

#[test]
fn a_limit_holds_from_the_next_group_on() {
    let mut encoder = encoder(3, 3);
    data_packet(&mut encoder, ms(0), b"open");
    encoder.set_parity_limit(0);
    assert_eq!(send(&mut encoder, [&b"a"[..], b"b"]).len(), 2 + 3);
    assert_eq!(send(&mut encoder, PAYLOADS).len(), 3);
    encoder.set_parity_limit(200);
    assert_eq!(send(&mut encoder, PAYLOADS).len(), 3 + 3);
}

#[test]
fn odd_parity_is_left_out_but_not_its_numbers() {
    let mut full = encoder(3, 4);
    let mut even = encoder(3, 4);
    even.set_even_only(true);
    let mut both = || [send(&mut full, PAYLOADS), send(&mut even, PAYLOADS)];
    let is_sent = |packet: &&Vec<u8>| ![3, 5, 11, 13].contains(&seqid(packet));
    for _ in 0..2 {
        let [full, even] = both();
        assert!(even.iter().eq(full.iter().filter(is_sent)));
    }
    even.set_even_only(false);
    assert_eq!(send(&mut even, PAYLOADS), send(&mut full, PAYLOADS));
}

#[test]
fn parity_of_a_lone_packet_goes_out_in_full() {
    let mut encoder = encoder(1, 3);
    encoder.set_even_only(true);
    send(&mut encoder, [&b"the first packet gets no parity"[..]]);
    assert_eq!(send(&mut encoder, [&b"the second"[..]]).len(), 1 + 3);
}

#[test]
fn parity_that_is_not_taken_is_left_out() {
    let mut encoder = encoder(2, 2);
    send(&mut encoder, [&b"a"[..]]);
    assert_eq!(encoder.fold(ms(0), &mut [0; 9]), 2);
    assert!(encoder.next_parity(&mut [0; 9]).is_some());
    let next = data_packet(&mut encoder, ms(0), b"next group");
    assert_eq!(seqid(&next), 4);
    assert!(parity_packets(&mut encoder).is_empty());
}

#[test]
fn an_open_group_says_what_it_lacks() {
    let mut encoder = encoder(3, 1);
    assert_eq!(encoder.missing_in_group(), 0);
    send(&mut encoder, [&b"a"[..]]);
    assert_eq!(encoder.missing_in_group(), 2);
    send(&mut encoder, [&b"b"[..], b"c"]);
    assert_eq!(encoder.missing_in_group(), 0);
}

#[test]
fn memory_is_held_for_open_groups_only() {
    let mut encoder = encoder(3, 1);
    assert_eq!(encoder.rows.capacity(), 0);
    send(&mut encoder, [&b"a"[..]]);
    encoder.shrink();
    assert!(encoder.rows.capacity() > 0);
    data_packet(&mut encoder, ms(0), b"b");
    data_packet(&mut encoder, ms(0), b"c");
    encoder.shrink();
    assert_eq!(parity_packets(&mut encoder).len(), 1);
    encoder.shrink();
    assert_eq!(encoder.rows.capacity(), 0);
    assert_eq!(send(&mut encoder, PAYLOADS).len(), 4);
}

#[test]
fn the_longest_packet_is_protected() {
    let payload: Vec<u8> = (0..MAX_PACKET - HEADER).map(|i| i as u8).collect();
    let mut encoder = encoder(1, 1);
    send(
        &mut encoder,
        [&b"the first packet gets no parity at 1/1"[..]],
    );
    let packets = send(&mut encoder, [payload.as_slice()]);
    assert_eq!(packets[1][SHARD..], packets[0][SHARD..]);
}
