//! Settings that change while a session lives.

use kcp_transport::proto::Change;
use kcp_transport::{Config, Mtu, Window};
use sim::{End, Seed, Sim};

use crate::{link, ms, secs};

fn pair(config: &Config, text: &str) -> (Sim, End, End) {
    let mut sim = Sim::new(Seed::from_env_or(1), link(text));
    let (first, second) = sim.pair(config.clone(), config.clone());
    (sim, first, second)
}

fn mtu(bytes: usize) -> Mtu {
    Mtu::new(bytes).expect("in range")
}

fn window(segments: usize) -> Window {
    Window::new(segments).expect("in range")
}

#[test]
fn a_smaller_mtu_holds_for_new_segments_and_those_under_way_still_arrive() {
    let (mut sim, first, second) = pair(&Config::fast3(), "delay=20ms loss=20%");
    sim.transfer(first, second, 300_000);
    sim.run_for(ms(30));
    sim.change(first, Change::Mtu(mtu(300)));
    assert!(
        sim.run_until_done(secs(30)).is_some(),
        "{:?}",
        sim.stats(first)
    );

    let (from, to) = (sim.host_of(first), sim.host_of(second));
    let before = sim.link_stats(from, to);
    sim.transfer(first, second, 30_000);
    assert!(
        sim.run_until_done(secs(30)).is_some(),
        "{:?}",
        sim.stats(first)
    );
    let after = sim.link_stats(from, to);
    let packets = after.sent - before.sent;
    assert!(after.sent_bytes - before.sent_bytes <= 300 * packets);
}

#[test]
fn a_smaller_mtu_holds_for_every_session_of_the_path() {
    let mut sim = Sim::new(Seed::from_env_or(1), link("delay=20ms loss=10%"));
    let (client, server) = (sim.host(Config::fast3()), sim.host(Config::fast3()));
    let ends = [1, 2].map(|conv| {
        let pair = (
            sim.connect_conv(client, server, conv),
            sim.connect_conv(server, client, conv),
        );
        sim.transfer(pair.0, pair.1, 100_000);
        pair
    });
    sim.run_for(ms(10));
    sim.change(ends[0].0, Change::Mtu(mtu(200)));
    assert!(sim.run_until_done(secs(60)).is_some());
    for (_, receiver) in ends {
        assert_eq!(sim.received(receiver), 100_000);
    }
}

#[test]
fn a_larger_mtu_is_used_at_once() {
    let config = Config::fast3().mtu(mtu(200));
    let (mut sim, first, second) = pair(&config, "delay=20ms loss=5%");
    sim.transfer(first, second, 20_000);
    sim.run_for(ms(1));
    sim.change(first, Change::Mtu(mtu(1_500)));
    assert!(sim.run_until_done(secs(30)).is_some());
    let before = sim.stats(first).packets_sent;
    sim.transfer(first, second, 147_600);
    assert!(sim.run_until_done(secs(30)).is_some());
    assert!(sim.stats(first).packets_sent - before < 150);
}

#[test]
fn windows_shrink_and_grow_under_way() {
    let (mut sim, first, second) = pair(&Config::fast3(), "delay=20ms loss=5%");
    sim.transfer(first, second, 3 << 20);
    sim.transfer(second, first, 3 << 20);
    for (send, receive) in [
        (4, 4),
        (1, 2_000),
        (2_000, 1),
        (64, 64),
        (65_535, 65_535),
        (9, 2),
    ] {
        sim.run_for(ms(150));
        sim.change(first, Change::Windows(window(send), window(receive)));
    }
    sim.run_for(ms(500));
    sim.change(first, Change::Windows(window(500), window(500)));
    assert!(
        sim.run_until_done(secs(60)).is_some(),
        "{:?}",
        sim.stats(first)
    );
    assert_eq!(sim.received(second), 3 << 20);
    assert_eq!(sim.received(first), 3 << 20);
}

#[test]
fn every_setting_changes_under_way_without_harm() {
    let (mut sim, first, second) = pair(&Config::fast3(), "delay=20ms loss=5%");
    sim.transfer(first, second, 5 << 20);
    let changes = [
        Change::NoDelay(false, ms(40), 0),
        Change::StreamMode(false),
        Change::WriteDelay(true),
        Change::AckNoDelay(true),
        Change::Duplicates(2),
        Change::MaxBandwidth(4_000_000),
        Change::ParityLimit(1),
        Change::NoDelay(true, ms(10), 2),
        Change::StreamMode(true),
        Change::WriteDelay(false),
        Change::AckNoDelay(false),
        Change::Duplicates(0),
        Change::MaxBandwidth(1_000_000_000),
    ];
    for change in changes {
        sim.run_for(ms(50));
        sim.change(first, change);
    }
    assert!(
        sim.run_until_done(secs(60)).is_some(),
        "{:?}",
        sim.stats(first)
    );
    assert_eq!(sim.received(second), 5 << 20);
}

#[test]
fn the_rate_limit_changes_under_way() {
    let config = Config::fast3().max_bandwidth(100_000);
    let (mut sim, first, second) = pair(&config, "delay=5ms");
    sim.transfer(first, second, 1 << 20);
    sim.run_for(secs(2));
    let slow = sim.received(second);
    assert!(
        (150_000..=230_000).contains(&slow),
        "{slow} bytes in 2 s at 100 kB/s"
    );
    sim.change(first, Change::MaxBandwidth(400_000));
    sim.run_for(secs(1));
    let fast = sim.received(second) - slow;
    assert!(
        (350_000..=430_000).contains(&fast),
        "{fast} bytes in 1 s at 400 kB/s"
    );
}

#[test]
fn duplicates_are_sent_right_behind_their_packet() {
    let (mut sim, first, second) = pair(&Config::fast3(), "delay=5ms");
    sim.change(first, Change::Duplicates(2));
    sim.write(first, b"once");
    sim.run_for(secs(1));
    assert_eq!(sim.take(second), b"once");
    assert_eq!(sim.stats(second).segments_repeated, 2);
    assert_eq!(sim.stats(first).resends(), 0);
}
