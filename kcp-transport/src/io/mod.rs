//! Where the crate touches the world: clock and random bytes.

pub(crate) mod clock;
pub(crate) mod entropy;
