//! Cost of writing and reading segment headers, one packet of 1,376 bytes at a time.
//!
//! `cargo bench -p kcp-transport --features internals --bench codec`

use divan::Bencher;
use divan::counter::ItemsCount;
use kcp_transport::internals::packets::{read_segments, write_segments};

/// What an MTU of 1,400 bytes leaves behind nonce and checksum.
const PACKET: usize = 1_380;

/// Bytes of data in each segment: an acknowledgement, a short message, a full segment.
const DATA: [usize; 3] = [0, 100, PACKET - 24];

fn main() {
    divan::main();
}

#[divan::bench(args = DATA)]
fn write(bencher: Bencher<'_, '_>, data: usize) {
    let mut packet = [0; PACKET];
    let segments = write_segments(&mut packet, data);
    bencher
        .counter(ItemsCount::new(segments))
        .bench_local(|| write_segments(divan::black_box(&mut packet), data));
}

#[divan::bench(args = DATA)]
fn read(bencher: Bencher<'_, '_>, data: usize) {
    let mut packet = [0; PACKET];
    let segments = write_segments(&mut packet, data);
    let len = segments as usize * (24 + data);
    bencher
        .counter(ItemsCount::new(segments))
        .bench_local(|| read_segments(divan::black_box(&packet[..len])));
}
