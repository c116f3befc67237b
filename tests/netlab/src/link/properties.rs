use std::time::Duration;

use proptest::collection::vec;
use proptest::option;
use proptest::prelude::*;

use super::tests::{numbered, receive_all, us};
use super::*;

proptest::proptest! {
    #[test]
    fn one_seed_gives_one_trace_however_often_the_link_is_polled(
        config in any_config(),
        seed in 0..u64::MAX,
        gaps in vec(0..3_000_u64, 1..200),
        polls in vec(0..5_u64, 200),
    ) {
        let mut eager = Link::new(config.clone(), seed);
        let mut lazy = Link::new(config, seed);
        let mut now = 0;
        let mut seen = Vec::new();
        for (number, (gap, polls)) in gaps.iter().zip(&polls).enumerate() {
            let packet = numbered(number as u64, 8 + (gap % 1_400) as usize);
            for step in 0..*polls {
                let between = us(now + gap * step / polls);
                while let Some(packet) = eager.poll(between) {
                    seen.push(packet.to_vec());
                }
            }
            now += gap;
            eager.send(us(now), &packet);
            lazy.send(us(now), &packet);
        }
        let drain = |link: &mut Link, seen: &mut Vec<Vec<u8>>| {
            while let Some(now) = link.next_delivery() {
                while let Some(packet) = link.poll(now) {
                    seen.push(packet.to_vec());
                }
            }
        };
        drain(&mut eager, &mut seen);
        let mut seen_late = Vec::new();
        drain(&mut lazy, &mut seen_late);
        prop_assert_eq!(seen, seen_late);
        prop_assert_eq!(eager.stats(), lazy.stats());
    }

    #[test]
    fn every_packet_is_accounted_for(
        config in any_config(),
        then in any_config(),
        count in 1..500_u64,
        gap in 0..2_000_u64,
    ) {
        let mut link = Link::new(config, count);
        for number in 0..count {
            if number == count / 2 {
                link.set_config(us(gap * number), then.clone());
            }
            link.send(us(gap * number), &numbered(number, 1_000));
            let stats = *link.stats();
            let on_the_way = stats.sent + stats.duplicated - stats.delivered - stats.lost();
            prop_assert_eq!(on_the_way, link.in_flight() as u64);
            link.poll(us(gap * number));
        }
        receive_all(&mut link);
        let stats = link.stats();
        prop_assert_eq!(stats.sent, count);
        prop_assert_eq!(stats.sent + stats.duplicated, stats.delivered + stats.lost());
        prop_assert_eq!(link.in_flight(), 0);
    }

    #[test]
    fn next_delivery_is_never_later_than_a_delivery(
        config in any_config(),
        gaps in vec(0..3_000_u64, 1..200),
    ) {
        let mut link = Link::new(config, 7);
        let mut now = 0;
        for gap in gaps {
            now += gap;
            link.send(us(now), &numbered(0, 500));
            while link.poll(us(now)).is_some() {}
            if let Some(next) = link.next_delivery() {
                prop_assert!(next > us(now));
                prop_assert_eq!(link.poll(next - Duration::from_nanos(1)), None);
            }
            now = now.max(link.now.div_ceil(1_000));
        }
    }
}

fn any_config() -> impl Strategy<Value = LinkConfig> {
    let share = (0..300_u64).prop_map(|permille| Probability::new(permille as f64 / 1e3).unwrap());
    let micros = |most: u64| (0..most).prop_map(us);
    let loss = prop_oneof![
        Just(Loss::None),
        share.clone().prop_map(Loss::Independent),
        (share.clone(), 1_u32..20).prop_map(|(share, mean)| {
            Loss::bursts(share, BurstLength::Packets(f64::from(mean))).unwrap()
        }),
        (share.clone(), 1..20_000_u64).prop_map(|(share, mean)| {
            Loss::bursts(share, BurstLength::Time(us(mean))).unwrap()
        }),
    ];
    let jitter =
        (micros(20_000), any::<bool>(), any::<bool>()).prop_map(|(spread, normal, mix)| {
            let jitter = if normal {
                Jitter::normal(spread)
            } else {
                Jitter::uniform(spread)
            };
            if mix { jitter.reordering() } else { jitter }
        });
    let rate = option::of((100..100_000_u64, 0..100_000_u64));
    let rare = (share.clone(), share.clone(), share, micros(20_000));
    (loss, micros(50_000), jitter, rate, rare).prop_map(
        |(loss, delay, jitter, rate, (reorder, duplicate, corrupt, by))| {
            let config = LinkConfig::new()
                .loss(loss)
                .delay(delay)
                .jitter(jitter)
                .reorder(reorder, by)
                .duplicate(duplicate)
                .corrupt(corrupt, Damage::Bit);
            match rate {
                Some((kbit, queue)) => config
                    .rate(Rate::bits_per_second(kbit * 1_000).unwrap())
                    .queue(queue),
                None => config,
            }
        },
    )
}
