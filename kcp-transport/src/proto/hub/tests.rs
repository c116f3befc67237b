//! What many sessions of one hub have to do with each other.

use core::net::SocketAddr;
use core::time::Duration;
use std::sync::Arc;

use super::Hub;
use crate::config::Config;
use crate::proto::{Chunk, PacketBatch, Time};

const SESSIONS: u32 = 500;

#[test]
fn sessions_that_wait_for_their_turn_to_send_are_not_due_again_and_again() {
    let config = Arc::new(Config::fast3());
    let [client, server] = [1, 2].map(|port| SocketAddr::from(([127, 0, 0, 1], port)));
    let mut dialler = Hub::new(Arc::clone(&config), false, [1; 32]);
    let mut listener = Hub::new(config, true, [2; 32]);
    let mut batch = PacketBatch::new(64);
    let now = Time::ZERO;

    for conv in 1..=SESSIONS {
        let key = dialler.connect(now, server, conv).expect("a new number");
        dialler.write(now, key, Chunk::from(vec![7; 100]));
    }
    let mut more = true;
    while more {
        more = dialler.poll_transmit(now, &mut batch);
        for transmit in batch.transmits() {
            let mut datagrams = transmit.contents.to_vec();
            listener.handle_datagrams(now, client, &mut datagrams, transmit.segment_size);
        }
        batch.clear();
    }
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
