//! Sessions come and go: expiry, restarts, silence, and what connections notice of it.

use std::future::poll_fn;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

use kcp_transport::proto::Transmit;
use kcp_transport::{DatagramSocket as _, ReceiveSlot};
use kcp_tunnel::status::Tunnel as _;
use sim::SimSocket;
use tokio::io::AsyncWriteExt as _;
use tokio::time::Instant;

use crate::world::{World, expect, ms, secs, send, server_addr, within};

#[tokio::test(start_paused = true)]
async fn connections_take_the_sessions_in_turn() {
    let (world, mut server) = World::with_client_flags("delay=10ms", &[], &["--conn", "3"]);
    let mut kept = Vec::new();
    for _ in 0..6 {
        let mut app = world.connect();
        let mut target = server.target().await;
        app.reaches(&mut target).await;
        kept.push((app, target));
    }
    let streams: Vec<usize> = world
        .sessions()
        .iter()
        .map(|session| session.streams)
        .collect();
    assert_eq!(streams, [2, 2, 2]);
    assert_eq!(server.server.status().sessions.len(), 3);
}

#[tokio::test(start_paused = true)]
async fn a_connection_waits_for_a_server_that_is_not_there_yet() {
    let world = World::without_server("delay=10ms", &[], &[]);
    let mut app = world.connect();
    app.io.write_all(b"early").await.unwrap();
    tokio::time::sleep(secs(120)).await;
    let attempts = world.client.status().failed_dials;
    // Each waits 5 s for an answer and up to 8 s, less a random part, for the next.
    assert!((9..=20).contains(&attempts), "{attempts} attempts");
    let mut server = world.start_server();
    let mut target = within(secs(14), server.target()).await;
    app.io.shutdown().await.unwrap();
    assert_eq!(target.rest().await, b"early");
}

#[tokio::test(start_paused = true)]
async fn an_unused_connection_moves_to_the_restarted_server_without_noticing() {
    let (world, mut server) = World::new("delay=10ms", &[]);
    let mut used = world.connect();
    let mut used_target = server.target().await;
    used.reaches(&mut used_target).await;
    let mut unused = world.connect();
    let _unused_target = server.target().await;
    server.kill().await;
    let mut server = world.start_server();
    // Nothing is under way: the silence of keepalives tells, after 30 seconds.
    let mut target = within(secs(60), server.target()).await;
    unused.reaches(&mut target).await;
    assert!(!unused.was_aborted());
    assert_eq!(used.rest().await, b"");
    assert!(used.was_aborted(), "what was used is broken off");
}

#[tokio::test(start_paused = true)]
async fn a_server_that_leaves_hands_over_without_delay() {
    let (world, mut server) = World::new("delay=10ms", &[]);
    let mut used = world.connect();
    let mut used_target = server.target().await;
    used.reaches(&mut used_target).await;
    let mut unused = world.connect();
    let first = server.target().await;
    let stopping = server.server.clone();
    let stopped = tokio::spawn(async move { stopping.stop(secs(5)).await });
    tokio::time::sleep(ms(100)).await;
    // The connection in use goes on until the deadline.
    used.reaches(&mut used_target).await;
    assert!(world.sessions()[0].retired || world.sessions()[0].streams == 1);
    drop(first);
    assert!(!stopped.await.unwrap());
    server.kill().await;
    let mut server = world.start_server();
    let mut target = within(secs(14), server.target()).await;
    unused.reaches(&mut target).await;
}

#[tokio::test(start_paused = true)]
async fn a_dead_server_is_noticed_while_something_is_under_way() {
    let (world, mut server) = World::new("delay=10ms", &["--mode", "fast3"]);
    let mut app = world.connect();
    let mut target = server.target().await;
    app.reaches(&mut target).await;
    server.kill().await;
    let mut server = world.start_server();
    app.io.write_all(b"into the void").await.unwrap();
    tokio::time::sleep(secs(8)).await;
    let mut second = world.connect();
    let mut target = within(secs(2), server.target()).await;
    second.reaches(&mut target).await;
    let sessions = world.sessions();
    assert_eq!(sessions.len(), 2);
    assert!(sessions[0].retired && !sessions[1].retired);
    // The old session ends by its own timeouts, and its connection with it.
    assert_eq!(app.rest().await, b"");
    assert!(app.was_aborted());
    within(secs(60), async {
        while world.sessions().len() > 1 {
            tokio::time::sleep(ms(100)).await;
        }
    })
    .await;
}

/// What kcptun's server is to its old clients after a restart: takes every packet for the first of a
/// session, acknowledges it, and never gets past the ones that its predecessor had received.
async fn forgetful_server(mut socket: SimSocket, acknowledged: Arc<AtomicU32>) {
    let mut slots = vec![ReceiveSlot::new()];
    loop {
        poll_fn(|cx| socket.poll_recv(cx, &mut slots))
            .await
            .unwrap();
        let (peer, mut rest) = (slots[0].peer, &slots[0].buffer[..slots[0].len]);
        let mut answer = Vec::new();
        while let Some((header, more)) = rest.split_at_checked(24) {
            let number = |at: usize| u32::from_le_bytes(header[at..at + 4].try_into().unwrap());
            let (command, len) = (header[4], number(20) as usize);
            if command == PUSH {
                acknowledged.fetch_add(1, Ordering::Relaxed);
                answer.extend(&header[..4]);
                answer.extend([ACK, 0, 0, 4]);
                // The same time and number, and nothing in order.
                answer.extend(&header[8..16]);
                answer.extend([0; 8]);
            }
            rest = &more[len..];
        }
        if !answer.is_empty() {
            let transmit = Transmit {
                destination: peer,
                contents: &answer,
                segment_size: answer.len(),
            };
            poll_fn(|cx| socket.poll_send(cx, &transmit)).await.unwrap();
        }
    }
}

const PUSH: u8 = 81;
const ACK: u8 = 82;

#[tokio::test(start_paused = true)]
async fn a_restarted_server_is_noticed_that_acknowledges_what_it_cannot_use() {
    let flags = ["--crypt", "null", "--ds", "0", "--nocomp"];
    let (world, mut server) = World::new("delay=50ms loss=20%", &flags);
    let mut used = world.connect();
    let mut used_target = server.target().await;
    used.reaches(&mut used_target).await;
    let mut unused = world.connect();
    let _unused_target = server.target().await;
    tokio::time::sleep(secs(2)).await;
    server.kill().await;
    let acknowledged = Arc::new(AtomicU32::new(0));
    let socket = world.network.socket(server_addr());
    let restarted = tokio::spawn(forgetful_server(socket, Arc::clone(&acknowledged)));
    let begin = Instant::now();
    within(secs(8), async {
        while !world.sessions()[0].retired {
            used.io.write_all(b"still talking").await.unwrap();
            tokio::time::sleep(ms(200)).await;
        }
    })
    .await;
    assert!(begin.elapsed() >= secs(5));
    assert!(acknowledged.load(Ordering::Relaxed) > 20, "it answers");
    restarted.abort();
    let _ = restarted.await;
    let mut server = world.start_server();
    let mut target = within(secs(20), server.target()).await;
    unused.reaches(&mut target).await;
    assert!(!unused.was_aborted());
}

#[tokio::test(start_paused = true)]
async fn a_session_is_not_given_up_for_losses() {
    let flags = ["--mode", "fast", "--ds", "0"];
    let (world, mut server) = World::new("delay=150ms jitter=30ms loss=20%", &flags);
    let mut app = world.connect();
    let target = server.target().await;
    let begin = Instant::now();
    let sending = tokio::spawn(expect(target.io, 1, 8 << 20));
    send(&mut app.io, 1, 8 << 20).await;
    within(secs(3_600), sending).await.unwrap();
    let took = begin.elapsed();
    assert!(took > secs(20), "{took:?}: too short for a false alarm");
    let sessions = world.sessions();
    assert!(sessions.len() == 1 && !sessions[0].retired);
    assert_eq!(world.client.status().sessions_total, 1);
}

#[tokio::test(start_paused = true)]
async fn a_blackout_that_ends_in_time_costs_nothing_but_time() {
    let (world, mut server) = World::new("delay=10ms", &["--mode", "fast2"]);
    let mut app = world.connect();
    let mut target = server.target().await;
    app.reaches(&mut target).await;
    world.network.set_blackout(true);
    app.io.write_all(b"under way\n").await.unwrap();
    tokio::time::sleep(secs(12)).await;
    world.network.set_blackout(false);
    app.io.shutdown().await.unwrap();
    assert_eq!(target.rest().await, b"under way\n");
}

#[tokio::test(start_paused = true)]
async fn an_old_session_is_replaced_and_ends_with_its_last_stream() {
    let flags = ["--autoexpire", "60", "--scavengettl", "600"];
    let (world, mut server) = World::with_client_flags("delay=10ms", &[], &flags);
    let mut old = world.connect();
    let mut old_target = server.target().await;
    old.reaches(&mut old_target).await;
    tokio::time::sleep(secs(59)).await;
    let mut same = world.connect();
    let mut same_target = server.target().await;
    same.reaches(&mut same_target).await;
    assert_eq!(world.sessions().len(), 1);
    tokio::time::sleep(secs(2)).await;
    let mut new = world.connect();
    let mut new_target = server.target().await;
    new.reaches(&mut new_target).await;
    old.reaches(&mut old_target).await;
    let sessions = world.sessions();
    let seen: Vec<_> = sessions.iter().map(|s| (s.streams, s.retired)).collect();
    assert_eq!(seen, [(2, true), (1, false)]);
    drop((old, old_target));
    drop((same, same_target));
    tokio::time::sleep(secs(10)).await;
    assert_eq!(world.sessions().len(), 1);
    assert_eq!(world.sessions()[0].number, 2);
}

#[tokio::test(start_paused = true)]
async fn an_old_session_is_closed_in_the_end_whatever_it_carries() {
    let flags = ["--autoexpire", "10", "--scavengettl", "20"];
    let (world, mut server) = World::with_client_flags("delay=10ms", &[], &flags);
    let begin = Instant::now();
    let mut app = world.connect();
    let mut target = server.target().await;
    app.reaches(&mut target).await;
    assert_eq!(app.rest().await, b"");
    assert!(app.was_aborted());
    let lived = begin.elapsed();
    assert!(lived >= secs(30) && lived < secs(31), "{lived:?}");
}

#[tokio::test(start_paused = true)]
async fn idle_sessions_stay_open() {
    let (world, mut server) = World::new("delay=10ms", &[]);
    let mut app = world.connect();
    let mut target = server.target().await;
    app.reaches(&mut target).await;
    tokio::time::sleep(secs(4 * 3_600)).await;
    target.reaches(&mut app).await;
    let sessions = world.sessions();
    assert_eq!(sessions.len(), 1);
    assert!(sessions[0].age > secs(4 * 3_600) && sessions[0].silence < secs(11));
    assert_eq!(world.client.counters().await.curr_estab, 1);
}

#[tokio::test(start_paused = true)]
async fn counters_of_past_sessions_are_kept() {
    let flags = ["--autoexpire", "10"];
    let (world, mut server) = World::with_client_flags("delay=10ms", &[], &flags);
    for round in 1..=3 {
        let mut app = world.connect();
        let mut target = server.target().await;
        app.reaches(&mut target).await;
        drop((app, target));
        tokio::time::sleep(secs(30)).await;
        assert_eq!(world.client.counters().await.active_opens, round);
    }
    let counters = world.client.counters().await;
    assert!(counters.bytes_sent > 3 * 6, "{counters:?}");
    let server = server.server.counters().await;
    assert_eq!(server.passive_opens, 3);
    assert!(server.in_pkts >= 3 && server.max_conn >= 1);
}
