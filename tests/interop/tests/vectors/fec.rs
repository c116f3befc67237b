//! The code, what encoders make, what decoders rebuild, out-of-band packets, and the tuner.

use interop::reference::{
    Config, Decoder, Encoder, FecCounters, FecParams, MAX_FEC_GAP_MS, Session, Tuner,
};
use serde::Deserialize;

use super::{Hex, hex, load};

#[derive(Deserialize)]
struct Fec {
    max_latency_ms: u64,
    parity_matrices: Vec<Matrix>,
    encoders: Vec<Encoding>,
    decoders: Vec<Decoding>,
    oob: Vec<Oob>,
}

#[derive(Deserialize)]
struct Shape {
    data_shards: usize,
    parity_shards: usize,
}

impl Shape {
    fn params(&self) -> FecParams {
        FecParams::new(self.data_shards, self.parity_shards).expect("recorded shapes are possible")
    }
}

#[derive(Deserialize)]
struct Matrix {
    #[serde(flatten)]
    shape: Shape,
    parity_rows: Vec<Hex>,
    first_rows_only: bool,
}

/// Data packets whose payload is 1 in one column and 0 elsewhere show the matrix in their parity.
fn parity_rows(params: FecParams) -> Vec<Vec<u8>> {
    const HEADERS: usize = 8;
    let mut encoder = Encoder::new(params);
    encoder.encode(0, &[]);
    for _ in 1..params.data {
        encoder.encode(0, &[]);
    }
    let mut parity = Vec::new();
    for i in 0..params.data {
        let mut unit = vec![0; params.data];
        unit[i] = 1;
        parity = encoder.encode(0, &unit).1;
    }
    parity
        .iter()
        .map(|packet| packet[HEADERS..].to_vec())
        .collect()
}

#[test]
fn parity_matrices_are_those_recorded() {
    for matrix in load::<Fec>("fec").parity_matrices {
        let mut rows = parity_rows(matrix.shape.params());
        if matrix.first_rows_only {
            rows.truncate(matrix.parity_rows.len());
        }
        assert_eq!(hex(rows), matrix.parity_rows);
    }
}

#[derive(Deserialize)]
struct Encoding {
    name: String,
    #[serde(flatten)]
    shape: Shape,
    start_seqid: u32,
    paws: u32,
    steps: Vec<EncodingStep>,
}

#[derive(Deserialize)]
struct EncodingStep {
    now_ms: u64,
    payload: Hex,
    data_packet: Hex,
    parity_packets: Vec<Hex>,
    next_seqid: u32,
}

#[test]
fn encoders_make_the_recorded_packets() {
    let vectors: Fec = load("fec");
    assert_eq!(vectors.max_latency_ms, MAX_FEC_GAP_MS);
    assert_eq!(vectors.encoders.len(), 11);
    for case in vectors.encoders {
        assert_eq!(case.shape.params().paws(), case.paws, "{}", case.name);
        let mut encoder = Encoder::starting_at(case.shape.params(), case.start_seqid);
        for (i, step) in case.steps.into_iter().enumerate() {
            let context = format!("{}, step {i}", case.name);
            let (data, parity) = encoder.encode(step.now_ms, &step.payload.0);
            assert_eq!(Hex(data), step.data_packet, "{context}");
            assert_eq!(hex(parity), step.parity_packets, "{context}");
            assert_eq!(encoder.next_seqid(), step.next_seqid, "{context}");
        }
    }
}

#[derive(Deserialize)]
struct Decoding {
    name: String,
    #[serde(flatten)]
    shape: Shape,
    steps: Vec<DecodingStep>,
    counters: Counters,
}

#[derive(Deserialize)]
struct DecodingStep {
    packet: Hex,
    recovered_raw: Vec<Hex>,
    recovered_payload: Vec<Hex>,
    sets: usize,
    params: (usize, usize),
}

#[derive(Deserialize)]
struct Counters {
    #[serde(rename = "FECFullShards")]
    full_shards: u64,
    #[serde(rename = "FECParityShards")]
    parity_shards: u64,
    #[serde(rename = "FECErrs")]
    errs: u64,
    #[serde(rename = "FECRecovered")]
    recovered: u64,
    #[serde(rename = "FECShardSet")]
    shard_set: u64,
    #[serde(rename = "FECShardMin")]
    shard_min: u64,
}

#[test]
fn decoders_rebuild_the_recorded_shards_and_count_as_recorded() {
    let vectors: Fec = load("fec");
    assert_eq!(vectors.decoders.len(), 19);
    for case in vectors.decoders {
        let mut decoder = Decoder::new(case.shape.params());
        for (i, step) in case.steps.into_iter().enumerate() {
            let context = format!("{}, step {i}", case.name);
            let shards = decoder.decode(&step.packet.0);
            let payloads = shards.iter().filter_map(|shard| Decoder::payload(shard));
            assert_eq!(
                hex(payloads.map(<[u8]>::to_vec)),
                step.recovered_payload,
                "{context}"
            );
            assert_eq!(hex(shards), step.recovered_raw, "{context}");
            assert_eq!(decoder.sets(), step.sets, "{context}");
            let FecParams { data, parity } = decoder.params();
            assert_eq!((data, parity), step.params, "{context}");
        }
        let expected = FecCounters {
            full_shards: case.counters.full_shards,
            parity_shards: case.counters.parity_shards,
            errs: case.counters.errs,
            recovered: case.counters.recovered,
            shard_set: case.counters.shard_set,
            shard_min: case.counters.shard_min,
        };
        assert_eq!(decoder.counters, expected, "{}", case.name);
    }
}

#[derive(Deserialize)]
struct Oob {
    conv: u32,
    payload: Hex,
    packet: Hex,
}

#[test]
fn out_of_band_packets_are_those_recorded_and_are_read_back() {
    let vectors: Fec = load("fec");
    assert_eq!(vectors.oob.len(), 3);
    for case in vectors.oob {
        let config = Config {
            conv: case.conv,
            fec: FecParams::new(10, 3),
            receive_oob: true,
            ..Config::default()
        };
        let mut sender = Session::new(0, config);
        sender.send_oob(&case.payload.0).unwrap();
        let packet = sender.poll_transmit().expect("one packet");
        assert_eq!(Hex(packet.clone()), case.packet);
        let mut receiver = Session::new(0, config);
        receiver.handle_packet(0, &packet);
        assert_eq!(receiver.read_oob().map(Hex), Some(case.payload));
    }
}

#[derive(Deserialize)]
struct Autotune {
    cases: Vec<Tuning>,
}

#[derive(Deserialize)]
struct Tuning {
    name: String,
    samples: Vec<(u8, u32)>,
    results: Vec<Periods>,
}

#[derive(Deserialize)]
struct Periods {
    after: usize,
    data: i64,
    parity: i64,
}

#[test]
fn the_tuner_finds_the_recorded_periods() {
    let vectors: Autotune = load("autotune");
    assert_eq!(vectors.cases.len(), 8);
    for case in vectors.cases {
        let mut tuner = Tuner::new();
        let mut results = case.results.iter().peekable();
        for (i, &(bit, seqid)) in case.samples.iter().enumerate() {
            tuner.sample(bit == 1, seqid);
            if let Some(expected) = results.next_if(|result| result.after == i + 1) {
                let period = |data| tuner.period(data).map_or(-1, |n| i64::try_from(n).unwrap());
                let periods = (period(true), period(false));
                assert_eq!(
                    periods,
                    (expected.data, expected.parity),
                    "{}, {}",
                    case.name,
                    i + 1
                );
            }
        }
        assert!(
            results.peek().is_none(),
            "{}: every result was compared",
            case.name
        );
    }
}
