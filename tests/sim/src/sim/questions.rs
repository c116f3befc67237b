//! What a run can be asked.

use std::net::SocketAddr;

use interop::reference;
use kcp_transport::proto::Time;
use kcp_transport::{EndpointStats, SessionError, SessionStats};
use netlab::link::LinkStats;

use super::{End, HostId, Sim};
use crate::host::Machine;

impl Sim {
    /// The time.
    pub fn now(&self) -> Time {
        self.now
    }

    /// Whether nothing is left to write or to acknowledge anywhere.
    pub fn is_done(&self) -> bool {
        self.ends.iter().all(|end| {
            end.has_written()
                && match (&self.hosts[end.host].machine, end.key) {
                    (Machine::Hub(hub, _), Some(key)) => hub
                        .session_stats(key)
                        .is_none_or(|stats| stats.unsent == 0 && stats.in_flight == 0),
                    (Machine::Model(model), _) => model
                        .session()
                        .is_none_or(|session| session.wait_snd() == 0),
                    (Machine::Hub(..), None) => true,
                }
        })
    }

    /// Bytes that the program at this end has read.
    pub fn received(&self, end: End) -> u64 {
        self.ends[end.0].received
    }

    /// Counters and gauges of the session, the last ones if it has ended.
    ///
    /// # Panics
    /// For a model.
    pub fn stats(&self, end: End) -> SessionStats {
        let state = &self.ends[end.0];
        if let Some((_, stats)) = &state.ended {
            return **stats;
        }
        match (&self.hosts[state.host].machine, state.key) {
            (Machine::Hub(hub, _), Some(key)) => hub.session_stats(key).unwrap_or_default(),
            (Machine::Hub(..) | Machine::Model(_), _) => panic!("a model counts otherwise"),
        }
    }

    /// The session of a model.
    ///
    /// # Panics
    /// If the end is not a model's.
    pub fn model_session(&self, end: End) -> &reference::Session {
        match &self.hosts[self.ends[end.0].host].machine {
            Machine::Model(model) => model.session().expect("its end was made with it"),
            Machine::Hub(..) => panic!("not a model"),
        }
    }

    /// Why the session ended, if it did.
    pub fn ended(&self, end: End) -> Option<&SessionError> {
        self.ends[end.0].ended.as_ref().map(|(error, _)| error)
    }

    /// Whether the peer was heard.
    pub fn is_answered(&self, end: End) -> bool {
        self.ends[end.0].answered
    }

    /// Whether everything was acknowledged after the hub was asked to tell so.
    pub fn is_drained(&self, end: End) -> bool {
        self.ends[end.0].drained
    }

    /// The host's address.
    pub fn addr(&self, host: HostId) -> SocketAddr {
        self.hosts[host.0].addr
    }

    /// The host of this end.
    pub fn host_of(&self, end: End) -> HostId {
        HostId(self.ends[end.0].host)
    }

    /// Counters of a host of ours.
    ///
    /// # Panics
    /// For a model.
    pub fn endpoint_stats(&self, host: HostId) -> EndpointStats {
        match &self.hosts[host.0].machine {
            Machine::Hub(hub, _) => hub.stats(),
            Machine::Model(_) => panic!("a model counts otherwise"),
        }
    }

    /// What the link of one direction did.
    pub fn link_stats(&self, from: HostId, to: HostId) -> LinkStats {
        self.lanes.stats(from.0, to.0)
    }

    /// Timers of hosts that fell due so far.
    pub fn timers_fired(&self) -> u64 {
        self.timers_fired
    }
}
