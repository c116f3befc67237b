//! Flow control: windows that close, reopen, and are as small or as large as they can be.

use kcp_transport::{Cipher, Config, Mtu, Window};
use sim::{End, Seed, Sim};

use crate::{link, ms, secs};

fn window(segments: usize) -> Window {
    Window::new(segments).expect("in range")
}

fn pair(config: &Config, text: &str) -> (Sim, End, End) {
    let mut sim = Sim::new(Seed::from_env_or(1), link(text));
    let (first, second) = sim.pair(config.clone(), config.clone());
    (sim, first, second)
}

#[test]
fn a_reader_that_never_reads_stops_the_writer_and_costs_bounded_memory() {
    let config = Config::fast3().receive_window(window(64));
    let (mut sim, writer, reader) = pair(&config, "delay=10ms loss=5%");
    sim.pause(reader);
    sim.transfer(writer, reader, 10 << 20);
    sim.run_for(secs(50));
    let (sent, got) = (sim.stats(writer), sim.stats(reader));
    assert!(got.unread <= 64 * 1_400, "{got:?}");
    assert!(got.out_of_order <= 64, "{got:?}");
    assert!(sent.unsent <= 256 * 1_024 + 16 * 1_024, "{sent:?}");
    assert!(sent.in_flight <= 64, "{sent:?}");
    assert_eq!(sim.ended(writer), None);
    // A stalled reader is no lossy path: next to nothing is sent meanwhile.
    let before = sim.stats(writer).packets_sent;
    sim.run_for(secs(100));
    let packets = sim.stats(writer).packets_sent - before;
    assert!(packets < 50, "{packets} packets while nobody reads");
    assert_eq!(sim.ended(writer), None);

    sim.resume(reader);
    assert!(
        sim.run_until_done(secs(60)).is_some(),
        "{:?}",
        sim.stats(writer)
    );
    assert_eq!(sim.received(reader), 10 << 20);
}

#[test]
fn a_reopened_window_is_told_at_once() {
    for segments in [1, 2, 3, 4, 7, 32, 1_000] {
        let config = Config::fast3().receive_window(window(segments));
        let (mut sim, writer, reader) = pair(&config, "delay=10ms");
        // Once the writer knows the window it never sends beyond it.
        sim.write(writer, b"hello");
        sim.run_for(secs(1));
        sim.take(reader);
        sim.pause(reader);
        sim.transfer(writer, reader, 4 * segments as u64 * 1_400);
        sim.run_for(ms(2_900));
        assert_eq!(sim.stats(writer).remote_window, 0);
        let before = sim.received(reader);
        sim.resume(reader);
        let resumed = sim.now();
        let moved = sim.run_until(secs(10), |sim| {
            sim.stats(reader).bytes_received > before + segments as u64 * 1_400
        });
        assert!(moved, "{segments}: {:?}", sim.stats(writer));
        let took = sim.now().since(resumed);
        assert!(
            took <= ms(25),
            "a window of {segments} reopened after {took:?}"
        );
    }
}

#[test]
fn a_lost_window_update_is_asked_for_within_two_seconds() {
    let config = Config::fast3().receive_window(window(32));
    let (mut sim, writer, reader) = pair(&config, "delay=10ms");
    let (from, to) = (sim.host_of(reader), sim.host_of(writer));
    sim.pause(reader);
    sim.transfer(writer, reader, 1 << 20);
    sim.run_for(secs(1));
    sim.set_link(from, to, link("delay=10ms loss=100%"));
    sim.resume(reader);
    sim.run_for(ms(100));
    sim.set_link(from, to, link("delay=10ms"));
    let reopened = sim.run_until(secs(2), |sim| sim.stats(writer).remote_window > 0);
    assert!(reopened);
    assert!(sim.run_until_done(secs(5)).is_some());
}

#[test]
fn a_slow_reader_gets_everything_without_needless_resends() {
    let config = Config::fast3().receive_window(window(32));
    let (mut sim, writer, reader) = pair(&config, "delay=10ms");
    sim.pause(reader);
    sim.transfer(writer, reader, 1 << 20);
    let mut turns = 0;
    while sim.received(reader) < 1 << 20 {
        turns += 1;
        assert!(turns < 10_000, "{:?}", sim.stats(writer));
        sim.read_some(reader, 20_000);
        sim.run_for(ms(100));
    }
    let stats = sim.stats(writer);
    assert!(stats.resends() < 20, "{stats:?}");
}

#[test]
fn the_smallest_and_the_largest_windows_carry_data_both_ways() {
    for (send, receive) in [(1, 1), (1, 65_535), (65_535, 1), (2, 3), (65_535, 65_535)] {
        let config = Config::fast3()
            .send_window(window(send))
            .receive_window(window(receive));
        let (mut sim, first, second) = pair(&config, "delay=5ms loss=10%");
        let bytes = 100_000;
        sim.transfer(first, second, bytes);
        sim.transfer(second, first, bytes);
        let took = sim.run_until_done(secs(60));
        assert!(took.is_some(), "{send}/{receive}: {:?}", sim.stats(first));
        assert_eq!((sim.received(first), sim.received(second)), (bytes, bytes));
    }
}

#[test]
fn the_smallest_and_the_largest_packets_carry_data_both_ways() {
    for (first_mtu, second_mtu) in [(64, 64), (64, 1_500), (1_500, 64), (1_500, 1_500)] {
        let config = |mtu| {
            Config::fast3()
                .cipher(Cipher::aes_128(&[1; 16]))
                .mtu(Mtu::new(mtu).expect("in range"))
        };
        let mut sim = Sim::new(Seed::from_env_or(1), link("delay=5ms loss=5%"));
        let (first, second) = sim.pair(config(first_mtu), config(second_mtu));
        sim.transfer(first, second, 20_000);
        sim.transfer(second, first, 20_000);
        let took = sim.run_until_done(secs(60));
        assert!(
            took.is_some(),
            "{first_mtu}/{second_mtu}: {:?}",
            sim.stats(first)
        );
        let (from, to) = (sim.host_of(first), sim.host_of(second));
        let sent = sim.link_stats(from, to);
        assert!(sent.sent_bytes <= sent.sent * first_mtu as u64);
    }
}
