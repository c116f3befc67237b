//! One direction of a link: which packets arrive, when, how often and how intact.
//!
//! A [`Link`] owns the packets in flight and every random decision about them. It reads no clock
//! and does no I/O: the time is an argument, counted from any origin the caller likes. One seed
//! and one sequence of calls give one trace, whatever machine it runs on and however often it is
//! polled.
//!
//! A packet goes through these stations, in this order:
//!
//! 1. MTU: a longer packet is dropped.
//! 2. Bottleneck: a FIFO queue drained at the configured rate, with tail drop.
//! 3. Blackout, drop mask, loss: decided when the packet leaves the queue, so that a lost packet
//!    has used up its share of the rate. Goodput of a saturated link is thus rate × (1 − loss).
//! 4. Duplication, then for each copy by itself: corruption, delay, jitter, and being held back.
//!
//! ```
//! use std::time::Duration;
//! use netlab::link::{Link, LinkConfig};
//!
//! let config: LinkConfig = "delay=25ms loss=5%".parse()?;
//! let mut link = Link::new(config, 7);
//! link.send(Duration::ZERO, b"hello");
//! while let Some(now) = link.next_delivery() {
//!     while let Some(packet) = link.poll(now) {
//!         assert_eq!((now, &*packet), (Duration::from_millis(25), &b"hello"[..]));
//!     }
//! }
//! # Ok::<(), netlab::link::ConfigError>(())
//! ```

mod bottleneck;
mod buffers;
mod config;
mod dice;
mod loss;
mod stats;
mod text;

#[cfg(test)]
mod properties;
#[cfg(test)]
mod tests;

use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::time::Duration;

use bottleneck::{Bottleneck, Departure, Queued};
use buffers::{Buffers, Slot};
use dice::Dice;
use loss::BurstState;

pub use config::{ConfigError, Damage, Jitter, JitterShape, LinkConfig, Probability, Rate};
pub use loss::{BurstLength, Bursts, DropMask, Loss};
pub use stats::LinkStats;
pub use text::{KEYS, Key};

/// One direction of a link.
#[derive(Debug)]
pub struct Link {
    config: LinkConfig,
    blackout: bool,
    /// The latest time heard of: a caller's clock that steps back does not turn ours back.
    now: Nanos,
    streams: Streams,
    burst: BurstState,
    buffers: Buffers,
    bottleneck: Bottleneck,
    in_flight: BinaryHeap<Reverse<InFlight>>,
    /// Arrival of the latest packet that keeps its place: no such packet may arrive before it.
    last_arrival: Nanos,
    /// Number of copies put in flight so far, and the highest of these numbers delivered so far.
    launched: u64,
    newest_delivered: u64,
    /// Value of `stats.sent` from which the drop mask counts.
    mask_origin: u64,
    /// The packet lent to the caller by the last `poll`.
    lent: Option<Slot>,
    stats: LinkStats,
}

impl Link {
    /// A link without traffic. Links with the same configuration and seed behave the same.
    ///
    /// Every impairment draws from its own random stream: with one seed, switching jitter on does
    /// not change which packets are lost.
    pub fn new(config: LinkConfig, seed: u64) -> Self {
        let [loss, duplicate, corrupt, jitter, reorder] = Dice::streams(seed);
        Self {
            bottleneck: Bottleneck::new(&config),
            config,
            blackout: false,
            now: 0,
            streams: Streams {
                loss,
                duplicate,
                corrupt,
                jitter,
                reorder,
            },
            burst: BurstState::default(),
            buffers: Buffers::default(),
            in_flight: BinaryHeap::new(),
            last_arrival: 0,
            launched: 0,
            newest_delivered: 0,
            mask_origin: 0,
            lent: None,
            stats: LinkStats::default(),
        }
    }

    /// Gives the link a packet. What becomes of it shows in `poll` and in the counters.
    pub fn send(&mut self, now: Duration, packet: &[u8]) {
        self.send_tagged(now, 0, packet);
    }

    /// Gives the link a packet with a tag that comes out with it: whose packet it is, on a link
    /// that several parties share.
    pub fn send_tagged(&mut self, now: Duration, tag: u64, packet: &[u8]) {
        self.advance(now);
        let index = self.stats.sent;
        self.stats.sent += 1;
        self.stats.sent_bytes += packet.len() as u64;
        if self.config.mtu.is_some_and(|mtu| packet.len() > mtu) {
            self.stats.dropped_mtu += 1;
            return;
        }
        if !self.bottleneck.has_room_for(packet.len()) {
            self.stats.dropped_queue += 1;
            return;
        }
        let Some(slot) = self.buffers.store(packet) else {
            self.stats.dropped_memory += 1;
            return;
        };
        let packet = Queued {
            slot,
            len: packet.len(),
            tag,
            index,
            sent_at: self.now,
        };
        self.bottleneck.push(self.now, packet);
        self.drain_bottleneck();
    }

    /// The next packet that has arrived by `now`, in order of arrival.
    ///
    /// It may be changed in place; it is the link's again at the next call.
    pub fn poll(&mut self, now: Duration) -> Option<&mut [u8]> {
        self.poll_tagged(now).map(|(_, packet)| packet)
    }

    /// The next packet that has arrived by `now`, as `poll`, with the tag it was sent with.
    pub fn poll_tagged(&mut self, now: Duration) -> Option<(u64, &mut [u8])> {
        self.advance(now);
        if let Some(slot) = self.lent.take() {
            self.buffers.release(slot);
        }
        if self.in_flight.peek()?.0.arrival > self.now {
            return None;
        }
        let Reverse(packet) = self.in_flight.pop()?;
        if packet.number < self.newest_delivered {
            self.stats.reordered += 1;
        }
        self.newest_delivered = self.newest_delivered.max(packet.number);
        self.lent = Some(packet.slot);
        let bytes = self.buffers.get_mut(packet.slot);
        self.stats.delivered += 1;
        self.stats.delivered_bytes += bytes.len() as u64;
        Some((packet.tag, bytes))
    }

    /// When to poll next; `None` if nothing is on its way.
    ///
    /// No packet arrives earlier. If the next packet still waits in the queue, and is then lost or
    /// delayed by jitter, polling at this time gives nothing, and a later time comes out next.
    pub fn next_delivery(&self) -> Option<Duration> {
        let arriving = self.in_flight.peek().map(|Reverse(packet)| packet.arrival);
        let leaving = self
            .bottleneck
            .next_departure()
            .map(|departure| departure.saturating_add(nanos(self.config.least_delay())));
        arriving
            .into_iter()
            .chain(leaving)
            .min()
            .map(Duration::from_nanos)
    }

    /// Changes every parameter at once.
    ///
    /// Packets past the queue arrive as they would have; packets in the queue leave it at the new
    /// rate and meet the new loss and delay. Unless jitter or reordering say otherwise, packets
    /// keep their order even if the delay shrinks. A drop mask counts from the next packet sent.
    pub fn set_config(&mut self, now: Duration, config: LinkConfig) {
        self.advance(now);
        self.bottleneck.reconfigure(self.now, &config);
        self.config = config;
        self.mask_origin = self.stats.sent;
        self.drain_bottleneck();
    }

    /// Starts or ends a blackout, during which whatever leaves the queue is lost.
    ///
    /// Packets already past the queue still arrive.
    pub fn set_blackout(&mut self, now: Duration, blackout: bool) {
        self.advance(now);
        self.blackout = blackout;
    }

    /// The parameters now in force.
    pub fn config(&self) -> &LinkConfig {
        &self.config
    }

    /// What happened so far: the fate of every packet up to the time of the last call.
    pub fn stats(&self) -> &LinkStats {
        &self.stats
    }

    /// Number of packets on their way, queue included.
    pub fn in_flight(&self) -> usize {
        self.bottleneck.len() + self.in_flight.len()
    }

    fn advance(&mut self, now: Duration) {
        self.now = self.now.max(nanos(now));
        self.drain_bottleneck();
    }

    fn drain_bottleneck(&mut self) {
        while let Some(departure) = self.bottleneck.pop(self.now) {
            self.stats.transmitted += 1;
            self.stats.queue_delay_total += Duration::from_nanos(departure.waited);
            let max = &mut self.stats.queue_delay_max;
            *max = (*max).max(Duration::from_nanos(departure.waited));
            self.cross(departure);
        }
    }

    /// Decides the fate of a packet that has just left the queue.
    fn cross(&mut self, Departure { packet, at, .. }: Departure) {
        // Drawn for every packet, so that neither mask nor blackout shift the fate of later ones.
        let lost = match self.config.loss {
            Loss::None => false,
            Loss::Independent(share) => self.streams.loss.hits(share),
            Loss::Bursts(bursts) => self.burst.is_bad(at, bursts, &mut self.streams.loss),
        };
        let masked = packet
            .index
            .checked_sub(self.mask_origin)
            .is_some_and(|index| self.config.mask.contains(index));
        let fate = if self.blackout {
            Some(&mut self.stats.lost_blackout)
        } else if masked {
            Some(&mut self.stats.lost_masked)
        } else if lost {
            Some(match self.config.loss {
                Loss::None | Loss::Independent(_) => &mut self.stats.lost_random,
                Loss::Bursts(_) => &mut self.stats.lost_burst,
            })
        } else {
            None
        };
        if let Some(counter) = fate {
            *counter += 1;
            self.buffers.release(packet.slot);
            return;
        }
        let copy = if self.streams.duplicate.hits(self.config.duplicate) {
            self.buffers.copy(packet.slot)
        } else {
            None
        };
        self.launch(packet.slot, packet.tag, at);
        if let Some(slot) = copy {
            self.stats.duplicated += 1;
            self.launch(slot, packet.tag, at);
        }
    }

    /// Puts one copy of a packet in flight.
    fn launch(&mut self, slot: Slot, tag: u64, departed: Nanos) {
        let packet = self.buffers.get_mut(slot);
        if !packet.is_empty() && self.streams.corrupt.hits(self.config.corrupt) {
            self.config.damage.apply(packet, &mut self.streams.corrupt);
            self.stats.corrupted += 1;
        }
        let delay = self
            .config
            .jitter
            .draw(self.config.delay, &mut self.streams.jitter);
        let mut arrival = departed.saturating_add(nanos(delay));
        if self.streams.reorder.hits(self.config.reorder) {
            arrival = arrival.saturating_add(nanos(self.config.reorder_by));
        } else if !self.config.jitter.reorders {
            arrival = arrival.max(self.last_arrival);
            self.last_arrival = arrival;
        }
        self.launched += 1;
        let packet = InFlight {
            arrival,
            number: self.launched,
            slot,
            tag,
        };
        self.in_flight.push(Reverse(packet));
    }
}

/// One source of random numbers per kind of decision.
#[derive(Debug)]
struct Streams {
    loss: Dice,
    duplicate: Dice,
    corrupt: Dice,
    jitter: Dice,
    reorder: Dice,
}

/// A packet that will arrive. Ordered by arrival, then by the order in which packets set out.
#[derive(Debug, PartialEq, Eq, PartialOrd, Ord)]
struct InFlight {
    arrival: Nanos,
    number: u64,
    slot: Slot,
    tag: u64,
}

/// Nanoseconds since the caller's origin: half the size of a `Duration`, and 584 years long.
type Nanos = u64;

fn nanos(duration: Duration) -> Nanos {
    u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX)
}
