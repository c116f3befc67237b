//! Packets recorded from kcp-go.

use super::*;
use crate::proto::fec::decoder::FecCounters;
use crate::proto::fec::group::Repaired;
use crate::proto::fec::header::{HEADER, Kind};
use serde_json::Value;

fn hex(value: &Value) -> Vec<u8> {
    let digits = value.as_str().unwrap();
    (0..digits.len())
        .step_by(2)
        .map(|i| u8::from_str_radix(&digits[i..i + 2], 16).unwrap())
        .collect()
}

fn number(value: &Value) -> usize {
    value.as_u64().unwrap() as usize
}

fn list(value: &Value) -> &[Value] {
    value.as_array().unwrap()
}

fn shape(case: &Value) -> Fec {
    fec(number(&case["data_shards"]), number(&case["parity_shards"]))
}

#[test]
fn the_code_is_that_of_kcp_go() {
    for matrix in list(&vectors!("fec.json")["parity_matrices"]) {
        let shape = shape(matrix);
        let code = Code::new(shape);
        for (index, row) in list(&matrix["parity_rows"]).iter().enumerate() {
            let ours: Vec<u8> = (0..shape.data() as u8)
                .map(|data| code.column(data)[index])
                .collect();
            assert_eq!(ours, hex(row), "{shape}");
        }
    }
}

#[test]
fn packets_are_those_that_kcp_go_sends() {
    for case in list(&vectors!("fec.json")["encoders"]) {
        let name = &case["name"];
        assert_eq!(number(&case["paws"]), shape(case).wrap() as usize);
        let start = number(&case["start_seqid"]) as u32;
        let mut encoder = Encoder::starting_at(Code::new(shape(case)), start);
        for step in list(&case["steps"]) {
            let now = ms(step["now_ms"].as_u64().unwrap());
            let data = data_packet(&mut encoder, now, &hex(&step["payload"]));
            assert_eq!(data, hex(&step["data_packet"]), "{name}");
            let parity: Vec<_> = list(&step["parity_packets"]).iter().map(hex).collect();
            assert_eq!(parity_packets(&mut encoder), parity, "{name}");
            assert_eq!(
                encoder.next_seqid() as usize,
                number(&step["next_seqid"]),
                "{name}"
            );
        }
    }
}

#[test]
fn datagrams_that_pass_by_the_session_are_told_apart() {
    for case in list(&vectors!("fec.json")["oob"]) {
        let packet = hex(&case["packet"]);
        assert_eq!(Kind::of(&packet), Some(Kind::OutOfBand));
        assert!(packet[HEADER..].ends_with(&hex(&case["payload"])));
    }
}

/// What a decoder has to show for itself after a case.
#[derive(Debug, Default, PartialEq)]
struct Outcome {
    /// Per step the KCP packets that were rebuilt.
    rebuilt: Vec<Vec<Vec<u8>>>,
    /// Per step the number of groups alive.
    groups: Vec<usize>,
    /// Per step the shape in use.
    shapes: Vec<Option<Fec>>,
    counters: FecCounters,
}

fn recorded(case: &Value) -> Outcome {
    let steps = || list(&case["steps"]).iter();
    let counters = &case["counters"];
    let counter = |name: &str| counters[name].as_u64().unwrap();
    Outcome {
        rebuilt: steps()
            .map(|step| list(&step["recovered_payload"]).iter().map(hex).collect())
            .collect(),
        groups: steps().map(|step| number(&step["sets"])).collect(),
        shapes: steps()
            .map(|step| Some(fec(number(&step["params"][0]), number(&step["params"][1]))))
            .collect(),
        counters: FecCounters {
            parity: counter("FECParityShards"),
            complete: counter("FECFullShards"),
            recovered: counter("FECRecovered"),
            errors: counter("FECErrs"),
            groups: counter("FECShardSet"),
            newest: counter("FECShardMin"),
            short: 0,
        },
    }
}

fn ours(case: &Value, mut decoder: Decoder) -> Outcome {
    let mut outcome = Outcome::default();
    for step in list(&case["steps"]) {
        let repairs = decoder.accept(&hex(&step["packet"]), |_| true);
        let packet = |repaired: Repaired<'_>| repaired.packet.to_vec();
        outcome.rebuilt.push(repairs.map(packet).collect());
        outcome.groups.push(decoder.counters().groups as usize);
        outcome.shapes.push(decoder.shape());
    }
    // The kcp-go that was recorded does not count it.
    outcome.counters = FecCounters {
        short: 0,
        ..decoder.counters()
    };
    outcome
}

#[test]
fn losses_are_repaired_as_by_kcp_go_or_more_strictly() {
    for case in list(&vectors!("fec.json")["decoders"]) {
        let name = case["name"].as_str().unwrap();
        let mut told = Some(Code::new(shape(case)));
        let mut expected = recorded(case);
        match name {
            // kcp-go forgets which packets completed a group, and counts one of them again.
            "10-3 duplicates before completion are ignored" => expected.counters.parity = 1,
            // And it rebuilds from leftover parity what has arrived.
            "1-1 data then parity: the set is decoded again and hands the same packet out again"
            | "2-2 all four arrive: set decoded twice" => {
                expected.rebuilt.fill(Vec::new());
                expected.counters.recovered = 0;
            }
            // It opens groups that it drops with the same packet.
            "3-1 set 0 incomplete; set 4 arrives (distance 4, dropped), the late parity starts a fresh set" =>
            {
                expected.counters.parity = 0;
            }
            // Without a shape it begins with 1/1 and leaves that when data and parity were seen once from begin to end,
            // at packet 23. We begin with none and want two periods: packets 0 to 25.
            "lazy 1-1 decoder meets a 10-3 stream: auto-tunes, then recovers packet 30" => {
                told = None;
                expected.shapes[..26].fill(None);
                expected.groups[..26].fill(0);
                expected.groups[26..].fill(1);
                expected.counters.parity = 3;
                expected.counters.complete = 0;
                expected.counters.groups = 1;
            }
            // Here the evidence begins with packet 3, which contradicts 3/1, and ends before two periods are full.
            "3-1 decoder meets a 10-3 stream, nothing lost" => {
                expected.shapes[3..].fill(None);
                expected.groups[3..].fill(0);
                expected.counters = FecCounters {
                    complete: 1,
                    ..FecCounters::default()
                };
            }
            _ => {}
        }
        // kcp-go takes the shape that it is told for proven.
        let decoder = told.map_or_else(|| Decoder::new(None), Decoder::trusting);
        assert_eq!(ours(case, decoder), expected, "{name}");
    }
}
