//! Remote procedure calls as a session sees them: a request, the answer, a pause.

use std::time::Duration;

use sim::{End, Sim};

use crate::secs;

/// One kind of call.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Calls {
    /// Bytes of a request.
    pub(crate) request: usize,
    /// Bytes of an answer.
    pub(crate) answer: usize,
    /// Time between an answer and the next request.
    pub(crate) pause: Duration,
}

impl Calls {
    /// Both fit into one packet, and nothing else is under way.
    pub(crate) const ISOLATED: Self = Self {
        request: 300,
        answer: 300,
        pause: Duration::from_millis(500),
    };

    /// Makes `count` calls, one after the other; returns how long each took, shortest first.
    pub(crate) fn make(
        self,
        sim: &mut Sim,
        client: End,
        server: End,
        count: usize,
    ) -> Vec<Duration> {
        let mut took: Vec<_> = (0..count)
            .map(|_| {
                let start = sim.now();
                let (at_server, at_client) = (sim.received(server), sim.received(client));
                sim.write(client, &vec![1; self.request]);
                let wanted = at_server + self.request as u64;
                let arrived = sim.run_until(secs(60), |sim| sim.received(server) >= wanted);
                assert!(arrived, "the request is lost: {:?}", sim.stats(client));
                sim.write(server, &vec![2; self.answer]);
                let wanted = at_client + self.answer as u64;
                let arrived = sim.run_until(secs(60), |sim| sim.received(client) >= wanted);
                assert!(arrived, "the answer is lost: {:?}", sim.stats(server));
                let took = sim.now().since(start);
                sim.take(server);
                sim.take(client);
                sim.run_for(self.pause);
                took
            })
            .collect();
        took.sort_unstable();
        took
    }
}

/// The value below which `share` of the sorted `values` lie.
pub(crate) fn quantile(values: &[Duration], share: f64) -> Duration {
    let index = (values.len() as f64 * share).ceil() as usize;
    values[index.clamp(1, values.len()) - 1]
}
