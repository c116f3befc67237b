//! Two model sessions over a pipe that delays, reorders, repeats and loses, in simulated time.

use std::collections::BTreeMap;

use interop::reference::{Config, FecParams, Header, Kcp, NoDelay, Session};
use interop::stream::Stream;

/// Shortest and longest time on the way, in milliseconds.
const DELAY_MS: (u64, u64) = (10, 40);
/// Nothing here takes longer than this, in simulated milliseconds.
const END_MS: u64 = 120_000;

/// Two ends, and what is on its way between them.
struct Pair {
    now_ms: u64,
    ends: [Session; 2],
    /// By arrival time and a number that keeps the keys apart: the end it goes to, and the datagram.
    on_the_way: BTreeMap<(u64, u64), (usize, Vec<u8>)>,
    sent: u64,
    random: Stream,
    loss_percent: u64,
    repeat_percent: u64,
}

impl Pair {
    fn new(seed: u64, loss_percent: u64, ends: [Config; 2]) -> Self {
        Self {
            now_ms: 0,
            ends: ends.map(|config| Session::new(0, config)),
            on_the_way: BTreeMap::new(),
            sent: 0,
            random: Stream::new(seed),
            loss_percent,
            repeat_percent: 2,
        }
    }

    fn chance(&mut self, percent: u64) -> bool {
        self.random.next_word() % 100 < percent
    }

    fn transmit(&mut self) {
        for from in 0..2 {
            while let Some(packet) = self.ends[from].poll_transmit() {
                let copies = if self.chance(self.loss_percent) {
                    0
                } else {
                    1 + u64::from(self.chance(self.repeat_percent))
                };
                for _ in 0..copies {
                    let (shortest, longest) = DELAY_MS;
                    let delay = shortest + self.random.next_word() % (longest - shortest + 1);
                    self.sent += 1;
                    self.on_the_way
                        .insert((self.now_ms + delay, self.sent), (1 - from, packet.clone()));
                }
            }
        }
    }

    /// Goes to the next thing that happens, and lets it happen.
    fn step(&mut self) {
        self.transmit();
        let timer = self.ends.iter().map(Session::poll_timeout).min();
        let arrival = self.on_the_way.first_key_value().map(|(&(at, _), _)| at);
        self.now_ms = timer
            .into_iter()
            .chain(arrival)
            .min()
            .expect("timers never end");
        while let Some(entry) = self.on_the_way.first_entry() {
            if entry.key().0 > self.now_ms {
                break;
            }
            let (to, packet) = entry.remove();
            self.ends[to].handle_packet(self.now_ms, &packet);
        }
        for end in &mut self.ends {
            end.handle_timeout(self.now_ms);
        }
    }

    /// Sends `bytes` from the first end to the second in writes of `chunk` bytes, and the second's own stream
    /// back, until both have arrived.
    fn exchange(&mut self, bytes: usize, chunk: usize) {
        let streams = [1, 2].map(|seed| Stream::new(seed).bytes(bytes));
        let mut written = [0; 2];
        let mut read = [Vec::new(), Vec::new()];
        while read.iter().any(|read| read.len() < bytes) {
            assert!(
                self.now_ms < END_MS,
                "stuck after {written:?} written, {:?} read",
                read.map(|r| r.len())
            );
            for (i, end) in self.ends.iter_mut().enumerate() {
                while written[i] < bytes {
                    let next = bytes.min(written[i] + chunk);
                    if !end.write(self.now_ms, &streams[i][written[i]..next]) {
                        break;
                    }
                    written[i] = next;
                }
                while let Some(message) = end.read() {
                    read[i].extend(message);
                }
            }
            self.step();
        }
        let [first, second] = read;
        assert!(
            first == streams[1],
            "the first end read what the second wrote"
        );
        assert!(
            second == streams[0],
            "the second end read what the first wrote"
        );
    }
}

fn config(no_delay: NoDelay, fec: Option<FecParams>) -> Config {
    Config {
        conv: 0x0102_0304,
        fec,
        no_delay,
        snd_wnd: 128,
        rcv_wnd: 128,
        stream: true,
        ..Config::default()
    }
}

#[test]
fn a_stream_crosses_a_lossy_pipe_intact() {
    for seed in 0..5 {
        let config = config(NoDelay::FAST3, None);
        let mut pair = Pair::new(seed, 15, [config; 2]);
        pair.exchange(300_000, 5_000);
        let snmp = pair.ends[0].snmp();
        assert!(snmp.retrans_segs > 0 && snmp.repeat_segs > 0, "{snmp:?}");
        assert_eq!(snmp.kcp_in_errors, 0);
    }
}

#[test]
fn a_stream_crosses_a_lossy_pipe_intact_under_congestion_control() {
    let config = config(NoDelay::DEFAULT, None);
    Pair::new(6, 3, [config; 2]).exchange(50_000, 3_000);
}

#[test]
fn parity_repairs_losses_before_they_are_sent_again() {
    let mut resends = [None, FecParams::new(10, 3)].map(|fec| {
        let mut pair = Pair::new(7, 5, [config(NoDelay::FAST3, fec); 2]);
        pair.exchange(300_000, 5_000);
        let snmp = pair.ends[0].snmp();
        assert_eq!(snmp.fec_recovered > 0, fec.is_some());
        snmp.retrans_segs
    });
    resends.reverse();
    assert!(
        resends.is_sorted(),
        "with parity {}, without {}",
        resends[0],
        resends[1]
    );
}

#[test]
fn a_decoder_learns_the_shape_of_its_peer() {
    let coded = config(NoDelay::FAST3, FecParams::new(5, 2));
    for other in [None, FecParams::new(10, 3)] {
        let mut pair = Pair::new(8, 0, [coded, config(NoDelay::FAST3, other)]);
        // A repeated or lost packet keeps the counts from being found, so there are none at first.
        pair.repeat_percent = 0;
        pair.exchange(50_000, 5_000);
        pair.loss_percent = 5;
        pair.exchange(200_000, 5_000);
        assert!(pair.ends[1].snmp().fec_recovered > 0, "{other:?}");
        assert_eq!(pair.ends[0].snmp().fec_recovered > 0, other.is_some());
    }
}

#[test]
fn a_reader_that_pauses_stops_the_writer_and_a_probe_restarts_it() {
    let mut pair = Pair::new(9, 0, [config(NoDelay::FAST3, None); 2]);
    let mut written = 0;
    while pair.now_ms < 5_000 {
        while pair.ends[0].write(pair.now_ms, &[7; 1_000]) {
            written += 1_000;
        }
        pair.step();
    }
    assert_eq!(pair.ends[0].kcp().rmt_wnd, 0);
    let mut read = 0;
    while read < written {
        assert!(pair.now_ms < END_MS);
        while let Some(message) = pair.ends[1].read() {
            read += message.len();
        }
        pair.step();
    }
    while pair.ends[0].wait_snd() > 0 {
        assert!(pair.now_ms < END_MS);
        pair.step();
    }
}

#[test]
fn out_of_band_messages_pass_beside_the_stream() {
    let config = Config {
        receive_oob: true,
        ..config(NoDelay::FAST3, FecParams::new(10, 3))
    };
    let mut pair = Pair::new(10, 0, [config; 2]);
    pair.repeat_percent = 0;
    pair.ends[0].send_oob(b"beside").unwrap();
    while pair.now_ms < 100 {
        pair.step();
    }
    assert_eq!(pair.ends[1].read_oob(), Some(b"beside".to_vec()));
    assert_eq!(pair.ends[1].read(), None);
    assert_eq!(pair.ends[1].snmp().oob_packets, 1);
}

/// A segment that a peer could have sent, or nearly, with a header of the code in front if `kind` has one.
fn plausible(random: &mut Stream, kcp: &Kcp, kind: u8, seqid: u32) -> Vec<u8> {
    let mut near = |number: u32| {
        number
            .wrapping_add((random.next_word() % 8) as u32)
            .wrapping_sub(2)
    };
    let header = Header {
        conv: kcp.conv,
        cmd: 80 + near(3) as u8,
        frg: near(2) as u8,
        wnd: near(5) as u16,
        ts: near(0),
        sn: near(kcp.rcv_nxt),
        una: near(kcp.snd_una),
        len: near(10),
    };
    let mut packet = Vec::new();
    if kind >= 0xf0 {
        packet.extend(seqid.to_le_bytes());
        packet.extend([kind, 0, 10, 0]);
    }
    header.write(&mut packet);
    packet.extend(random.bytes(12));
    packet
}

#[test]
fn no_datagram_makes_a_session_panic() {
    let mut random = Stream::new(11);
    let config = config(NoDelay::DEFAULT, FecParams::new(3, 1));
    let mut session = Session::new(0, config);
    for now_ms in 0..20_000 {
        let seqid = (now_ms / 8 + random.next_word() % 4) as u32;
        let packet = match random.next_word() % 8 {
            0 => {
                let len = random.next_word() as usize % 120;
                random.bytes(len)
            }
            1..=3 => plausible(&mut random, session.kcp(), 0, 0),
            4 => plausible(&mut random, session.kcp(), 0xf3, u32::MAX),
            // A packet of the wrong kind ends all repair, so these come late.
            5 if now_ms > 15_000 => plausible(&mut random, session.kcp(), 0xf2, seqid),
            _ if seqid % 4 == 3 => plausible(&mut random, session.kcp(), 0xf2, seqid),
            _ => plausible(&mut random, session.kcp(), 0xf1, seqid),
        };
        session.handle_packet(now_ms, &packet);
        session.handle_timeout(now_ms);
        let _ = session.write(now_ms, b"data");
        while session.poll_transmit().is_some() {}
        while session.read().is_some() {}
    }
    let snmp = session.snmp();
    assert!(
        snmp.in_segs > 0 && snmp.bytes_received > 0 && snmp.fec_recovered > 0,
        "{snmp:?}"
    );
}
