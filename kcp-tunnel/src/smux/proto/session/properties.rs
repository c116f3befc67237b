//! What holds for any order of events and any peer.

use proptest::prelude::*;

use super::super::super::config::Version;
use super::tests::{Pair, raw};
use super::*;

#[derive(Clone, Debug)]
enum Op {
    Write(usize),
    Read(usize),
    Carry(usize),
}

fn ops() -> impl Strategy<Value = Vec<(bool, usize, Op)>> {
    let op = prop_oneof![
        (1_usize..40_000).prop_map(Op::Write),
        (1_usize..40_000).prop_map(Op::Read),
        (1_usize..40_000).prop_map(Op::Carry),
    ];
    prop::collection::vec((any::<bool>(), 0_usize..3, op), 0..200)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    /// Whatever the order of writes, reads and pieces of transport, every stream's bytes arrive in
    /// order, all of them once both ends read on, and nobody holds more than the budget.
    #[test]
    fn bytes_arrive_complete_and_in_order(v2: bool, frame in 1_usize..20_000, ops in ops()) {
        let version = if v2 { Version::V2 } else { Version::V1 };
        let config = Config::new(version).max_frame(frame).unwrap().buffers(50_000, 20_000).unwrap();
        let mut pair = Pair::new(&config);
        let ids = [pair.stream(), pair.stream(), pair.stream()];
        let mut written = [[0_u64; 3]; 2];
        let mut read = [[0_u64; 3]; 2];
        let mut wires = [Vec::new(), Vec::new()];
        let now = pair.now;
        let byte = |position: u64| (position % 251) as u8;
        let drain = (0..20_000).map(|i| {
            let op = if i % 2 == 0 { Op::Read(usize::MAX) } else { Op::Carry(usize::MAX) };
            (i / 2 % 2 == 0, i / 4 % 3, op)
        });
        for (client, index, op) in ops.into_iter().chain(drain) {
            let (here, there) = match client {
                true => (&mut pair.client, &mut pair.server),
                false => (&mut pair.server, &mut pair.client),
            };
            let side = usize::from(client);
            match op {
                Op::Write(len) => {
                    let start = written[side][index];
                    let data: Vec<u8> = (start..start + len as u64).map(byte).collect();
                    written[side][index] += here.write(ids[index], &data).unwrap() as u64;
                }
                Op::Read(len) => {
                    for got in here.read(ids[index], len) {
                        prop_assert_eq!(got, byte(read[side][index]));
                        read[side][index] += 1;
                    }
                }
                Op::Carry(len) => {
                    let wire = &mut wires[side];
                    while wire.len() < len && let Some(frame) = here.poll_transmit(now) {
                        wire.extend_from_slice(frame.as_ref());
                    }
                    let taken = there.handle_input(now, &wire[..len.min(wire.len())]).unwrap();
                    wire.drain(..taken);
                }
            }
            prop_assert!(pair.client.budget <= 50_000 && pair.server.budget <= 50_000);
        }
        prop_assert_eq!(written[0], read[1]);
        prop_assert_eq!(written[1], read[0]);
        prop_assert_eq!((pair.client.budget, pair.server.budget), (50_000, 50_000));
    }

    /// Frames at random, most of them nonsense: no panic, and never more held than the limits allow.
    #[test]
    fn a_hostile_peer_cannot_panic_or_grow_a_session(
        v2: bool,
        frames in prop::collection::vec((0_u8..5, 0_u32..12, 0_usize..3_000, any::<u8>()), 0..300),
        noise in prop::collection::vec(any::<u8>(), 0..40),
    ) {
        let version = if v2 { Version::V2 } else { Version::V1 };
        let config = Config::new(version).buffers(20_000, 10_000).unwrap().accept_backlog(3).max_streams(4).announce(v2);
        let now = Instant::now();
        let mut server = Session::new(Role::Server, config, now);
        let mut input = Vec::new();
        for (command, stream, len, value) in frames {
            let stream = if command == 0 { stream | 1 } else { stream };
            let len = match command { 2 => len, 4 => 8, _ => 0 };
            input.extend(raw(1 + u8::from(v2), command, stream, &vec![value; len]));
            if value % 7 == 0 && let Ok(Some(id)) = server.accept() {
                let _ = server.write(id, &vec![value; len]);
                server.read(id, len);
            } else if value % 11 == 0 {
                server.close_stream(now, StreamId(stream));
            }
            let taken = server.handle_input(now, &input).unwrap_or(input.len());
            input.drain(..taken);
            prop_assert!(server.budget <= 20_000);
            prop_assert!(server.stream_count() <= 4);
            prop_assert!(server.refused.len() <= MAX_REFUSALS && server.incoming.len() <= 3);
            prop_assert!(server.ready.len() <= 4 && server.events.len() <= 100);
            if value % 5 == 0 {
                server.frames(now);
            }
        }
        let _ = server.handle_input(now, &noise);
    }
}
