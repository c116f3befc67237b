//! The links between hosts, one for each direction.

use std::collections::HashMap;
use std::time::Duration;

use netlab::link::{Link, LinkConfig, LinkStats};

use crate::Seed;

/// One direction between two hosts.
struct Lane {
    from: usize,
    to: usize,
    link: Link,
}

/// Links between hosts, which are numbers here; each is made when first needed.
pub(crate) struct Lanes {
    seed: Seed,
    config: LinkConfig,
    blackout: bool,
    lanes: Vec<Lane>,
    index: HashMap<(usize, usize), usize>,
}

impl Lanes {
    pub(crate) fn new(seed: Seed, config: LinkConfig) -> Self {
        Self {
            seed,
            config,
            blackout: false,
            lanes: Vec::new(),
            index: HashMap::new(),
        }
    }

    pub(crate) fn send(&mut self, now: Duration, from: usize, to: usize, datagram: &[u8]) {
        self.lane(now, from, to).send(now, datagram);
    }

    /// Hands out whatever has arrived by now: from, to, and the datagram. Returns whether anything has.
    pub(crate) fn deliver(
        &mut self,
        now: Duration,
        mut arrive: impl FnMut(usize, usize, &mut [u8]),
    ) -> bool {
        let mut anything = false;
        for lane in &mut self.lanes {
            while let Some(datagram) = lane.link.poll(now) {
                anything = true;
                arrive(lane.from, lane.to, datagram);
            }
        }
        anything
    }

    pub(crate) fn next_delivery(&self) -> Option<Duration> {
        let times = self.lanes.iter().map(|lane| lane.link.next_delivery());
        times.flatten().min()
    }

    pub(crate) fn set(&mut self, now: Duration, from: usize, to: usize, config: LinkConfig) {
        self.lane(now, from, to).set_config(now, config);
    }

    pub(crate) fn set_all(&mut self, now: Duration, config: LinkConfig) {
        for lane in &mut self.lanes {
            lane.link.set_config(now, config.clone());
        }
        self.config = config;
    }

    pub(crate) fn set_blackout(&mut self, now: Duration, blackout: bool) {
        for lane in &mut self.lanes {
            lane.link.set_blackout(now, blackout);
        }
        self.blackout = blackout;
    }

    pub(crate) fn stats(&self, from: usize, to: usize) -> LinkStats {
        let lane = self.index.get(&(from, to)).map(|&lane| &self.lanes[lane]);
        lane.map_or_else(LinkStats::default, |lane| *lane.link.stats())
    }

    fn lane(&mut self, now: Duration, from: usize, to: usize) -> &mut Link {
        let lane = *self.index.entry((from, to)).or_insert_with(|| {
            let salt = 0x71_0000_0000 + ((from as u64) << 16) + to as u64;
            let mut link = Link::new(self.config.clone(), self.seed.stream(salt).next_word());
            link.set_blackout(now, self.blackout);
            self.lanes.push(Lane { from, to, link });
            self.lanes.len() - 1
        });
        &mut self.lanes[lane].link
    }
}
