//! Cost of forward error correction with KCP packets of 1,400 bytes, per group.
//!
//! `cargo bench -p kcp-transport --features internals --bench fec`

use divan::counter::{BytesCount, ItemsCount};
use divan::{AllocProfiler, Bencher};
use kcp_transport::Fec;
use kcp_transport::internals::fec::{Instructions, Receiver, Sender, make_code};

#[global_allocator]
static ALLOCATOR: AllocProfiler = AllocProfiler::system();

const PACKET: usize = 1_400;

const SHAPES: [(usize, usize); 4] = [(3, 1), (10, 1), (10, 3), (20, 10)];

/// Different groups that a decoder is given in turn.
const GROUPS: usize = 8;

fn main() {
    divan::main();
}

fn shape((data, parity): (usize, usize)) -> Fec {
    Fec::new(data, parity).expect("a valid shape")
}

/// Items are data packets.
#[divan::bench(args = SHAPES)]
fn encode(bencher: Bencher<'_, '_>, counts: (usize, usize)) {
    encode_packets_of(PACKET, bencher, counts);
}

/// As short as a lone acknowledgement.
#[divan::bench(args = SHAPES)]
fn encode_short(bencher: Bencher<'_, '_>, counts: (usize, usize)) {
    encode_packets_of(24, bencher, counts);
}

fn encode_packets_of(len: usize, bencher: Bencher<'_, '_>, counts: (usize, usize)) {
    let mut sender = Sender::new(shape(counts), len);
    let mut group = || sender.group(|packet| _ = divan::black_box(packet));
    group(); // From then on nothing is allocated.
    bencher
        .counter(ItemsCount::new(counts.0))
        .bench_local(group);
}

/// Groups of 10/3 of which the first packets are lost. Items are packets that arrive.
#[divan::bench(args = [0, 1, 2, 3])]
fn decode(bencher: Bencher<'_, '_>, lost: usize) {
    let shape = shape((10, 3));
    let mut sender = Sender::new(shape, PACKET);
    let mut groups = [const { Vec::new() }; GROUPS];
    for group in &mut groups {
        sender.group(|packet| group.push(packet.to_vec()));
    }
    let mut receiver = Receiver::new(shape);
    let mut receive = |group: &mut Vec<Vec<u8>>| {
        let arrived = group[lost..].iter_mut();
        let rebuilt = arrived.map(|packet| {
            let rebuilt = receiver.accept(packet);
            renumber(packet);
            rebuilt
        });
        assert_eq!(rebuilt.sum::<usize>(), lost);
    };
    groups.iter_mut().for_each(&mut receive); // From then on nothing is allocated.
    let mut next = 0;
    bencher.counter(ItemsCount::new(13 - lost)).bench_local(|| {
        receive(&mut groups[next]);
        next = (next + 1) % GROUPS;
    });
}

/// Moves a packet on, so that the groups go round for ever.
fn renumber(packet: &mut [u8]) {
    let (seqid, _) = packet
        .split_first_chunk_mut()
        .expect("a packet begins with its number");
    *seqid = (u32::from_le_bytes(*seqid) + 13 * GROUPS as u32).to_le_bytes();
}

/// One data packet into three rows, by instruction set.
#[divan::bench(args = Instructions::available())]
fn fold(bencher: Bencher<'_, '_>, instructions: Instructions) {
    let shard: Vec<u8> = (0..PACKET + 2).map(|i| (i * 7) as u8).collect();
    let mut fold = instructions.fold(3);
    bencher
        .counter(BytesCount::new(shard.len()))
        .bench_local(|| fold(divan::black_box(&shard)));
}

/// Coefficients of a shape: once per configuration.
#[divan::bench(args = SHAPES)]
fn code(counts: (usize, usize)) -> impl Sized {
    make_code(shape(counts))
}
