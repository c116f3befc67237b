use super::*;
use crate::proto::arq::segment::Command;

const MSS: usize = 100;

struct Bench {
    receiver: Receiver,
    pool: Pool,
    meters: SessionMeters,
}

fn bench(reading: Reading, window: u32) -> Bench {
    Bench {
        receiver: Receiver::new(reading, window, MSS),
        pool: Pool::default(),
        meters: SessionMeters::default(),
    }
}

impl Bench {
    fn push_from(&mut self, origin: Origin, sn: u32, fragments_after: u8, data: &[u8]) {
        let header = Header {
            conv: 1,
            command: Command::Push,
            fragments_after,
            window: 0,
            transmission: TransmissionId(1_000 + sn),
            sn: Seq(sn),
            una: Seq(0),
            len: data.len() as u32,
        };
        self.receiver
            .handle_push(&header, data, origin, &mut self.pool, &self.meters);
    }

    fn push(&mut self, sn: u32, data: &[u8]) {
        self.push_from(Origin::Wire, sn, 0, data);
    }

    fn read(&mut self) -> Vec<u8> {
        let mut bytes = Vec::new();
        while let Some(chunk) = self.receiver.read() {
            bytes.extend_from_slice(chunk.bytes());
        }
        bytes
    }

    fn acks(&mut self) -> Vec<(u32, u32)> {
        let mut acks = Acks::new();
        self.receiver.take_acks(&mut acks);
        acks.iter()
            .map(|ack| (ack.sn.0, ack.transmission.0))
            .collect()
    }
}

#[test]
fn segments_are_put_in_order_once() {
    let mut bench = bench(Reading::Bytes, 8);
    bench.push(1, b"bb");
    bench.push(2, b"cc");
    assert_eq!(bench.read(), b"");
    bench.push(0, b"aa");
    bench.push(1, b"bb");
    assert_eq!(bench.read(), b"aabbcc");
    assert_eq!(bench.meters.segments_repeated.get(), 1);
    assert_eq!(bench.receiver.waiting(), 0);
}

#[test]
fn in_order_arrivals_are_acknowledged_by_the_last_alone() {
    let mut bench = bench(Reading::Bytes, 8);
    bench.push(0, b"a");
    bench.push(1, b"b");
    bench.push(2, b"c");
    assert_eq!(bench.acks(), [(2, 1_002)]);
    assert_eq!(bench.acks(), []);
}

#[test]
fn open_acknowledgements_are_sent_twice_and_the_newest_comes_last() {
    let mut bench = bench(Reading::Bytes, 8);
    bench.push(1, b"b");
    bench.push(2, b"c");
    assert_eq!(bench.acks(), [(1, 1_001), (2, 1_002)]);
    bench.push(4, b"e");
    assert_eq!(bench.acks(), [(1, 1_001), (2, 1_002), (4, 1_004)]);
    bench.push(5, b"f");
    assert_eq!(bench.acks(), [(4, 1_004), (5, 1_005)]);
    bench.push(0, b"a");
    assert_eq!(bench.acks(), [(5, 1_005), (0, 1_000)]);
}

#[test]
fn segments_of_a_short_answer_may_wait_but_gaps_and_bulk_may_not() {
    let mut bench = bench(Reading::Bytes, 32);
    let last = URGENT_SEGMENTS as u32 - 1;
    for sn in 0..last {
        bench.push(sn, &[0; MSS]);
    }
    assert!(bench.receiver.has_acks() && !bench.receiver.is_urgent());
    bench.push(last, &[0; MSS]);
    assert!(bench.receiver.is_urgent());
    bench.acks();
    bench.push(last + 2, b"gap");
    assert!(bench.receiver.is_urgent());
    bench.acks();
    bench.push(last + 2, b"gap");
    assert!(
        bench.receiver.is_urgent(),
        "the peer lacks our acknowledgement"
    );
}

#[test]
fn segments_beyond_the_window_are_neither_kept_nor_acknowledged() {
    let mut bench = bench(Reading::Bytes, 4);
    bench.push(4, b"x");
    assert!(!bench.receiver.has_acks());
    assert_eq!(bench.receiver.waiting(), 0);
    bench.push(3, b"x");
    assert!(bench.receiver.has_acks());
}

#[test]
fn the_window_closes_while_nobody_reads_and_memory_stays_bounded() {
    let mut bench = bench(Reading::Bytes, 4);
    for sn in 0..100 {
        bench.push(sn, &[0; MSS]);
    }
    assert_eq!(bench.receiver.free_window(), 0);
    assert_eq!(bench.receiver.unread(), 4 * MSS);
    assert_eq!(bench.receiver.waiting(), 4);
    assert_eq!(bench.read().len(), 4 * MSS);
    bench.receiver.handle_consumed(4 * MSS, 0, &mut bench.pool);
    assert_eq!(bench.read().len(), 4 * MSS);
    assert_eq!(bench.receiver.next(), Seq(8));
    bench.receiver.handle_consumed(4 * MSS, 0, &mut bench.pool);
    assert_eq!(bench.receiver.free_window(), 4);
}

#[test]
fn a_rebuilt_segment_that_was_there_or_that_una_covers_is_not_acknowledged() {
    let mut bench = bench(Reading::Bytes, 8);
    bench.push(0, b"a");
    bench.push(2, b"c");
    bench.acks();
    bench.push_from(Origin::Rebuilt, 0, 0, b"a");
    bench.push_from(Origin::Rebuilt, 2, 0, b"c");
    assert!(!bench.receiver.has_acks());
    bench.push_from(Origin::Rebuilt, 1, 0, b"b");
    assert!(bench.receiver.has_acks() && bench.receiver.is_urgent());
    assert_eq!(bench.acks(), []);
    assert_eq!(bench.receiver.next(), Seq(3));
}

#[test]
fn a_rebuilt_segment_behind_a_gap_is_acknowledged_with_the_newest_arrival() {
    let mut bench = bench(Reading::Bytes, 8);
    bench.push(3, b"d");
    bench.acks();
    bench.push_from(Origin::Rebuilt, 2, 0, b"c");
    assert_eq!(bench.acks(), [(3, 1_003), (2, 1_003)]);
}

#[test]
fn an_empty_segment_is_skipped() {
    let mut bench = bench(Reading::Bytes, 8);
    bench.push(0, b"");
    bench.push(1, b"b");
    assert_eq!(bench.read(), b"b");
    assert_eq!(bench.acks(), [(1, 1_001)]);
}

#[test]
fn messages_are_joined_from_their_fragments() {
    let mut bench = bench(Reading::Messages, 8);
    bench.push_from(Origin::Wire, 1, 1, b"cd");
    bench.push_from(Origin::Wire, 0, 2, b"ab");
    assert!(bench.receiver.read().is_none());
    bench.push_from(Origin::Wire, 2, 0, b"e");
    bench.push_from(Origin::Wire, 3, 0, b"f");
    let first = bench.receiver.read().expect("complete");
    assert_eq!(first.bytes(), b"abcde");
    let second = bench.receiver.read().expect("complete");
    assert_eq!(second.bytes(), b"f");
}

#[test]
fn unread_messages_close_the_window_however_small() {
    let mut bench = bench(Reading::Messages, 4);
    for sn in 0..10 {
        bench.push(sn, b"x");
    }
    assert_eq!(bench.receiver.free_window(), 0);
    assert_eq!(bench.receiver.next(), Seq(4));
    bench.receiver.handle_consumed(1, 1, &mut bench.pool);
    assert_eq!(bench.receiver.next(), Seq(5));
}

#[test]
fn a_message_may_have_more_fragments_than_the_window() {
    let mut bench = bench(Reading::Messages, 4);
    for sn in 0..200 {
        assert_eq!(bench.receiver.free_window(), 4);
        bench.push_from(Origin::Wire, sn, (199 - sn) as u8, &[7; MSS]);
    }
    assert_eq!(bench.read(), [7; 200 * MSS]);
    assert_eq!(bench.receiver.free_window(), 0);
}

#[test]
fn a_message_without_end_is_dropped() {
    let mut bench = bench(Reading::Messages, 4);
    for sn in 0..256 {
        bench.push_from(Origin::Wire, sn, 1, &[7; MSS]);
    }
    assert!(!bench.receiver.is_readable());
    bench.push_from(Origin::Wire, 256, 1, b"a");
    bench.push_from(Origin::Wire, 257, 0, b"b");
    assert_eq!(bench.read(), b"ab");
}

#[test]
fn a_window_above_the_field_is_told_as_its_largest_value() {
    let receiver = Receiver::new(Reading::Bytes, 70_000, MSS);
    assert_eq!(receiver.free_window(), u16::MAX);
}

#[test]
fn a_rebuilt_packet_may_be_older_than_the_window_reaches() {
    let receiver = bench(Reading::Bytes, 2).receiver;
    let at = |distance: i32| Seq(distance.cast_unsigned());
    for distance in [0, -2, -200, -65_535, 31, 65_535] {
        assert!(receiver.is_plausible(at(distance)), "{distance}");
    }
    for distance in [-65_536, 65_536, i32::MIN, i32::MAX] {
        assert!(!receiver.is_plausible(at(distance)), "{distance}");
    }
}
