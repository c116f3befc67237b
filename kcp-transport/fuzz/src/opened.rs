//! What somebody with the key may send: every datagram passes its check.

use std::sync::LazyLock;

use kcp_transport::Cipher;
use kcp_transport::internals::crypto::seal;

use super::datagram::run_sealed;
use super::steering::Steering;

static CIPHERS: LazyLock<[Cipher; 3]> = LazyLock::new(|| {
    [
        Cipher::none(),
        Cipher::aes_128(&[1; 16]),
        Cipher::aes_128_gcm(&[1; 16]),
    ]
});

/// As [`datagram::run`](super::datagram::run), with the datagrams sealed.
pub fn run(input: &[u8]) {
    let mut steering = Steering::new(input);
    let cipher = steering.pick(&[0, 1, 2]);
    let cipher = &CIPHERS[cipher];
    run_sealed(cipher.clone(), &mut steering, |inner| seal(cipher, inner));
}
