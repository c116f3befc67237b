use std::time::Duration;

use super::*;

/// Packets of a statistical test: enough that 4 σ is a narrow band, few enough to run at once.
const MANY: u64 = 200_000;

/// One packet that came out: when, and which one it was.
pub(super) type Arrival = (Duration, u64);

fn config(text: &str) -> LinkConfig {
    text.parse().unwrap()
}

fn link(text: &str) -> Link {
    Link::new(config(text), 7)
}

const fn ms(millis: u64) -> Duration {
    Duration::from_millis(millis)
}

pub(super) const fn us(micros: u64) -> Duration {
    Duration::from_micros(micros)
}

/// A packet of `len` bytes, at least 8, that tells its number.
pub(super) fn numbered(number: u64, len: usize) -> Vec<u8> {
    let mut packet = vec![0xa5; len];
    packet[..8].copy_from_slice(&number.to_le_bytes());
    packet
}

fn number_of(packet: &[u8]) -> u64 {
    u64::from_le_bytes(packet[..8].try_into().unwrap())
}

/// Sends packets 0..count of `len` bytes, one every `gap`, and takes each out when it arrives.
fn carry(link: &mut Link, count: u64, len: usize, gap: Duration) -> Vec<Arrival> {
    let mut arrivals = Vec::new();
    let mut packet = numbered(0, len);
    for number in 0..count {
        let now = gap * number as u32;
        receive_until(now, link, &mut arrivals);
        packet[..8].copy_from_slice(&number.to_le_bytes());
        link.send(now, &packet);
    }
    receive_until(Duration::MAX, link, &mut arrivals);
    arrivals
}

/// Takes out everything that is on its way.
pub(super) fn receive_all(link: &mut Link) -> Vec<Arrival> {
    let mut arrivals = Vec::new();
    receive_until(Duration::MAX, link, &mut arrivals);
    arrivals
}

fn receive_until(end: Duration, link: &mut Link, arrivals: &mut Vec<Arrival>) {
    while let Some(now) = link.next_delivery().filter(|next| *next <= end) {
        while let Some(packet) = link.poll(now) {
            arrivals.push((now, number_of(packet)));
        }
    }
}

fn numbers(arrivals: &[Arrival]) -> Vec<u64> {
    arrivals.iter().map(|(_, number)| *number).collect()
}

/// Asserts that `hits` of `trials` is within four standard deviations of `share`.
fn assert_share(hits: u64, trials: u64, share: f64) {
    let expected = trials as f64 * share;
    let sigma = (expected * (1.0 - share)).sqrt();
    assert!(
        (hits as f64 - expected).abs() <= 4.0 * sigma,
        "{hits} of {trials}, wanted {share}"
    );
}

/// Lengths of the runs of missing numbers in 0..count.
fn loss_runs(arrivals: &[Arrival], count: u64) -> Vec<u64> {
    let mut runs = Vec::new();
    let mut next = 0;
    for number in numbers(arrivals).into_iter().chain([count]) {
        if number > next {
            runs.push(number - next);
        }
        next = number + 1;
    }
    runs
}

fn mean(values: &[u64]) -> f64 {
    values.iter().sum::<u64>() as f64 / values.len() as f64
}

#[test]
fn a_perfect_link_delivers_at_once_in_order() {
    let mut link = link("clean");
    for number in 0..100 {
        link.send(ms(number), &numbered(number, 100));
        assert_eq!(link.next_delivery(), Some(ms(number)));
        assert_eq!(link.poll(ms(number)), Some(&mut numbered(number, 100)[..]));
        assert_eq!(link.poll(ms(number)), None);
    }
    assert_eq!(link.next_delivery(), None);
}

#[test]
fn delay_is_kept_to_the_nanosecond() {
    let mut link = link("delay=25ms");
    link.send(ms(10), b"packet");
    assert_eq!(link.next_delivery(), Some(ms(35)));
    assert_eq!(link.poll(ms(35) - Duration::from_nanos(1)), None);
    assert_eq!(link.poll(ms(35)), Some(&mut b"packet".to_vec()[..]));
}

#[test]
fn independent_loss_has_its_rate_and_no_memory() {
    for (text, share) in [("loss=1%", 0.01), ("loss=5%", 0.05), ("loss=30%", 0.3)] {
        let mut link = link(text);
        let runs = loss_runs(&carry(&mut link, MANY, 8, us(1)), MANY);
        assert_share(link.stats().lost_random, MANY, share);
        // Runs of independent losses are geometric: 1 ÷ (1 − share) on average.
        let expected = 1.0 / (1.0 - share);
        let sigma = share.sqrt() / (1.0 - share) / (runs.len() as f64).sqrt();
        assert!(
            (mean(&runs) - expected).abs() < 4.0 * sigma,
            "{text}: {}",
            mean(&runs)
        );
    }
}

#[test]
fn bursts_counted_in_packets_have_their_length_and_share() {
    for (share, length) in [(0.05, 5.0), (0.2, 3.0), (0.01, 20.0)] {
        let mut link = link(&format!("loss={share} burst={length}"));
        let runs = loss_runs(&carry(&mut link, MANY, 8, us(1)), MANY);
        let count = runs.len() as f64;
        let sigma = (length * (length - 1.0) / count).sqrt();
        assert!(
            (mean(&runs) - length).abs() < 4.0 * sigma,
            "{share} {length}: {}",
            mean(&runs)
        );
        // As many runs as the share asks for; their number varies less than a Poisson count.
        let expected = MANY as f64 * share / length;
        assert!(
            (count - expected).abs() < 4.0 * expected.sqrt(),
            "{share} {length}: {count} runs"
        );
        assert_eq!(link.stats().lost_burst, runs.iter().sum::<u64>());
    }
}

#[test]
fn bursts_counted_in_time_do_not_depend_on_how_often_packets_are_sent() {
    for gap in [us(200), ms(1), ms(40)] {
        let mut link = link("loss=10% burst=5ms");
        let runs = loss_runs(&carry(&mut link, MANY, 8, gap), MANY);
        // A burst goes on to the next packet with probability share + (1 − share) e^(−gap/(B(1−share))).
        let memory = (-gap.as_secs_f64() / (0.005 * 0.9)).exp();
        let expected = 1.0 / (0.9 * (1.0 - memory));
        let sigma = (expected * (expected - 1.0) / runs.len() as f64).sqrt();
        assert!(
            (mean(&runs) - expected).abs() < 4.0 * sigma,
            "{gap:?}: {}",
            mean(&runs)
        );
        let expected = MANY as f64 * 0.1 / expected;
        let count = runs.len() as f64;
        assert!(
            (count - expected).abs() < 4.0 * expected.sqrt(),
            "{gap:?}: {count} runs"
        );
    }
}

#[test]
fn every_drop_mask_of_ten_packets_drops_just_its_packets() {
    for bits in 0..1024 {
        let config = LinkConfig::new()
            .delay(ms(1))
            .drop_mask(DropMask::bits(bits));
        let mut link = Link::new(config, 7);
        let expected: Vec<u64> = (0..12).filter(|index| bits >> index & 1 == 0).collect();
        assert_eq!(numbers(&carry(&mut link, 12, 8, us(1))), expected);
        assert_eq!(link.stats().lost_masked, u64::from(bits.count_ones()));
    }
}

#[test]
fn a_drop_mask_counts_from_the_packet_after_it_was_set() {
    let mut link = link("delay=5ms");
    link.send(ms(0), &numbered(0, 8));
    link.set_config(ms(1), config("delay=5ms mask=0,2"));
    for number in 1..5 {
        link.send(ms(1), &numbered(number, 8));
    }
    assert_eq!(numbers(&receive_all(&mut link)), [0, 2, 4]);
}

#[test]
fn order_preserving_jitter_spreads_the_delay_and_keeps_the_order() {
    for shape in ["uniform", "normal"] {
        let mut link = link(&format!("delay=25ms jitter=5ms jitter-shape={shape}"));
        let arrivals = carry(&mut link, 20_000, 8, us(100));
        assert_eq!(numbers(&arrivals), (0..20_000).collect::<Vec<_>>());
        assert_eq!(link.stats().reordered, 0);
    }
}

#[test]
fn the_delay_is_distributed_as_its_shape_says() {
    for (shape, deviation, within) in [("uniform", 5.0 / 3_f64.sqrt(), 5.0), ("normal", 5.0, 30.0)]
    {
        let mut link = link(&format!("delay=35ms jitter=5ms jitter-shape={shape}"));
        // Far enough apart that no packet waits for the one before.
        let offsets: Vec<f64> = carry(&mut link, 20_000, 8, ms(70))
            .iter()
            .map(|(at, number)| (at.as_secs_f64() - 0.07 * *number as f64) * 1e3 - 35.0)
            .collect();
        let count = offsets.len() as f64;
        let mean = offsets.iter().sum::<f64>() / count;
        let variance = offsets.iter().map(|offset| offset * offset).sum::<f64>() / count;
        assert!(
            mean.abs() < 4.0 * deviation / count.sqrt(),
            "{shape}: mean {mean}"
        );
        assert!(
            (variance.sqrt() / deviation - 1.0).abs() < 0.02,
            "{shape}: {}",
            variance.sqrt()
        );
        assert!(
            offsets.iter().all(|offset| offset.abs() <= within + 1e-6),
            "{shape}"
        );
    }
}

#[test]
fn reordering_jitter_lets_fast_packets_overtake() {
    let mut link = link("delay=25ms jitter=5ms jitter-order=mix");
    let arrivals = carry(&mut link, 1_000, 8, us(100));
    assert_eq!(arrivals.len(), 1_000);
    assert!(arrivals.is_sorted_by_key(|(at, _)| *at));
    assert!(link.stats().reordered > 500, "{}", link.stats());
}

#[test]
fn held_back_packets_are_overtaken_and_no_others() {
    let mut link = link("delay=25ms reorder=5% reorder-by=3ms");
    let arrivals = carry(&mut link, MANY, 8, ms(1));
    let late = arrivals
        .iter()
        .filter(|(at, number)| *at == ms(*number + 28))
        .count() as u64;
    let on_time = arrivals
        .iter()
        .filter(|(at, number)| *at == ms(*number + 25))
        .count() as u64;
    assert_eq!(late + on_time, MANY);
    assert_share(late, MANY, 0.05);
    // Held back but not overtaken: the next three were held back as well.
    assert!(link.stats().reordered <= late && link.stats().reordered + late / 100 >= late);
}

#[test]
fn duplicates_arrive_twice_and_are_counted() {
    let mut link = link("delay=1ms duplicate=2%");
    let arrivals = carry(&mut link, MANY, 8, us(10));
    assert_share(link.stats().duplicated, MANY, 0.02);
    assert_eq!(arrivals.len() as u64, MANY + link.stats().duplicated);
    let repeats = arrivals
        .windows(2)
        .filter(|pair| pair[0].1 == pair[1].1)
        .count() as u64;
    assert_eq!(repeats, link.stats().duplicated);
}

#[test]
fn corruption_changes_as_much_as_it_says() {
    for (damage, most_bits, bytes) in [("bit", 1, 1), ("4", 32, 4)] {
        let mut link = link(&format!("corrupt=10% damage={damage}"));
        let original = [0x5a; 100];
        let mut damaged = 0;
        for _ in 0..20_000 {
            link.send(ms(0), &original);
            let packet = link.poll(ms(0)).unwrap();
            let changed = packet.iter().filter(|byte| **byte != 0x5a).count();
            let bits: u32 = packet.iter().map(|byte| (byte ^ 0x5a).count_ones()).sum();
            assert!(changed == 0 || changed == bytes);
            assert!(bits <= most_bits);
            damaged += u64::from(changed > 0);
        }
        assert_share(damaged, 20_000, 0.1);
        assert_eq!(link.stats().corrupted, damaged);
    }
}

#[test]
fn a_rate_spaces_packets_by_their_length() {
    let mut link = link("rate=8mbit queue=1MB delay=10ms");
    for number in 0..10 {
        link.send(ms(0), &numbered(number, 1000));
    }
    let expected: Vec<Arrival> = (0..10).map(|number| (ms(11 + number), number)).collect();
    assert_eq!(receive_all(&mut link), expected);
    assert_eq!(link.stats().queue_delay_max, ms(9));
    assert_eq!(link.stats().queue_delay_mean(), us(4_500));
}

#[test]
fn a_packet_that_does_not_fit_the_queue_is_dropped() {
    // One packet is being transmitted, two wait.
    let mut link = link("rate=8mbit queue=2kB");
    for number in 0..5 {
        link.send(ms(0), &numbered(number, 1000));
    }
    assert_eq!(link.stats().dropped_queue, 2);
    // At 1 ms the first has left and the second is being transmitted: room for one.
    link.send(ms(1), &numbered(5, 1000));
    link.send(ms(1), &numbered(6, 1000));
    assert_eq!(link.stats().dropped_queue, 3);
    assert_eq!(
        receive_all(&mut link),
        [(ms(1), 0), (ms(2), 1), (ms(3), 2), (ms(4), 5)]
    );
}

#[test]
fn a_saturated_link_delivers_rate_times_one_minus_loss() {
    let mut link = link("rate=12mbit queue=30kB loss=10%");
    // Twice the rate, for ten seconds.
    let arrivals = carry(&mut link, 20_000, 1_500, us(500));
    let stats = *link.stats();
    assert_eq!(stats.transmitted, 10_020);
    assert_share(
        stats.transmitted - arrivals.len() as u64,
        stats.transmitted,
        0.1,
    );
    assert_eq!(stats.dropped_queue, 20_000 - stats.transmitted);
    assert_eq!(stats.queue_delay_max, ms(20));
}

#[test]
fn packets_above_the_mtu_are_dropped() {
    let mut link = link("mtu=1200");
    link.send(ms(0), &[1; 1200]);
    link.send(ms(0), &[2; 1201]);
    assert_eq!(link.poll(ms(0)), Some(&mut [1; 1200][..]));
    assert_eq!(link.poll(ms(0)), None);
    assert_eq!(link.stats().dropped_mtu, 1);
}

#[test]
fn a_blackout_loses_what_enters_it_and_nothing_else() {
    let mut link = link("delay=50ms");
    link.send(ms(0), &numbered(0, 8));
    link.set_blackout(ms(10), true);
    link.send(ms(10), &numbered(1, 8));
    link.set_blackout(ms(2_000), false);
    link.send(ms(2_000), &numbered(2, 8));
    assert_eq!(receive_all(&mut link), [(ms(50), 0), (ms(2_050), 2)]);
    assert_eq!(link.stats().lost_blackout, 1);
}

#[test]
fn a_smaller_rate_slows_down_the_packets_in_the_queue() {
    let mut link = link("rate=8mbit queue=1MB");
    for number in 0..4 {
        link.send(ms(0), &numbered(number, 1000));
    }
    // Packet 1 is half transmitted; its other half takes four times as long.
    link.set_config(us(1_500), config("rate=2mbit queue=1MB"));
    assert_eq!(
        receive_all(&mut link),
        [(ms(1), 0), (us(3_500), 1), (us(7_500), 2), (us(11_500), 3)]
    );
}

#[test]
fn lifting_the_rate_empties_the_queue() {
    let mut link = link("rate=8kbit queue=1MB");
    for number in 0..4 {
        link.send(ms(0), &numbered(number, 1000));
    }
    link.set_config(ms(5), config("delay=1ms"));
    assert_eq!(
        receive_all(&mut link),
        [(ms(6), 0), (ms(6), 1), (ms(6), 2), (ms(6), 3)]
    );
}

#[test]
fn a_shorter_delay_does_not_reorder_what_is_in_flight() {
    let mut link = link("delay=50ms");
    link.send(ms(0), &numbered(0, 8));
    link.set_config(ms(10), config("delay=5ms"));
    link.send(ms(10), &numbered(1, 8));
    link.send(ms(60), &numbered(2, 8));
    assert_eq!(
        receive_all(&mut link),
        [(ms(50), 0), (ms(50), 1), (ms(65), 2)]
    );
}

#[test]
fn every_copy_comes_out_with_the_tag_of_its_packet() {
    let mut link = link("delay=5ms jitter=5ms jitter-order=mix duplicate=50% rate=100mbit");
    for number in 0..40 {
        link.send_tagged(us(number), 1_000 + number, &numbered(number, 8));
    }
    let mut seen = 0;
    while let Some((tag, packet)) = link.poll_tagged(ms(100)) {
        assert_eq!(tag, 1_000 + number_of(packet));
        seen += 1;
    }
    assert_eq!(seen, 40 + link.stats().duplicated);
}

#[test]
fn a_clock_that_steps_back_does_no_harm() {
    let mut link = link("delay=5ms");
    link.send(ms(10), &numbered(0, 8));
    link.send(ms(3), &numbered(1, 8));
    assert_eq!(link.poll(ms(2)), None);
    assert_eq!(receive_all(&mut link), [(ms(15), 0), (ms(15), 1)]);
}

#[test]
fn switching_other_impairments_on_does_not_change_which_packets_are_lost() {
    let lost = |text: &str| {
        let mut link = link(text);
        let mut arrived = numbers(&carry(&mut link, 1_000, 8, ms(1)));
        arrived.sort_unstable();
        arrived.dedup();
        arrived
    };
    let plain = lost("loss=20%");
    assert_eq!(
        plain,
        lost("loss=20% delay=25ms jitter=9ms reorder=5% duplicate=9% corrupt=0%")
    );
    assert_ne!(plain.len(), 1_000);
}

#[test]
fn steady_traffic_uses_the_same_buffers_again_and_again() {
    let mut link = link("delay=10ms duplicate=10% loss=10%");
    let mut packet = numbered(0, 1_400);
    let mut made = 0;
    for number in 0..100_000 {
        let now = us(100) * number;
        link.send(now, &packet);
        while let Some(arrived) = link.poll(now) {
            packet[..8].copy_from_slice(&arrived[..8]);
        }
        if number == 1_000 {
            made = link.buffers.made();
        }
    }
    // Only the luck of the dice decides how many are in flight at once.
    assert!(
        link.buffers.made() < made + 20,
        "{made} then {}",
        link.buffers.made()
    );
    assert!(made < 150);
}
