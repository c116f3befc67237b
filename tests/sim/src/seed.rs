//! Where the randomness of a test comes from.

use interop::stream::Stream;

/// Reproduces a failure: what a failed test printed, in decimal.
const VARIABLE: &str = "KCP_SIM_SEED";

/// The origin of all randomness of one simulation. If the test fails, a [`Sim`](crate::Sim) made from it says how to
/// repeat that very run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Seed(u64);

impl Seed {
    /// A seed whatever the environment says.
    pub const fn new(seed: u64) -> Self {
        Self(seed)
    }

    /// The seed that `KCP_SIM_SEED` names, or else `default`.
    ///
    /// # Panics
    /// If the variable is set to something else than a number.
    pub fn from_env_or(default: u64) -> Self {
        Self::of_env().unwrap_or(Self(default))
    }

    /// The seeds from 0 to below `count`, or only the one that `KCP_SIM_SEED` names.
    ///
    /// # Panics
    /// If the variable is set to something else than a number.
    pub fn range(count: u64) -> impl Iterator<Item = Self> {
        let (first, count) = Self::of_env().map_or((0, count), |seed| (seed.0, 1));
        (first..first + count).map(Self)
    }

    /// The number.
    pub const fn get(self) -> u64 {
        self.0
    }

    /// A stream of random numbers for the purpose that `salt` stands for.
    pub fn stream(self, salt: u64) -> Stream {
        let mut mixer = Stream::new(self.0 ^ salt.rotate_left(32));
        Stream::new(mixer.next_word())
    }

    /// Says how to repeat the run.
    pub(crate) fn announce(self) {
        eprintln!("repeat with {VARIABLE}={}", self.0);
    }

    fn of_env() -> Option<Self> {
        let text = std::env::var(VARIABLE).ok()?;
        let seed = text
            .parse()
            .unwrap_or_else(|_| panic!("{VARIABLE} must be a number, not {text:?}"));
        Some(Self(seed))
    }
}
