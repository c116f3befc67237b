use super::*;
use crate::config::{Redundancy, Window};
use crate::proto::arq::segment::Segments;

const MSS: usize = 100;
const ENVELOPE: Envelope = Envelope {
    conv: 1,
    window: 77,
    una: Seq(5),
};

struct Bench {
    sender: Sender,
    pool: Pool,
    meters: SessionMeters,
}

fn ms(millis: u64) -> Time {
    Time::from_millis(millis)
}

fn bench(config: Config) -> Bench {
    let config = config.redundancy(Redundancy::Off);
    Bench {
        sender: Sender::new(ms(0), &config, MSS),
        pool: Pool::default(),
        meters: SessionMeters::default(),
    }
}

impl Bench {
    fn write(&mut self, bytes: &[u8]) {
        self.sender
            .write(Chunk::from(bytes.to_vec()), false, &mut self.pool);
    }

    /// Everything that leaves now, as (number, transmission, length).
    fn sent(&mut self, now: Time) -> Vec<(u32, u32, u32)> {
        let mut sent = Vec::new();
        while self.sender.wants_transmit(now) {
            let mut bytes = [0; HEADER_LEN + MSS];
            let mut packet = PacketWriter::new(&mut bytes);
            assert!(self.sender.fill(now, ENVELOPE, &mut packet, &self.meters));
            let len = packet.len();
            self.sender.spend(len);
            for segment in Segments::new(&bytes[..len]) {
                let (header, _) = segment.expect("we build well-formed segments");
                sent.push((header.sn.0, header.transmission.0, header.len));
            }
        }
        self.sender.end_burst(now);
        sent
    }

    fn ack(&mut self, now: Time, acks: &[(u32, u32)], una: u32) {
        for &(sn, transmission) in acks {
            let id = TransmissionId(transmission);
            self.sender.handle_ack(now, Seq(sn), id, &self.meters);
        }
        self.sender.handle_una(now, Seq(una), &mut self.pool);
        self.sender.after_acks(now, &self.meters);
    }
}

#[test]
fn bytes_of_several_writes_fill_segments() {
    let mut bench = bench(Config::fast3());
    bench.write(&[1; 150]);
    bench.write(&[2; 70]);
    let sent = bench.sent(ms(0));
    assert_eq!(sent, [(0, 1, 100), (1, 2, 100), (2, 3, 20)]);
}

#[test]
fn two_later_acks_resend_the_missing_segment_at_once() {
    let mut bench = bench(Config::fast3());
    bench.write(&[0; 400]);
    assert_eq!(bench.sent(ms(0)).len(), 4);
    bench.ack(ms(50), &[(1, 2)], 0);
    assert!(bench.sent(ms(50)).is_empty());
    bench.ack(ms(50), &[(2, 3)], 0);
    assert_eq!(bench.sent(ms(50)), [(0, 5, 100)]);
    assert_eq!(bench.meters.fast_resends.get(), 1);
}

#[test]
fn one_later_ack_resends_after_the_reordering_window() {
    let mut bench = bench(Config::fast3());
    bench.write(&[0; 200]);
    bench.sent(ms(0));
    bench.ack(ms(80), &[(1, 2)], 0);
    let due = bench.sender.poll_timeout().expect("a loss is suspected");
    assert_eq!(due, ms(90));
    bench.sender.handle_timeout(due, &bench.meters);
    assert_eq!(bench.sent(due), [(0, 3, 100)]);
    assert_eq!(bench.meters.early_resends.get(), 1);
}

#[test]
fn a_lost_resend_is_sent_again_without_waiting_for_a_timeout() {
    let mut bench = bench(Config::fast3());
    bench.write(&[0; 400]);
    bench.sent(ms(0));
    bench.ack(ms(50), &[(1, 2), (2, 3)], 0);
    assert_eq!(bench.sent(ms(50)), [(0, 5, 100)]);
    bench.write(&[0; 300]);
    assert_eq!(bench.sent(ms(60)).len(), 3);
    bench.ack(ms(110), &[(4, 6), (5, 7)], 0);
    let sent = bench.sent(ms(110));
    assert!(sent.iter().any(|segment| segment.0 == 0), "{sent:?}");
}

#[test]
fn an_unanswered_tail_is_probed_after_one_round_trip_and_little_more() {
    let mut bench = bench(Config::fast3());
    for round in 0..50 {
        bench.write(&[0; 10]);
        bench.sent(ms(round * 200));
        bench.ack(
            ms(round * 200 + 100),
            &[(round as u32, round as u32 + 1)],
            round as u32 + 1,
        );
    }
    bench.write(&[0; 10]);
    bench.sent(ms(20_000));
    let due = bench.sender.poll_timeout().expect("the tail is unanswered");
    assert!((ms(20_100)..=ms(20_105)).contains(&due), "{due:?}");
    bench.sender.handle_timeout(due, &bench.meters);
    assert_eq!(bench.sent(due), [(50, 52, 10)]);
    assert_eq!(bench.meters.timeout_resends.get(), 1);
    // The next probe waits no longer than the first.
    let again = bench.sender.poll_timeout().expect("still unanswered");
    assert_eq!(again.since(due), due.since(ms(20_000)));
}

#[test]
fn a_sent_segment_of_unknown_fate_never_yields_a_round_trip() {
    let mut bench = bench(Config::fast3());
    bench.write(&[0; 300]);
    bench.sent(ms(0));
    bench.ack(ms(100), &[(2, 3)], 0);
    let before = bench.sender.rtt().smoothed();
    // Error correction rebuilt these seconds later, and the peer names the transmission of old.
    bench.ack(ms(9_000), &[(0, 1)], 0);
    bench.ack(ms(9_500), &[(1, 2)], 3);
    assert_eq!(bench.sender.rtt().smoothed(), before);
}

#[test]
fn una_beyond_everything_sent_is_not_believed() {
    let mut bench = bench(Config::fast3());
    bench.write(&[0; 300]);
    bench.sent(ms(0));
    assert!(!bench.sender.is_plausible_una(Seq(4)));
    assert!(bench.sender.is_plausible_una(Seq(3)));
    assert!(!bench.sender.handle_una(ms(1), Seq(4), &mut bench.pool));
    assert_eq!(bench.sender.in_flight(), 3);
    assert!(bench.sender.handle_una(ms(1), Seq(3), &mut bench.pool));
    assert!(bench.sender.is_drained());
}

#[test]
fn acknowledged_segments_keep_their_place_in_the_window() {
    let window = Window::new(3).expect("in range");
    let mut bench = bench(Config::fast3().send_window(window));
    bench.write(&[0; 500]);
    assert_eq!(bench.sent(ms(0)).len(), 3);
    bench.ack(ms(10), &[(1, 2)], 0);
    assert!(bench.sent(ms(10)).is_empty());
    bench.ack(ms(11), &[(0, 1)], 1);
    let sent = bench.sent(ms(11));
    assert_eq!(
        sent.iter().map(|segment| segment.0).collect::<Vec<_>>(),
        [3]
    );
}

#[test]
fn a_closed_window_is_asked_again_ever_more_rarely() {
    let mut bench = bench(Config::fast3());
    bench.sender.handle_window(ms(0), 0);
    bench.write(&[0; 10]);
    assert!(bench.sent(ms(0)).is_empty());
    let mut asked = Vec::new();
    for now in 0..3_000 {
        if bench.sender.handle_timeout(ms(now), &bench.meters) {
            asked.push(now);
        }
    }
    assert_eq!(asked, [500, 1_250, 2_375]);
    bench.sender.handle_window(ms(3_000), 1);
    assert_eq!(bench.sent(ms(3_000)).len(), 1);
}

/// Sends everything that may leave, each segment in a packet of its own; returns fragment counts and lengths.
fn fragments(bench: &mut Bench) -> Vec<(u8, u32)> {
    let mut fragments = Vec::new();
    loop {
        let mut bytes = [0; HEADER_LEN + MSS];
        let room = HEADER_LEN + bench.sender.next_len(ms(0));
        let mut packet = PacketWriter::new(&mut bytes[..room]);
        bench
            .sender
            .fill(ms(0), ENVELOPE, &mut packet, &bench.meters);
        let len = packet.len();
        if len == 0 {
            return fragments;
        }
        let segments = Segments::new(&bytes[..len]).flatten();
        fragments.extend(segments.map(|(header, _)| (header.fragments_after, header.len)));
    }
}

#[test]
fn messages_count_their_fragments_down() {
    let mut bench = bench(Config::fast3().message_mode(true));
    for len in [250, 10] {
        bench
            .sender
            .write(Chunk::from(vec![0; len]), true, &mut bench.pool);
    }
    let expected = [(2, 100), (1, 100), (0, 50), (0, 10)];
    assert_eq!(fragments(&mut bench), expected);
}

#[test]
fn a_message_has_no_more_fragments_when_segments_have_become_shorter_or_longer() {
    for (before, after) in [(MSS, 10), (10, MSS)] {
        let mut bench = bench(Config::fast3().message_mode(true));
        bench.sender.handle_window(ms(0), 1_000);
        bench.sender.set_mss(before);
        let len = 255 * before;
        bench
            .sender
            .write(Chunk::from(vec![0; len]), true, &mut bench.pool);
        bench.sender.set_mss(after);
        let sent = fragments(&mut bench);
        let counts: Vec<_> = sent.iter().map(|&(count, _)| usize::from(count)).collect();
        assert_eq!(counts, (0..sent.len()).rev().collect::<Vec<_>>());
        assert!(sent.len() <= 255, "{}", sent.len());
        let total: u32 = sent.iter().map(|&(_, len)| len).sum();
        assert_eq!(total as usize, len);
    }
}

#[test]
fn a_path_is_dead_after_many_sends_and_some_seconds() {
    let mut bench = bench(Config::fast3());
    bench.write(&[0; 10]);
    let mut now = ms(0);
    while bench.sender.unreachable(now).is_none() {
        bench.sent(now);
        now = bench
            .sender
            .poll_timeout()
            .expect("it never gives up by itself");
        bench.sender.handle_timeout(now, &bench.meters);
        assert!(now < ms(120_000), "{now:?}");
    }
    assert!(now >= ms(10_000), "{now:?}");
}

#[test]
fn nothing_leaves_faster_than_the_ceiling() {
    let mut bench = bench(Config::fast3().max_bandwidth(100_000));
    bench.sender.handle_window(ms(0), u16::MAX);
    bench.ack(ms(0), &[], 0);
    bench.write(&vec![0; 100_000]);
    let mut sent = bench.sent(ms(0)).len();
    let mut now = ms(0);
    while now < ms(500) {
        now = bench.sender.poll_timeout().expect("more is waiting");
        bench.sender.handle_timeout(now, &bench.meters);
        sent += bench.sent(now).len();
    }
    let bytes = sent * (MSS + HEADER_LEN);
    assert!((45_000..=53_000).contains(&bytes), "{bytes}");
}
