//! The only source of random bytes.

/// Fills `bytes` from the operating system's generator.
///
/// # Panics
/// If the operating system has none to give: a process cannot go on safely without them.
#[expect(
    clippy::disallowed_methods,
    reason = "this is the place the rule points to"
)]
pub(crate) fn fill(bytes: &mut [u8]) {
    getrandom::fill(bytes).expect("the operating system gives random bytes");
}
