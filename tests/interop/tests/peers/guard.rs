//! Gives up on what stands still, not on what is slow: the machine may be busy with other things.

use std::fmt::Debug;
use std::pin::pin;
use std::time::Duration;

use kcp_transport::{SessionInfo, SessionStats};

/// Looks at a sign of progress so often without a change, a second apart, and it is over.
///
/// A link that loses bursts of some packets does so for long where one packet leaves at a time: the resend timeout of a
/// kcp-go without `nodelay` grows by its first value each time, so a burst of 28 packets, which one conversation in a
/// thousand meets at 10 % in bursts of 4, is three quarters of a minute.
const LOOKS: u32 = 200;

/// Waits for `work` as long as `sign` changes.
///
/// # Panics
/// When it stands still.
pub(crate) async fn while_moving<T, S: Debug + PartialEq>(
    sign: impl FnMut() -> S,
    work: impl Future<Output = T>,
) -> T {
    let done = unless_still(sign, work).await;
    done.unwrap_or_else(|last| panic!("nothing moves any more: {last:?}"))
}

/// As [`while_moving`], for who knows more to say than the last sign.
pub(crate) async fn unless_still<T, S: PartialEq>(
    mut sign: impl FnMut() -> S,
    work: impl Future<Output = T>,
) -> Result<T, S> {
    let mut work = pin!(work);
    let (mut last, mut looks) = (sign(), 0);
    while looks < LOOKS {
        tokio::select! {
            result = &mut work => return Ok(result),
            () = tokio::time::sleep(Duration::from_secs(1)) => {}
        }
        let now = sign();
        looks = if now == last { looks + 1 } else { 0 };
        last = now;
    }
    Err(last)
}

/// Whether a session gets anywhere.
pub(crate) fn moved(session: SessionInfo) -> impl FnMut() -> Sign {
    move || Sign(session.stats())
}

/// How a session stands; the same as long as it takes nothing, gives nothing, and what waits in it stays.
#[derive(Debug)]
pub(crate) struct Sign(SessionStats);

impl PartialEq for Sign {
    fn eq(&self, other: &Self) -> bool {
        let [one, other] = [self, other].map(|Self(stats)| {
            let SessionStats {
                bytes_sent,
                bytes_received,
                unsent,
                in_flight,
                ..
            } = stats;
            [bytes_sent, bytes_received, unsent, in_flight]
        });
        one == other
    }
}
