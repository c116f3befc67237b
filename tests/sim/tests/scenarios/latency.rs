//! How long single calls take on a bad path, and what the sender knows of it.

use kcp_transport::{Config, Redundancy};
use sim::{Seed, Sim};

use crate::unary::{Calls, quantile};
use crate::{link, ms};

#[test]
fn the_loss_of_sparse_traffic_is_measured_like_that_of_bulk() {
    for loss in [0, 1, 5, 10, 20] {
        for redundancy in [Redundancy::Off, Redundancy::Adaptive, Redundancy::Tail(2)] {
            let config = Config::fast3().redundancy(redundancy);
            let text = format!("delay=50ms loss={loss}%");

            let mut sim = Sim::new(Seed::from_env_or(1), link(&text));
            let (client, server) = sim.pair(config.clone(), config.clone());
            let mut sparse = 0.0;
            for _ in 0..20 {
                Calls::ISOLATED.make(&mut sim, client, server, 100);
                sparse += f64::from(sim.stats(client).loss_rate) / 20.0;
            }

            let mut sim = Sim::new(Seed::from_env_or(1), link(&text));
            let (client, server) = sim.pair(config.clone(), config);
            sim.transfer(client, server, 20 << 20);
            let (mut bulk, mut samples) = (0.0, 0.0);
            while !sim.is_done() {
                sim.run_for(ms(100));
                bulk += f64::from(sim.stats(client).loss_rate);
                samples += 1.0;
            }
            bulk /= samples;

            // A lost acknowledgement may look like a lost transmission: up to both losses together are seen.
            let loss = f64::from(loss) / 100.0;
            let range = 0.6 * loss..=1.2 * (1.0 - (1.0 - loss).powi(2)) + 0.002;
            assert!(
                range.contains(&sparse),
                "{redundancy:?}: {sparse} of {loss}"
            );
            assert!(range.contains(&bulk), "{redundancy:?}: {bulk} of {loss}");
        }
    }
}

/// Isolated calls over a path of 100 ms.
#[test]
fn isolated_calls_need_no_more_than_the_copies_that_the_loss_asks_for() {
    // Loss in percent; median, 99th and 99.9th percentile in ms that may not be exceeded.
    let bounds = [
        (0, 100, 100, 100),
        (1, 100, 110, 210),
        (5, 100, 110, 215),
        (10, 100, 116, 220),
        (20, 100, 125, 240),
        (30, 107, 230, 340),
    ];
    for (loss, median, p99, p999) in bounds {
        let text = format!("delay=50ms loss={loss}%");
        let mut sim = Sim::new(Seed::from_env_or(1), link(&text));
        let (client, server) = sim.pair(Config::fast3(), Config::fast3());
        // The first calls teach the sender how much is lost.
        Calls::ISOLATED.make(&mut sim, client, server, 200);
        let took = Calls::ISOLATED.make(&mut sim, client, server, 4_000);
        let quantiles = [0.5, 0.99, 0.999].map(|share| quantile(&took, share));
        let allowed = [ms(median), ms(p99), ms(p999)];
        let within = quantiles.iter().zip(&allowed).all(|(is, may)| is <= may);
        assert!(within, "{loss} %: {quantiles:?}, allowed {allowed:?}");
    }
}
