use core::time::Duration;

use super::super::super::config::Version;
use super::super::stream::{CROWDED, CROWDED_SEND_BUFFER, SEND_BUFFER};
use super::*;

/// What happens when nothing does.
mod timeouts;

/// Two ends and the wires between them, which carry everything at once whenever `settle` is called.
pub(super) struct Pair {
    pub(super) now: Instant,
    pub(super) client: Session,
    pub(super) server: Session,
}

impl Pair {
    pub(super) fn new(config: &Config) -> Self {
        let now = Instant::now();
        let session = |role| Session::new(role, config.clone(), now);
        Self {
            now,
            client: session(Role::Client),
            server: session(Role::Server),
        }
    }

    /// A stream of the client that the server has accepted.
    pub(super) fn stream(&mut self) -> StreamId {
        let id = self.client.open().unwrap();
        self.settle();
        assert_eq!(self.server.accept().unwrap(), Some(id));
        id
    }

    fn settle(&mut self) {
        while deliver(self.now, &mut self.client, &mut self.server)
            | deliver(self.now, &mut self.server, &mut self.client)
        {}
    }

    fn advance(&mut self, time: Duration) {
        self.now += time;
        self.client.handle_timeout(self.now);
        self.server.handle_timeout(self.now);
    }
}

impl Session {
    /// The next frame as (command, stream, payload length).
    fn frame(&mut self, now: Instant) -> Option<(u8, u32, usize)> {
        let frame = self.poll_transmit(now)?;
        let out = frame.as_ref();
        let stream = u32::from_le_bytes(out[4..8].try_into().unwrap());
        Some((out[1], stream, out.len() - 8))
    }

    pub(super) fn frames(&mut self, now: Instant) -> Vec<(u8, u32, usize)> {
        core::iter::from_fn(|| self.frame(now)).collect()
    }

    /// Reads all there is, at most `limit` bytes.
    pub(super) fn read(&mut self, id: StreamId, limit: usize) -> Vec<u8> {
        let mut out = Vec::new();
        while let Ok(Readable::Data(data)) = self.readable(id) {
            let len = data.len().min(limit - out.len());
            if len == 0 {
                break;
            }
            out.extend_from_slice(&data[..len]);
            self.consume(id, len);
        }
        out
    }

    fn events(&mut self) -> Vec<Event> {
        core::iter::from_fn(|| self.poll_event()).collect()
    }
}

/// Carries frames over as long as there are any and the receiver takes them.
fn deliver(now: Instant, from: &mut Session, to: &mut Session) -> bool {
    let mut moved = false;
    while to.wants_input()
        && let Some(frame) = from.poll_transmit(now)
    {
        let wire = frame.as_ref();
        let taken = to.handle_input(now, wire).unwrap();
        assert_eq!(
            taken,
            wire.len(),
            "the tests here fill the budget with whole frames only"
        );
        moved = true;
    }
    moved
}

pub(super) fn v1() -> Config {
    Config::new(Version::V1)
}

/// Version 1 with frames of 1,000 bytes and room for `budget` of them.
fn v1_with_budget(budget: usize) -> Config {
    v1().buffers(budget, budget)
        .unwrap()
        .max_frame(1_000)
        .unwrap()
}

pub(super) fn v2() -> Config {
    Config::new(Version::V2)
}

const fn secs(secs: u64) -> Duration {
    Duration::from_secs(secs)
}

pub(super) fn raw(version: u8, command: u8, stream: u32, payload: &[u8]) -> Vec<u8> {
    let mut out = vec![version, command];
    out.extend_from_slice(&u16::try_from(payload.len()).unwrap().to_le_bytes());
    out.extend_from_slice(&stream.to_le_bytes());
    out.extend_from_slice(payload);
    out
}

#[test]
fn streams_are_accepted_in_the_order_they_were_opened() {
    let mut pair = Pair::new(&v1());
    assert_eq!(pair.server.accept().unwrap(), None);
    let opened: Vec<u32> = (0..3).map(|_| pair.client.open().unwrap().get()).collect();
    assert_eq!(opened, [3, 5, 7]);
    pair.settle();
    assert_eq!(pair.server.events(), [Event::Incoming]);
    let accepted: Vec<_> = (0..4).map(|_| pair.server.accept().unwrap()).collect();
    assert_eq!(
        accepted,
        [
            Some(StreamId(3)),
            Some(StreamId(5)),
            Some(StreamId(7)),
            None
        ]
    );
    assert_eq!(pair.server.open().unwrap().get(), 2);
}

#[test]
fn the_last_stream_number_is_used_once() {
    let mut session = Session::new(Role::Client, v1(), Instant::now());
    session.next_id = Some(StreamId(u32::MAX));
    assert_eq!(session.open().unwrap().get(), u32::MAX);
    assert!(matches!(session.open(), Err(OpenError::Exhausted)));
}

#[test]
fn a_reader_gets_the_data_before_the_end() {
    let mut pair = Pair::new(&v2());
    let id = pair.stream();
    assert_eq!(pair.server.readable(id).unwrap(), Readable::Blocked);
    pair.client.write(id, b"hello").unwrap();
    pair.client.close_stream(pair.now, id);
    pair.settle();
    assert_eq!(pair.server.events(), [Event::Readable(id)]);
    assert_eq!(pair.server.readable(id).unwrap(), Readable::Data(b"hello"));
    pair.server.consume(id, 5);
    assert_eq!(pair.server.readable(id).unwrap(), Readable::End);
    assert_eq!(pair.client.stream_count(), 0);
}

#[test]
fn streams_take_turns_of_one_frame() {
    let mut pair = Pair::new(&v2().max_frame(1_000).unwrap());
    let ids = [pair.stream(), pair.stream(), pair.stream()];
    for id in ids {
        pair.client.write(id, &[0; 2_500]).unwrap();
    }
    let order: Vec<u32> = pair
        .client
        .frames(pair.now)
        .iter()
        .map(|frame| frame.1)
        .collect();
    assert_eq!(order, [3, 5, 7, 3, 5, 7, 3, 5, 7]);
}

#[test]
fn a_short_message_does_not_wait_for_the_bulk_of_another_stream() {
    let mut pair = Pair::new(&v2().max_frame(1_000).unwrap());
    let (bulk, rpc) = (pair.stream(), pair.stream());
    pair.client.write(bulk, &[0; 30_000]).unwrap();
    assert_eq!(pair.client.frame(pair.now), Some((2, bulk.get(), 1_000)));
    pair.client.write(rpc, b"now").unwrap();
    assert_eq!(pair.client.frame(pair.now), Some((2, bulk.get(), 1_000)));
    assert_eq!(pair.client.frame(pair.now), Some((2, rpc.get(), 3)));
}

#[test]
fn in_a_stream_control_goes_before_data_and_fin_behind_it() {
    let mut pair = Pair::new(&v2().max_frame(10).unwrap());
    let id = pair.stream();
    pair.client.write(id, b"question").unwrap();
    pair.settle();
    pair.server.write(id, &[0; 15]).unwrap();
    pair.server.finish(id).unwrap();
    assert_eq!(pair.server.frame(pair.now), Some((2, id.get(), 10)));
    pair.server.read(id, 100);
    let id = id.get();
    assert_eq!(
        pair.server.frames(pair.now),
        [(4, id, 8), (2, id, 5), (1, id, 0)]
    );
}

#[test]
fn a_v2_writer_stops_at_the_start_window_and_goes_on_as_the_peer_reads() {
    let mut pair = Pair::new(&v2().buffers(4_194_304, 100_000).unwrap());
    let id = pair.stream();
    let mut written = 0;
    loop {
        let len = pair.client.write(id, &[1; 10_000]).unwrap();
        if len == 0 {
            break;
        }
        written += len;
        pair.settle();
    }
    assert_eq!(written, 262_144 + SEND_BUFFER);
    assert_eq!(pair.client.events(), []);
    assert_eq!(pair.server.read(id, usize::MAX).len(), 262_144);
    pair.settle();
    assert_eq!(pair.client.events(), [Event::Writable(id)]);
    assert_eq!(pair.server.read(id, usize::MAX).len(), SEND_BUFFER);
}

#[test]
fn many_writers_that_wait_hold_less_each_and_all_go_on() {
    let mut pair = Pair::new(&v1());
    let ids: Vec<_> = (0..200).map(|_| pair.stream()).collect();
    let mut held = 0;
    for &id in &ids {
        loop {
            let room = pair.client.room(id).unwrap();
            if room == 0 {
                break;
            }
            assert_eq!(pair.client.write(id, &vec![1; room]).unwrap(), room);
            held += room;
        }
    }
    let first = CROWDED / SEND_BUFFER;
    assert_eq!(held, CROWDED + (200 - first) * CROWDED_SEND_BUFFER);
    pair.settle();
    let woken: Vec<_> = ids.iter().map(|&id| Event::Writable(id)).collect();
    let mut events = pair.client.events();
    events.sort_by_key(|event| match event {
        Event::Writable(id) => id.get(),
        Event::Readable(_) | Event::Incoming | Event::Leaving => 0,
    });
    assert_eq!(events, woken);
    assert_eq!(pair.client.room(ids[0]).unwrap(), SEND_BUFFER);
}

#[test]
fn a_slow_v2_stream_does_not_hold_up_the_others() {
    let mut pair = Pair::new(&v2());
    let (unread, busy) = (pair.stream(), pair.stream());
    while pair.client.write(unread, &[1; 10_000]).unwrap() > 0 {
        pair.settle();
    }
    pair.client.write(busy, b"still here").unwrap();
    pair.settle();
    assert_eq!(pair.server.read(busy, 100), b"still here");
}

#[test]
fn an_unread_v1_stream_stops_the_session_and_reading_resumes_it() {
    let mut pair = Pair::new(&v1_with_budget(10_000));
    let (unread, other) = (pair.stream(), pair.stream());
    pair.client.write(unread, &[1; 20_000]).unwrap();
    pair.settle();
    assert!(!pair.server.wants_input());
    pair.client.write(other, b"waits").unwrap();
    pair.settle();
    assert_eq!(pair.server.read(other, 100), b"");
    assert_eq!(pair.server.read(unread, 1_005).len(), 1_005);
    pair.settle();
    assert_eq!(pair.server.read(other, 100), b"waits");
}

#[test]
fn the_receive_budget_cuts_a_frame_rather_than_be_overdrawn() {
    let now = Instant::now();
    let mut server = Session::new(Role::Server, v1().buffers(100, 100).unwrap(), now);
    let input = [raw(1, 0, 3, &[]), raw(1, 2, 3, &[9; 150])].concat();
    let taken = server.handle_input(now, &input).unwrap();
    assert_eq!(taken, 8 + 8 + 100);
    assert_eq!(server.handle_input(now, &input[taken..]).unwrap(), 0);
    assert_eq!(server.read(StreamId(3), 30), [9; 30]);
    assert_eq!(server.handle_input(now, &input[taken..]).unwrap(), 30);
}

#[test]
fn closing_a_stream_returns_what_its_unread_bytes_took_from_the_budget() {
    let mut pair = Pair::new(&v1_with_budget(10_000));
    let id = pair.stream();
    pair.client.write(id, &[1; 20_000]).unwrap();
    pair.settle();
    assert!(!pair.server.wants_input());
    pair.server.close_stream(pair.now, id);
    pair.settle();
    assert_eq!(pair.server.budget, 10_000);
}

#[test]
fn a_half_closed_stream_still_receives() {
    let mut pair = Pair::new(&v2());
    let id = pair.stream();
    pair.client.write(id, b"request").unwrap();
    pair.client.finish(id).unwrap();
    pair.settle();
    assert!(pair.client.poll_flushed(id).unwrap());
    assert!(matches!(
        pair.client.write(id, b"more"),
        Err(WriteError::Finished)
    ));
    assert_eq!(pair.server.read(id, 100), b"request");
    assert_eq!(pair.server.readable(id).unwrap(), Readable::End);
    pair.server.write(id, b"response").unwrap();
    pair.server.close_stream(pair.now, id);
    pair.settle();
    assert_eq!(pair.client.read(id, 100), b"response");
    pair.client.close_stream(pair.now, id);
    assert_eq!(pair.client.frames(pair.now), []);
}

#[test]
fn closing_after_half_closing_tells_the_peer_to_stop_writing() {
    let mut pair = Pair::new(&v2());
    let id = pair.stream();
    pair.client.finish(id).unwrap();
    pair.settle();
    pair.server.write(id, &[0; SEND_BUFFER]).unwrap();
    assert_eq!(pair.server.write(id, b"x").unwrap(), 0);
    pair.client.close_stream(pair.now, id);
    assert!(deliver(pair.now, &mut pair.client, &mut pair.server));
    assert_eq!(pair.server.events(), [Event::Writable(id)]);
    assert!(matches!(
        pair.server.write(id, b"x"),
        Err(WriteError::PeerClosed)
    ));
    pair.server.close_stream(pair.now, id);
    pair.settle();
    assert_eq!(
        (pair.client.stream_count(), pair.server.stream_count()),
        (0, 0)
    );
}

#[test]
fn a_writer_that_shuts_down_towards_a_closed_peer_waits_for_its_fin_to_be_sent() {
    let mut pair = Pair::new(&v2().half_close(false));
    let id = pair.stream();
    pair.server.write(id, b"lost").unwrap();
    pair.client.close_stream(pair.now, id);
    assert!(deliver(pair.now, &mut pair.client, &mut pair.server));
    pair.server.finish(id).unwrap();
    assert!(!pair.server.poll_flushed(id).unwrap());
    assert_eq!(pair.server.events(), []);
    assert_eq!(pair.server.frames(pair.now), [(1, id.get(), 0)]);
    assert_eq!(pair.server.events(), [Event::Writable(id)]);
    assert!(pair.server.poll_flushed(id).unwrap());
}

#[test]
fn without_half_close_a_fin_ends_both_directions() {
    let mut pair = Pair::new(&v2().half_close(false));
    let id = pair.stream();
    while pair.server.write(id, &[1; 10_000]).unwrap() > 0 {
        pair.settle();
    }
    pair.client.close_stream(pair.now, id);
    pair.settle();
    assert_eq!(pair.server.events(), [Event::Writable(id)]);
    assert!(matches!(
        pair.server.write(id, b"x"),
        Err(WriteError::PeerClosed)
    ));
}

#[test]
fn streams_beyond_the_backlog_are_finished_at_once() {
    let mut pair = Pair::new(&v1().accept_backlog(1));
    let (taken, refused) = (pair.client.open().unwrap(), pair.client.open().unwrap());
    pair.settle();
    assert_eq!(pair.client.readable(refused).unwrap(), Readable::End);
    assert_eq!(pair.client.readable(taken).unwrap(), Readable::Blocked);
    assert_eq!(pair.server.accept().unwrap(), Some(taken));
    assert_eq!(pair.server.accept().unwrap(), None);
}

#[test]
fn a_server_that_stops_accepting_finishes_what_waits() {
    let mut pair = Pair::new(&v1());
    let waiting = pair.client.open().unwrap();
    pair.settle();
    pair.server.stop_accepting(pair.now);
    let late = pair.client.open().unwrap();
    pair.settle();
    assert_eq!(pair.client.readable(waiting).unwrap(), Readable::End);
    assert_eq!(pair.client.readable(late).unwrap(), Readable::End);
    assert_eq!(pair.server.stream_count(), 0);
}

#[test]
fn max_streams_bounds_both_ends() {
    let mut pair = Pair::new(&v1().max_streams(2));
    pair.server.open().unwrap();
    let (taken, refused) = (pair.client.open().unwrap(), pair.client.open().unwrap());
    assert!(matches!(
        pair.client.open(),
        Err(OpenError::TooManyStreams(2))
    ));
    deliver(pair.now, &mut pair.client, &mut pair.server);
    deliver(pair.now, &mut pair.server, &mut pair.client);
    assert_eq!(pair.client.readable(taken).unwrap(), Readable::Blocked);
    assert_eq!(pair.client.readable(refused).unwrap(), Readable::End);
}

#[test]
fn a_flood_of_streams_ends_the_session() {
    let now = Instant::now();
    let mut server = Session::new(Role::Server, v1(), now);
    let error = (0..5_000)
        .find_map(|i| server.handle_input(now, &raw(1, 0, 3 + 2 * i, &[])).err())
        .unwrap();
    assert!(matches!(
        error,
        SessionError::Protocol(ProtocolError::Flood)
    ));
    assert_eq!((server.stream_count(), server.refused.len()), (1_024, 0));
    assert!(server.is_over());
}

#[test]
fn frames_of_streams_that_are_gone_are_dropped() {
    let now = Instant::now();
    let mut server = Session::new(Role::Server, v2(), now);
    let update = [255_u8; 8];
    for frame in [
        raw(2, 2, 9, b"late"),
        raw(2, 1, 9, &[]),
        raw(2, 4, 9, &update),
    ] {
        assert_eq!(server.handle_input(now, &frame).unwrap(), frame.len());
    }
    assert_eq!((server.stream_count(), server.budget), (0, 4_194_304));
}

#[test]
fn a_second_syn_changes_nothing() {
    let mut pair = Pair::new(&v1());
    let id = pair.stream();
    pair.client.write(id, b"once").unwrap();
    pair.settle();
    pair.server
        .handle_input(pair.now, &raw(1, 0, id.get(), &[]))
        .unwrap();
    assert_eq!(pair.server.accept().unwrap(), None);
    assert_eq!(pair.server.read(id, 100), b"once");
}

#[test]
fn a_peer_may_only_open_its_own_numbers() {
    let now = Instant::now();
    for (role, id) in [
        (Role::Client, 3),
        (Role::Client, 0),
        (Role::Server, 2),
        (Role::Server, 0),
    ] {
        let mut session = Session::new(role, v1(), now);
        let error = session.handle_input(now, &raw(1, 0, id, &[])).unwrap_err();
        let SessionError::Protocol(ProtocolError::ForeignStream(named)) = error else {
            panic!("{error}");
        };
        assert_eq!(named.get(), id);
    }
}

#[test]
fn a_peer_cannot_have_read_what_was_not_sent() {
    let mut pair = Pair::new(&v2());
    let id = pair.stream();
    pair.client.write(id, b"four").unwrap();
    pair.settle();
    let update = raw(2, 4, id.get(), &[5, 0, 0, 0, 0, 0, 1, 0]);
    let error = pair.client.handle_input(pair.now, &update).unwrap_err();
    assert!(matches!(error, SessionError::Protocol(ProtocolError::Consumed(named)) if named == id));
}

#[test]
fn after_a_failure_received_data_can_be_read_before_the_error() {
    let mut pair = Pair::new(&v1());
    let id = pair.stream();
    pair.client.write(id, b"last words").unwrap();
    pair.settle();
    pair.server.handle_input(pair.now, &[9; 8]).unwrap_err();
    assert_eq!(pair.server.read(id, 100), b"last words");
    assert!(matches!(
        pair.server.readable(id),
        Err(SessionError::Protocol(ProtocolError::Version {
            expected: 1,
            actual: 9
        }))
    ));
    assert!(matches!(
        pair.server.write(id, b"x"),
        Err(WriteError::Session(_))
    ));
    assert!(pair.server.accept().is_err() && pair.server.open().is_err());
    assert!(pair.server.is_over() && pair.server.poll_timeout().is_none());
}

#[test]
fn two_ends_that_announce_it_know_each_other_and_others_do_not_notice() {
    let announcing = v1().announce(true);
    let mut pair = Pair::new(&announcing);
    assert_eq!(pair.client.peer(), Peer::Unknown);
    pair.settle();
    assert_eq!(pair.client.peer(), Peer::HalfCloses);
    assert_eq!(pair.server.peer(), Peer::HalfCloses);

    let mut pair = Pair::new(&v1());
    pair.client = Session::new(Role::Client, announcing, pair.now);
    let id = pair.stream();
    assert_eq!(pair.client.peer(), Peer::Unknown);
    pair.server.write(id, b"x").unwrap();
    pair.settle();
    assert_eq!(pair.client.peer(), Peer::Closes);
    assert_eq!(pair.server.peer(), Peer::Closes);
    assert_eq!(pair.server.stream_count(), 1);
}

#[test]
fn the_announcement_is_the_first_frame_and_data_of_no_stream() {
    let mut session = Session::new(Role::Client, v2().announce(true), Instant::now());
    session.open().unwrap();
    let frames = session.frames(Instant::now());
    assert_eq!(frames, [(2, 0, 11), (0, 3, 0)]);
}

#[test]
fn whoever_begins_with_something_else_is_another_implementation() {
    let hello = raw(2, 2, 0, b"kcp-tunnel\0");
    for first in [raw(2, 3, 0, &[]), raw(2, 2, 0, b"kcp-runnel\0")] {
        let now = Instant::now();
        let mut session = Session::new(Role::Server, v2().announce(true), now);
        session.handle_input(now, &first).unwrap();
        session.handle_input(now, &hello).unwrap();
        assert_eq!(session.peer(), Peer::Closes);
    }
}

#[test]
fn a_peer_is_told_when_nobody_accepts_any_more() {
    let mut pair = Pair::new(&v2().announce(true));
    let id = pair.stream();
    pair.server.leave(pair.now);
    pair.settle();
    assert!(pair.client.is_peer_leaving() && !pair.server.is_peer_leaving());
    assert!(pair.client.events().contains(&Event::Leaving));
    // What exists goes on.
    pair.client.write(id, b"still").unwrap();
    pair.settle();
    assert_eq!(pair.server.read(id, 100), b"still");
    // What is new does not.
    let late = pair.client.open().unwrap();
    pair.settle();
    assert_eq!(pair.client.readable(late).unwrap(), Readable::End);
}

#[test]
fn closing_a_stream_says_that_nobody_reads_to_a_peer_that_half_closes() {
    for (announce, fins) in [(true, 2), (false, 1)] {
        let mut pair = Pair::new(&v2().announce(announce));
        let id = pair.stream();
        pair.server.close_stream(pair.now, id);
        let frames = pair.server.frames(pair.now);
        assert_eq!(frames, vec![(1, 3, 0); fins]);
    }
    let mut pair = Pair::new(&v2().announce(true));
    let id = pair.stream();
    pair.server.close_stream(pair.now, id);
    pair.settle();
    let error = pair.client.write(id, b"x").unwrap_err();
    assert!(matches!(error, WriteError::PeerClosed));
}

#[test]
fn taken_bytes_count_as_read_when_they_are_released() {
    let mut pair = Pair::new(&v1_with_budget(2_000));
    let id = pair.stream();
    pair.client.write(id, &[7; 2_000]).unwrap();
    pair.settle();
    let mut blocks = Vec::new();
    while let Taken::Data(block) = pair.server.take(id).unwrap() {
        blocks.push(block);
    }
    let taken: usize = blocks.iter().map(|block| block.as_ref().len()).sum();
    assert_eq!((taken, pair.server.budget), (2_000, 0));
    pair.server.release(id, 500);
    assert_eq!(pair.server.budget, 500);
    blocks
        .into_iter()
        .for_each(|block| pair.server.recycle(block));
    // Giving the stream up gives back the rest, and no more than that.
    pair.server.close_stream(pair.now, id);
    pair.server.release(id, 1_500);
    assert_eq!(pair.server.budget, 2_000);
}
