//! How sessions begin, idle, survive outages, and end.

use kcp_transport::{Config, SessionError};
use sim::{End, Seed, Sim};

use crate::{link, ms, secs};

fn pair(config: &Config, text: &str) -> (Sim, End, End) {
    let mut sim = Sim::new(Seed::from_env_or(1), link(text));
    let (first, second) = sim.pair(config.clone(), config.clone());
    (sim, first, second)
}

#[test]
fn a_blackout_delays_but_loses_nothing() {
    for seconds in [1, 5, 30] {
        for config in [Config::fast3(), Config::normal()] {
            let (mut sim, first, second) = pair(&config, "delay=50ms loss=5%");
            sim.transfer(first, second, 2 << 20);
            sim.transfer(second, first, 2 << 20);
            sim.run_for(ms(60));
            sim.set_blackout(true);
            sim.run_for(secs(seconds));
            sim.set_blackout(false);
            let took = sim.run_until_done(secs(20));
            assert!(
                took.is_some(),
                "after {seconds} s: {:?} {:?}",
                sim.ended(first),
                sim.stats(first)
            );
            assert_eq!(sim.received(first), 2 << 20);
            assert_eq!(sim.received(second), 2 << 20);
        }
    }
}

#[test]
fn an_outage_that_hits_a_lone_message_delays_it_no_longer_than_needed() {
    for seconds in [5, 30] {
        let (mut sim, first, second) = pair(&Config::fast3(), "delay=50ms");
        sim.write(first, b"before");
        sim.run_for(secs(1));
        sim.set_blackout(true);
        sim.write(first, b"during");
        sim.run_for(secs(seconds));
        sim.set_blackout(false);
        let arrived = sim.run_until(secs(6), |sim| sim.received(second) == 12);
        assert!(arrived, "{:?} {:?}", sim.ended(first), sim.stats(first));
    }
}

#[test]
fn a_silent_peer_ends_the_session_after_the_idle_timeout() {
    let config = Config::fast3().idle_timeout(secs(10)).keepalive(secs(3));
    let (mut sim, first, second) = pair(&config, "delay=20ms");
    sim.write(first, b"hello");
    sim.run_for(secs(1));
    assert_eq!(sim.take(second), b"hello");
    sim.set_blackout(true);
    sim.run_for(secs(9));
    assert_eq!(sim.ended(first), None);
    sim.run_for(secs(2));
    assert_eq!(sim.ended(first), Some(&SessionError::PeerSilent(secs(10))));
    assert_eq!(sim.ended(second), Some(&SessionError::PeerSilent(secs(10))));
}

#[test]
fn a_path_that_takes_nothing_ends_the_session_though_the_peer_is_heard() {
    let (mut sim, first, second) = pair(&Config::fast3(), "delay=20ms");
    let (from, to) = (sim.host_of(first), sim.host_of(second));
    sim.write(first, b"hello");
    sim.run_for(secs(1));
    // Only the direction from the first to the second breaks, and the second goes on talking.
    sim.set_link(from, to, link("loss=100%"));
    sim.write(first, b"into the void");
    for _ in 0..70 {
        sim.write(second, b"still here");
        sim.run_for(secs(1));
    }
    let error = sim.ended(first).cloned();
    assert!(
        matches!(error, Some(SessionError::Unreachable { sends }) if sends >= 20),
        "{error:?}"
    );
}

#[test]
fn keepalive_keeps_an_idle_session_on_both_sides() {
    let (mut sim, first, second) = pair(&Config::fast3(), "delay=20ms loss=20%");
    sim.write(first, b"hello");
    sim.run_for(secs(3_600));
    assert_eq!((sim.ended(first), sim.ended(second)), (None, None));
    sim.write(second, b"still there");
    sim.run_for(secs(5));
    assert_eq!(sim.take(first), b"still there");
}

#[test]
fn without_keepalive_and_idle_timeout_an_idle_session_costs_no_timer() {
    let config = Config::fast3().keepalive(None).idle_timeout(None);
    let (mut sim, first, second) = pair(&config, "delay=20ms loss=10%");
    sim.transfer(first, second, 100_000);
    sim.transfer(second, first, 100_000);
    assert!(sim.run_until_done(secs(10)).is_some());
    sim.run_for(secs(2));
    let (fired, sent) = (sim.timers_fired(), sim.stats(first).packets_sent);
    sim.run_for(secs(1_000_000));
    assert_eq!(sim.timers_fired(), fired);
    assert_eq!(sim.stats(first).packets_sent, sent);
}

#[test]
fn an_idle_session_is_woken_by_its_keepalive_only() {
    let config = Config::fast3().keepalive(secs(20)).idle_timeout(None);
    let (mut sim, first, second) = pair(&config, "delay=20ms");
    sim.write(first, b"hello");
    sim.run_for(secs(10));
    let fired = sim.timers_fired();
    sim.run_for(secs(2_000));
    assert_eq!(sim.ended(second), None);
    // One side asks, which the other hears: 100 rounds of asking, answering and giving back buffers.
    let fired = sim.timers_fired() - fired;
    assert!(
        (100..=400).contains(&fired),
        "{fired} timers in 100 intervals"
    );
}

#[test]
fn drained_is_told_once_everything_is_acknowledged() {
    let (mut sim, first, second) = pair(&Config::fast3(), "delay=50ms loss=30%");
    sim.transfer(first, second, 100_000);
    assert!(sim.run_until(secs(10), |sim| sim.stats(first).unsent == 0));
    sim.with_hub(first, |hub, now, key| hub.drain(now, key));
    assert!(!sim.is_drained(first));
    assert!(sim.run_until(secs(30), |sim| sim.is_drained(first)));
    let stats = sim.stats(first);
    assert_eq!((stats.in_flight, stats.unsent), (0, 0));
    assert_eq!(sim.received(second), 100_000);
}

#[test]
fn what_was_written_before_closing_still_arrives() {
    let (mut sim, first, second) = pair(&Config::fast3(), "delay=50ms loss=20%");
    sim.write(first, &[9; 200_000]);
    assert!(sim.run_until(secs(10), |sim| sim.stats(first).unsent == 0));
    sim.close(first);
    assert!(sim.run_until(secs(20), |sim| sim.ended(first).is_some()));
    assert_eq!(sim.ended(first), Some(&SessionError::Closed));
    assert_eq!(sim.received(second), 200_000);
}

#[test]
fn closing_waits_no_longer_than_the_linger_time() {
    let config = Config::fast3().linger(secs(3));
    let (mut sim, first, _) = pair(&config, "delay=50ms");
    sim.set_blackout(true);
    sim.write(first, b"never to arrive");
    sim.close(first);
    sim.run_for(ms(2_900));
    assert_eq!(sim.ended(first), None);
    sim.run_for(ms(200));
    assert_eq!(sim.ended(first), Some(&SessionError::Closed));
}

#[test]
fn a_closed_end_acknowledges_late_resends_for_a_while() {
    // All acknowledgements of the first end are lost, so the second sends again after the first has closed.
    let (mut sim, first, second) = pair(&Config::fast3(), "delay=20ms");
    let (from, to) = (sim.host_of(first), sim.host_of(second));
    sim.write(first, b"a");
    sim.run_for(secs(1));
    sim.write(second, b"answer");
    sim.set_link(from, to, link("delay=20ms loss=100%"));
    assert!(sim.run_until(secs(1), |sim| sim.received(first) == 6));
    sim.close(first);
    sim.run_for(ms(300));
    sim.set_link(from, to, link("delay=20ms"));
    sim.run_for(ms(300));
    let stats = sim.stats(second);
    assert_eq!((stats.in_flight, stats.unsent), (0, 0), "{stats:?}");
}

#[test]
fn a_peer_that_writes_to_a_closed_end_is_not_held_back_while_it_lingers() {
    let (mut sim, first, second) = pair(&Config::fast3().linger(secs(30)), "delay=20ms");
    let (from, to) = (sim.host_of(first), sim.host_of(second));
    sim.write(second, b"hi");
    sim.run_for(secs(1));
    sim.set_link(from, to, link("delay=20ms loss=50%"));
    sim.pause(first);
    sim.transfer(second, first, 5 << 20);
    sim.run_for(secs(1));
    sim.write(first, &[1; 3_000_000]);
    sim.close(first);
    assert!(
        sim.run_until(secs(29), |sim| sim.stats(second).in_flight == 0
            && sim.stats(second).unsent == 0)
    );
}
