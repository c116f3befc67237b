//! How much a reader consumes before the driver is told.

use crate::config::Window;

/// Bytes consumed after which the driver is told in any case.
const MAX_UNREPORTED: usize = 64 * 1024;

/// Parts of the receive window, which closes by bytes, and by messages where these are read.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Threshold {
    pub(super) bytes: usize,
    pub(super) messages: usize,
}

impl Threshold {
    /// A quarter of the window, or less where that is much, or where less closes the window: a window of one segment is
    /// closed by any byte.
    pub(super) fn new(window: Window, mss: usize) -> Self {
        let window = usize::from(window);
        let closing = (window - 1) * mss + 1;
        Self {
            bytes: (window * mss / 4).min(closing).clamp(1, MAX_UNREPORTED),
            messages: (window / 4).max(1),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_not_reported_never_closes_the_window() {
        for segments in [1, 2, 3, 32, 65_535] {
            for mss in [4, 1_376] {
                let window = Window::new(segments).expect("in range");
                let unreported = Threshold::new(window, mss).bytes - 1;
                assert!(
                    unreported.div_ceil(mss) < segments,
                    "{unreported} of {segments} segments"
                );
            }
        }
    }
}
