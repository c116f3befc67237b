//! Whether a peer may still take parity for packets that it has missed.
//!
//! A kcp-go session without a code of its own makes a decoder for the shape 1/1 when it hears the first protected
//! packet. To that shape every packet with an odd number is parity, so it believes what ours says to be a packet that
//! was lost, and as the code is linear, often with a plausible segment number. From the first packet that does not fit
//! on it rebuilds nothing until it has learned the true shape: data with an odd number, or parity with an even one.
//! Unless the network reorders, the second data packet is that. Where it does, parity with odd numbers must not leave
//! before the peer has acknowledged data, unless it shows that it has a code. Source: kcp-go 5.6.72,
//! `UDPSession.kcpInput`, `fecDecoder.decode`.

use super::arq::seq::Seq;

/// A peer that has acknowledged what so many successive data packets carried has heard one with an odd number, too.
const ENOUGH: u8 = 16;

/// What one session knows of it.
#[derive(Debug, Default)]
pub(crate) struct Doubt {
    /// Protected packets sent in doubt.
    packets: u8,
    /// The first segment that none of them carried.
    beyond: Option<Seq>,
}

impl Doubt {
    /// Another packet has left, and the next new segment would be `next`.
    pub(crate) fn handle_sent(&mut self, next: Seq) {
        self.packets = self.packets.saturating_add(1);
        if self.packets >= ENOUGH && self.beyond.is_none() {
            self.beyond = Some(next);
        }
    }

    /// Whether it is over, as the peer has all segments before `una`. If so, the next doubt begins anew.
    pub(crate) fn is_over(&mut self, una: Seq) -> bool {
        let over = self.beyond.is_some_and(|beyond| !una.precedes(beyond));
        if over {
            *self = Self::default();
        }
        over
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_is_over_when_all_of_sixteen_packets_is_acknowledged_and_may_begin_anew() {
        let mut doubt = Doubt::default();
        for _ in 0..2 {
            for next in 1..=15 {
                doubt.handle_sent(Seq(next));
                assert!(!doubt.is_over(Seq(next)));
            }
            // The sixteenth sends the last segment again.
            doubt.handle_sent(Seq(15));
            doubt.handle_sent(Seq(16));
            assert!(!doubt.is_over(Seq(14)));
            assert!(doubt.is_over(Seq(15)));
            assert!(!doubt.is_over(Seq(15)));
        }
    }
}
