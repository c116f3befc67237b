//! What arrives out of any pattern of loss, reordering and duplication is repaired, and nothing but what was sent.

use super::*;
use proptest::collection::vec;
use proptest::prelude::*;
use std::collections::BTreeMap;

/// Payloads of `groups` groups, of unequal length.
fn payloads(shape: Fec, groups: usize) -> impl Strategy<Value = Vec<Vec<u8>>> {
    vec(vec(any::<u8>(), 0..200), shape.data() * groups)
}

fn shapes() -> impl Strategy<Value = Fec> {
    (1..13_usize, 1..6_usize).prop_map(|(data, parity)| fec(data, parity))
}

/// What a lossy path makes of a packet: whether it is lost or doubled, and how many others may overtake it.
#[derive(Clone, Debug)]
struct Fate {
    copies: usize,
    delay: usize,
}

fn fates(packets: usize) -> impl Strategy<Value = Vec<Fate>> {
    let copies = prop_oneof![1 => Just(0), 6 => Just(1), 1 => Just(2)];
    vec(
        (copies, 0..8_usize).prop_map(|(copies, delay)| Fate { copies, delay }),
        packets,
    )
}

/// Packets in the order in which they arrive.
fn deliver<'a>(packets: &'a [Vec<u8>], fates: &[Fate]) -> Vec<&'a [u8]> {
    let mut arrivals: Vec<_> = packets
        .iter()
        .zip(fates)
        .enumerate()
        .flat_map(|(at, (packet, fate))| {
            (0..fate.copies).map(move |copy| (at + fate.delay * (copy + 1), packet.as_slice()))
        })
        .collect();
    arrivals.sort_by_key(|&(at, _)| at);
    arrivals.into_iter().map(|(_, packet)| packet).collect()
}

proptest! {
    /// Packets of a group arrive in any order; at most as many are lost as there is parity.
    #[test]
    fn a_group_survives_as_many_losses_as_it_has_parity(
        (shape, payloads, order) in shapes().prop_flat_map(|shape| {
            let packets: Vec<usize> = (0..shape.packets() as usize).collect();
            (Just(shape), payloads(shape, 1), Just(packets).prop_shuffle())
        }),
    ) {
        let code = Code::new(shape);
        let mut encoder = Encoder::new(code.clone());
        let mut decoder = Decoder::trusting(code);
        encoder.fold(Time::ZERO, &mut [0; 40]); // the very first packet of a session gets no parity at 1/1
        while encoder.missing_in_group() > 0 {
            encoder.fold(Time::ZERO, &mut [0; 40]);
        }
        let packets = send(&mut encoder, payloads.iter().map(Vec::as_slice));
        let mut known = vec![None; shape.data()];
        for &position in order.iter().take(shape.data()) {
            let packet = &packets[position];
            if position < shape.data() {
                known[position] = Some(packet[header::HEADER..].to_vec());
            }
            for repaired in decoder.accept(packet, |_| true) {
                let position = shape.position(repaired.seqid);
                prop_assert_eq!(known[position].replace(repaired.packet.to_vec()), None);
            }
        }
        let known: Vec<_> = known.into_iter().flatten().collect();
        prop_assert_eq!(known, payloads);
        // The packets that were not needed agree with what was rebuilt.
        for &position in order.iter().skip(shape.data()) {
            prop_assert_eq!(decoder.accept(&packets[position], |_| true).count(), 0);
        }
        prop_assert_eq!(decoder.counters().errors, 0);
    }

    /// The numbering wraps on the way.
    #[test]
    fn whatever_the_path_does_what_is_rebuilt_was_sent(
        (shape, payloads, fates, groups_before_wrap) in shapes().prop_flat_map(|shape| {
            let groups = 12;
            let packets = groups * shape.packets() as usize;
            (Just(shape), payloads(shape, groups), fates(packets), 0..13_u32)
        }),
    ) {
        let code = Code::new(shape);
        let start = match groups_before_wrap {
            0 => 0,
            groups => shape.wrap() - groups * shape.packets(),
        };
        let mut encoder = Encoder::starting_at(code.clone(), start);
        let packets = send(&mut encoder, payloads.iter().map(Vec::as_slice));
        let sent: BTreeMap<u32, &[u8]> = packets
            .iter()
            .map(|packet| (seqid(packet), &packet[header::HEADER..]))
            .collect();

        let mut decoder = Decoder::new(Some(code));
        for packet in deliver(&packets, &fates) {
            for repaired in decoder.accept(packet, |_| true) {
                prop_assert!(shape.is_data(repaired.seqid));
                prop_assert_eq!(sent.get(&repaired.seqid), Some(&repaired.packet));
            }
        }
        prop_assert_eq!(decoder.counters().errors, 0);
        prop_assert_eq!(decoder.shape(), Some(shape));
    }

    #[test]
    fn arbitrary_packets_do_no_harm(
        told in proptest::option::of(shapes()),
        packets in vec((0..200_u32, prop_oneof![Just(0xf1), Just(0xf2), any::<u8>()], vec(any::<u8>(), 0..60), any::<u32>()), 0..400),
    ) {
        let mut decoder = Decoder::new(told.map(Code::new));
        for (near, kind, shard, far) in packets {
            let seqid = if far % 16 == 0 { far } else { near };
            let packet = [&seqid.to_le_bytes()[..], &[kind, 0], &shard].concat();
            let repairs = decoder.accept(&packet, |packet| packet.len() % 3 == 0);
            prop_assert!(repairs.map(|repaired| repaired.packet.len()).all(|len| len % 3 == 0));
            prop_assert!(decoder.counters().groups <= 4);
            prop_assert!(decoder.buffers() <= 4 * 12);
        }
    }

    #[test]
    fn arbitrary_bytes_do_no_harm(packets in vec(vec(any::<u8>(), 0..40), 0..50)) {
        let mut decoder = Decoder::new(Some(Code::new(fec(2, 1))));
        for packet in packets {
            prop_assert_eq!(decoder.accept(&packet, |_| true).count(), 0);
        }
    }
}
