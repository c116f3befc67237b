//! Cost of sealing and opening packets of 1,400 bytes, for every cipher.
//!
//! `cargo bench -p kcp-transport --features internals --bench crypto`

use divan::counter::BytesCount;
use divan::{AllocProfiler, Bencher};
use kcp_transport::Cipher;
use kcp_transport::internals::crypto::{Batch, open};

#[global_allocator]
static ALLOCATOR: AllocProfiler = AllocProfiler::system();

const PACKET: usize = 1_400;

fn main() {
    divan::main();
}

fn cipher(name: &str) -> Cipher {
    Cipher::kcptun(name, "it's a secrect").expect("a name from the list")
}

#[divan::bench(args = Cipher::KCPTUN_NAMES)]
fn seal_64(bencher: Bencher<'_, '_>, name: &str) {
    seal(bencher, name, 64, PACKET);
}

#[divan::bench(args = Cipher::KCPTUN_NAMES)]
fn seal_one(bencher: Bencher<'_, '_>, name: &str) {
    seal(bencher, name, 1, PACKET);
}

/// As short as a lone acknowledgement.
#[divan::bench(args = Cipher::KCPTUN_NAMES)]
fn seal_one_short(bencher: Bencher<'_, '_>, name: &str) {
    seal(bencher, name, 1, 52);
}

fn seal(bencher: Bencher<'_, '_>, name: &str, count: usize, len: usize) {
    let cipher = cipher(name);
    let mut batch = Batch::new(count, len);
    bencher
        .counter(BytesCount::new(count * len))
        .bench_local(|| batch.seal(&cipher));
}

#[divan::bench(args = Cipher::KCPTUN_NAMES)]
fn open_one(bencher: Bencher<'_, '_>, name: &str) {
    let cipher = cipher(name);
    let mut batch = Batch::new(1, PACKET);
    batch.seal(&cipher);
    let sealed: [u8; PACKET] = batch
        .datagrams()
        .next()
        .and_then(|datagram| datagram.try_into().ok())
        .expect("one packet");
    bencher.counter(BytesCount::new(PACKET)).bench_local(|| {
        let mut datagram = divan::black_box(sealed);
        assert!(open(&cipher, &mut datagram));
    });
}
