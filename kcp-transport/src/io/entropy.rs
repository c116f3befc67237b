//! The only random bytes: seeds and conversation numbers, from the system.

/// Random bytes of the system's generator.
///
/// # Panics
/// If the system has none to give: nothing secure could be done without.
#[expect(
    clippy::disallowed_methods,
    reason = "the one place where randomness is drawn"
)]
pub(crate) fn bytes<const N: usize>() -> [u8; N] {
    let mut bytes = [0; N];
    getrandom::fill(&mut bytes).expect("the system has a random generator");
    bytes
}
