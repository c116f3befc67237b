//! Once buffers have grown to what a flow needs, no packet costs an allocation.

use allocation_counter::measure;
use kcp_transport::{Cipher, Config, Fec};

mod pair;

use pair::Pair;

const MIB: usize = 1 << 20;

fn config(cipher: &str, fec: Option<(usize, usize)>) -> Config {
    Config::fast3()
        .cipher(Cipher::kcptun(cipher, "secret").expect("a listed name"))
        .fec(fec.map(|(data, parity)| Fec::new(data, parity).expect("in range")))
        .max_bandwidth(u64::MAX)
}

/// Whether one of several rounds allocates nothing. Those before it may: buffers grow until the worst of the losses has
/// been seen.
fn settles(mut round: impl FnMut()) -> bool {
    (0..16).any(|_| measure(&mut round).count_total == 0)
}

/// Data both ways, about 24,000 packets a round.
fn bulk_settles(config: Config, loss_percent: u64) -> bool {
    let mut pair = Pair::new(config, loss_percent);
    settles(|| pair.transfer(16 * MIB, 16 * MIB))
}

/// Short questions, answered one by one.
fn messages_settle(config: Config, loss_percent: u64) -> bool {
    let mut pair = Pair::new(config, loss_percent);
    settles(|| pair.exchange(1_000, 100))
}

#[test]
fn bulk_data_allocates_nothing() {
    assert!(bulk_settles(config("null", None), 0));
    assert!(bulk_settles(config("aes-128", None), 0));
    assert!(bulk_settles(config("aes-128-gcm", None), 0));
}

#[test]
fn bulk_data_with_losses_allocates_nothing() {
    assert!(bulk_settles(config("null", None), 5));
    assert!(bulk_settles(config("aes-128-gcm", None), 5));
}

#[test]
fn error_correction_allocates_nothing() {
    assert!(bulk_settles(config("null", Some((10, 3))), 0));
    assert!(bulk_settles(config("aes-128-gcm", Some((10, 3))), 5));
}

#[test]
fn short_messages_allocate_nothing() {
    assert!(messages_settle(config("aes-128-gcm", None), 0));
    assert!(messages_settle(config("aes-128-gcm", None), 5));
    assert!(messages_settle(config("null", Some((10, 3))), 5));
}
