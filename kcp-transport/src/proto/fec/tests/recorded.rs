//! Packets recorded from kcp-go.

use super::*;
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
