use super::*;

#[test]
fn an_idle_end_sends_a_nop_every_interval_and_a_busy_one_none() {
    let mut pair = Pair::new(&v2());
    assert_eq!(pair.client.poll_timeout(), Some(pair.now + secs(10)));
    pair.advance(secs(10));
    assert_eq!(pair.client.frames(pair.now), [(3, 0, 0)]);
    pair.advance(secs(9));
    pair.client.open().unwrap();
    assert_eq!(pair.client.frames(pair.now), [(0, 3, 0)]);
    pair.advance(secs(9));
    assert_eq!(pair.client.frames(pair.now), []);
    pair.advance(secs(1));
    assert_eq!(pair.client.frames(pair.now), [(3, 0, 0)]);
}

#[test]
fn a_silent_peer_ends_the_session_after_the_timeout() {
    let mut pair = Pair::new(&v2());
    pair.advance(secs(29));
    assert!(pair.client.end().is_none());
    pair.settle();
    pair.advance(secs(29));
    assert!(pair.client.end().is_none());
    pair.advance(secs(1));
    assert!(
        matches!(pair.client.end(), Some(SessionError::PeerSilent(timeout)) if *timeout == secs(30))
    );
}

#[test]
fn nothing_proves_a_peer_silent_that_we_do_not_listen_to() {
    let mut pair = Pair::new(&v1_with_budget(1_000));
    let id = pair.stream();
    pair.client.write(id, &[1; 1_000]).unwrap();
    pair.settle();
    assert!(!pair.server.wants_input());
    pair.advance(secs(300));
    assert!(pair.server.end().is_none());
    pair.server.read(id, 1_000);
    pair.advance(secs(300));
    assert!(
        pair.server.end().is_none(),
        "the peer gets a timeout to be heard again"
    );
    pair.advance(secs(30));
    assert!(pair.server.end().is_some());
}

#[test]
fn output_that_a_closed_stream_cannot_send_is_dropped_after_the_timeout() {
    let mut pair = Pair::new(&v2());
    let id = pair.stream();
    while pair.client.write(id, &[1; 10_000]).unwrap() > 0 {
        pair.settle();
    }
    pair.client.close_stream(pair.now, id);
    for _ in 0..2 {
        pair.advance(secs(10));
        pair.settle();
    }
    assert_eq!(pair.server.read(id, 200_000).len(), 200_000);
    pair.settle();
    pair.advance(secs(10));
    assert_eq!(pair.client.stream_count(), 1, "the peer is only slow");
    assert_eq!(pair.server.read(id, usize::MAX).len(), 65_536);
    pair.settle();
    let rest = 262_144 + SEND_BUFFER - 265_536;
    assert_eq!(pair.server.read(id, usize::MAX).len(), rest);
    assert_eq!(pair.client.stream_count(), 0);

    let id = pair.stream();
    while pair.client.write(id, &[1; 10_000]).unwrap() > 0 {
        pair.settle();
    }
    pair.client.close_stream(pair.now, id);
    for _ in 0..3 {
        pair.advance(secs(10));
        pair.settle();
    }
    assert_eq!(pair.client.stream_count(), 0);
    assert_eq!(pair.server.read(id, usize::MAX).len(), 262_144);
    assert_eq!(pair.server.readable(id).unwrap(), Readable::End);
}

#[test]
fn closing_a_session_sends_what_was_written_but_finishes_no_open_stream() {
    let mut pair = Pair::new(&v2());
    let (open, finished) = (pair.stream(), pair.stream());
    pair.client.write(open, b"good").unwrap();
    pair.client.write(finished, b"bye").unwrap();
    pair.client.finish(finished).unwrap();
    pair.client.close(pair.now);
    assert!(matches!(
        pair.client.open(),
        Err(OpenError::Session(SessionError::Closed))
    ));
    assert!(!pair.client.is_drained());
    pair.settle();
    assert!(pair.client.is_drained());
    assert_eq!(pair.server.read(open, 100), b"good");
    assert_eq!(pair.server.readable(open).unwrap(), Readable::Blocked);
    assert_eq!(pair.server.read(finished, 100), b"bye");
    assert_eq!(pair.server.readable(finished).unwrap(), Readable::End);
}

#[test]
fn closing_a_session_does_not_wait_longer_than_the_timeout() {
    let mut pair = Pair::new(&v2());
    pair.stream();
    pair.client.close(pair.now);
    assert_eq!(pair.client.poll_timeout(), Some(pair.now + secs(10)));
    pair.client.handle_timeout(pair.now + secs(30));
    assert!(pair.client.is_over());
}
