//! Bulk data between two sessions in memory: what the protocol costs without sockets, both ends on one thread.
//!
//! `cargo bench -p kcp-transport --bench session`
//!
//! Allocations show beside the times; there are none once buffers have grown.

use divan::counter::BytesCount;
use divan::{AllocProfiler, Bencher};
use kcp_transport::{Cipher, Config, Fec};

#[path = "../tests/pair/mod.rs"]
mod pair;

use pair::Pair;

#[global_allocator]
static ALLOCATOR: AllocProfiler = AllocProfiler::system();

/// Bytes of one sample.
const BYTES: usize = 4 << 20;

const CIPHERS: [&str; 4] = ["null", "aes-128-gcm", "aes-128", "salsa20"];

fn main() {
    divan::main();
}

#[divan::bench(args = CIPHERS, sample_count = 20, sample_size = 1)]
fn bulk(bencher: Bencher<'_, '_>, cipher: &str) {
    bench(bencher, cipher, None, 0);
}

#[divan::bench(args = CIPHERS, sample_count = 20, sample_size = 1)]
fn bulk_with_fec(bencher: Bencher<'_, '_>, cipher: &str) {
    bench(bencher, cipher, Some((10, 3)), 0);
}

#[divan::bench(args = CIPHERS, sample_count = 20, sample_size = 1)]
fn bulk_with_fec_and_a_loss_of_5_percent(bencher: Bencher<'_, '_>, cipher: &str) {
    bench(bencher, cipher, Some((10, 3)), 5);
}

/// A hundred short questions, each answered before the next.
#[divan::bench(args = CIPHERS, sample_count = 100, sample_size = 1)]
fn questions(bencher: Bencher<'_, '_>, cipher: &str) {
    let mut pair = Pair::new(config(cipher, None), 0);
    pair.exchange(1_000, 100);
    bencher
        .counter(divan::counter::ItemsCount::new(100_usize))
        .bench_local(|| pair.exchange(100, 100));
}

fn bench(bencher: Bencher<'_, '_>, cipher: &str, fec: Option<(usize, usize)>, loss_percent: u64) {
    let mut pair = Pair::new(config(cipher, fec), loss_percent);
    pair.transfer(8 * BYTES, 0);
    bencher
        .counter(BytesCount::new(BYTES))
        .bench_local(|| pair.transfer(BYTES, 0));
}

fn config(cipher: &str, fec: Option<(usize, usize)>) -> Config {
    Config::fast3()
        .cipher(Cipher::kcptun(cipher, "secret").expect("a listed name"))
        .fec(fec.map(|(data, parity)| Fec::new(data, parity).expect("in range")))
        .max_bandwidth(u64::MAX)
}
