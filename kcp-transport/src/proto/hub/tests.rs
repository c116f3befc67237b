//! What many sessions of one hub have to do with each other.

use core::net::SocketAddr;
use core::time::Duration;
use std::sync::Arc;

use super::Hub;
use crate::config::Config;
use crate::proto::fec::Fec;
use crate::proto::{Chunk, PacketBatch, Time};

const SESSIONS: u32 = 500;

fn addresses() -> [SocketAddr; 2] {
    [1, 2].map(|port| SocketAddr::from(([127, 0, 0, 1], port)))
}

fn hubs(config: Config) -> (Hub, Hub) {
    let config = Arc::new(config);
    let dialler = Hub::new(Arc::clone(&config), false, [1; 32]);
    (dialler, Hub::new(config, true, [2; 32]))
}

/// Everything that leaves now, datagram by datagram.
fn leaving(hub: &mut Hub, now: Time) -> Vec<Vec<u8>> {
    let mut batch = PacketBatch::new(1);
    let mut leaving = Vec::new();
    while {
        let more = hub.poll_transmit(now, &mut batch);
        let datagrams = batch.transmits();
        leaving.extend(datagrams.map(|datagram| datagram.contents.to_vec()));
        batch.clear();
        more
    } {}
    leaving
}

fn arrive(hub: &mut Hub, now: Time, peer: SocketAddr, datagrams: Vec<Vec<u8>>) {
    for mut datagram in datagrams {
        let len = datagram.len();
        hub.handle_datagrams(now, peer, &mut datagram, len);
    }
}

#[test]
fn sessions_that_wait_for_their_turn_to_send_are_not_due_again_and_again() {
    let [client, server] = addresses();
    let (mut dialler, mut listener) = hubs(Config::fast3());
    let mut batch = PacketBatch::new(64);
    let now = Time::ZERO;

    for conv in 1..=SESSIONS {
        let key = dialler.connect(now, server, conv).expect("a new number");
        dialler.write(now, key, Chunk::from(vec![7; 100]));
    }
    arrive(&mut listener, now, client, leaving(&mut dialler, now));
    assert_eq!(listener.len(), SESSIONS as usize);

    // Every session owes an acknowledgement, and a batch holds far fewer.
    let later = now + Duration::from_millis(20);
    listener.handle_timeout(later);
    assert!(listener.poll_transmit(later, &mut batch));
    let due = listener.poll_timeout().filter(|&at| at <= later);
    assert_eq!(due, None, "they are ready already");

    let mut sent = batch.len();
    while !batch.is_empty() {
        batch.clear();
        listener.poll_transmit(later, &mut batch);
        sent += batch.len();
    }
    assert_eq!(sent, SESSIONS as usize);
}

#[test]
fn a_session_that_falls_idle_spoils_no_group_of_another_one_on_its_path() {
    let [client, server] = addresses();
    let code = Fec::new(3, 1).expect("a code");
    let (mut dialler, mut listener) = hubs(Config::fast3().fec(Some(code)));
    let key = |hub: &mut Hub, conv| hub.connect(Time::ZERO, server, conv).expect("a new number");
    let (busy, idle) = (key(&mut dialler, 1), key(&mut dialler, 2));
    let write = |hub: &mut Hub, now, key| hub.write(now, key, Chunk::from(vec![7; 100]));

    // First both are heard, and the listener gets to know the code. Then groups fill one packet after the other: when the
    // idle session gives back its memory, some packets of one are there.
    write(&mut dialler, Time::ZERO, idle);
    let mut lost = 0;
    for millis in (0..120).chain((900..1_900).step_by(20)) {
        let now = Time::from_millis(millis);
        write(&mut dialler, now, busy);
        for hub in [&mut dialler, &mut listener] {
            hub.handle_timeout(now);
        }
        let mut datagrams = leaving(&mut dialler, now);
        // The last one of a group, with which its parity leaves.
        if millis >= 900 && datagrams.len() == 2 {
            datagrams.remove(0);
            lost += 1;
        }
        arrive(&mut listener, now, client, datagrams);
        arrive(&mut dialler, now, server, leaving(&mut listener, now));
    }
    assert!(lost > 10, "{lost}");
    assert_eq!(listener.stats().sessions.fec_recovered, lost);
}
