//! Ours towards kcp-go, of which a model stands here that passes every record of the real one.

use std::time::Duration;

use interop::reference::{self, FecParams, NoDelay};
use kcp_transport::{Config, Fec, Redundancy};
use sim::{End, HostId, Seed, Sim};

use crate::unary::Calls;
use crate::{link, ms, secs};

/// kcp-go's `NoDelay(1, 10, 2, 1)`.
const FAST3: NoDelay = NoDelay {
    nodelay: true,
    interval: 10,
    resend: 2,
    nc: true,
};

fn model(fec: Option<(usize, usize)>) -> reference::Config {
    reference::Config {
        fec: fec.map(|(data, parity)| FecParams { data, parity }),
        no_delay: FAST3,
        snd_wnd: 1_024,
        rcv_wnd: 1_024,
        stream: true,
        ack_no_delay: true,
        ..reference::Config::default()
    }
}

fn ours(fec: Option<(usize, usize)>) -> Config {
    Config::fast3().fec(fec.map(|(data, parity)| Fec::new(data, parity).expect("in range")))
}

/// Both ends of a session that ours opened, and the model's host.
fn dial(sim: &mut Sim, config: Config, peer: reference::Config) -> (End, End, HostId) {
    let (client, server) = (sim.host(config), sim.model(peer));
    let ours = sim.connect(client, server);
    sim.write(ours, b"hello");
    let opened = sim.run_until(secs(30), |sim| sim.is_done());
    assert!(opened, "the session opens");
    let theirs = sim.accept(server).expect("it was opened");
    sim.take(theirs);
    (ours, theirs, server)
}

/// Packets that are rebuilt late are acknowledged late, with the number of an old transmission: kcp-go's own peers
/// drive its timeout above a hundred round trips in this way.
#[test]
fn error_correction_spoils_neither_round_trip_estimate() {
    for loss in [5, 20] {
        for redundancy in [Redundancy::Off, Redundancy::Adaptive] {
            let text = format!("delay=50ms loss={loss}%");
            let mut sim = Sim::new(Seed::from_env_or(1), link(&text));
            let config = ours(Some((10, 3))).redundancy(redundancy);
            let (client, server, _) = dial(&mut sim, config, model(Some((10, 3))));
            let calls = Calls {
                pause: ms(30),
                ..Calls::ISOLATED
            };
            let mut worst = (Duration::ZERO, 0);
            // One sample alone makes a timeout of three round trips.
            calls.make(&mut sim, client, server, 10);
            for _ in 0..60 {
                calls.make(&mut sim, client, server, 10);
                let mine = sim.stats(client).rto;
                let theirs = sim.model_session(server).rto();
                worst = (worst.0.max(mine), worst.1.max(theirs));
            }
            let rebuilt = (
                sim.stats(client).fec_recovered,
                sim.model_session(server).snmp().fec_recovered,
            );
            assert!(rebuilt.0 > 0 && rebuilt.1 > 0, "nothing was rebuilt");
            assert!(
                worst.0 < ms(300) && worst.1 < 300,
                "loss {loss} %, {redundancy:?}: timeouts of {worst:?}"
            );
        }
    }
}

/// The model acknowledges only what its `una` does not cover, and its packets arrive in any order.
#[test]
fn bulk_both_ways_arrives_whatever_is_lost() {
    let codes = [
        (None, None),
        (Some((10, 3)), Some((10, 3))),
        (Some((10, 3)), Some((3, 1))),
        (Some((10, 3)), None),
        (None, Some((10, 3))),
    ];
    for (mine, theirs) in codes {
        for loss in [0, 5, 20] {
            let text = format!(
                "delay=20ms loss={loss}% reorder=5% reorder-by=5ms duplicate=2% rate=100mbit queue=1MB"
            );
            let mut sim = Sim::new(Seed::from_env_or(loss), link(&text));
            let (client, server, _) = dial(&mut sim, ours(mine), model(theirs));
            sim.transfer(client, server, 1 << 20);
            sim.transfer(server, client, 1 << 20);
            assert!(
                sim.run_until_done(secs(120)).is_some(),
                "{mine:?} {theirs:?} {loss} %: {:?}",
                sim.stats(client)
            );
            assert_eq!(sim.received(client), 1 << 20);
        }
    }
}

/// Until a packet does not fit, kcp-go without a code presumes 1/1, and takes odd parity for the data that was lost.
#[test]
fn parity_that_overtakes_data_does_not_harm_a_peer_without_a_code() {
    for seed in Seed::range(200) {
        let mut sim = Sim::new(seed, link("delay=5ms jitter=5ms jitter-order=mix"));
        let (client, server, _) = dial(&mut sim, ours(Some((10, 3))), model(None));
        sim.transfer(client, server, 50_000);
        assert!(sim.run_until_done(secs(30)).is_some(), "{seed:?}");
        let snmp = sim.model_session(server).snmp();
        assert_eq!(snmp.fec_recovered, 0, "{seed:?}: {snmp:?}");
    }
}

#[test]
fn a_peer_gets_all_parity_once_it_has_acknowledged_enough_or_shown_a_code() {
    for (theirs, back) in [(None, 0), (Some((10, 3)), 20_000)] {
        let mut sim = Sim::new(Seed::from_env_or(1), link("delay=20ms"));
        let (client, server) = sim.pair(ours(Some((10, 3))), ours(theirs));
        sim.transfer(server, client, back);
        sim.transfer(client, server, 60_000);
        assert!(sim.run_until_done(secs(30)).is_some());
        let before = sim.stats(server).fec_parity_received;
        sim.transfer(client, server, 1 << 20);
        assert!(sim.run_until_done(secs(30)).is_some());
        let stats = sim.stats(server);
        // A mebibyte takes more than 70 groups.
        assert!(
            stats.fec_parity_received - before >= 3 * 70,
            "{theirs:?}: {stats:?}"
        );
    }
}

/// After a full window kcp-go tells of a reopened one only with its next flush, and that packet may be lost.
#[test]
fn a_window_that_kcp_go_closed_reopens() {
    for loss in [0, 20] {
        let text = format!("delay=20ms loss={loss}%");
        let mut sim = Sim::new(Seed::from_env_or(loss), link(&text));
        let peer = reference::Config {
            rcv_wnd: 32,
            ..model(None)
        };
        let (client, server, _) = dial(&mut sim, ours(None), peer);
        sim.pause(server);
        sim.transfer(client, server, 300_000);
        sim.run_for(secs(20));
        assert_eq!(sim.stats(client).remote_window, 0);
        assert!(sim.stats(client).in_flight <= 32);
        sim.resume(server);
        assert!(sim.run_until_done(secs(60)).is_some(), "loss {loss} %");
    }
}

/// Before 5.6 kcp-go with error correction drops packets without its header.
#[test]
fn acknowledgements_can_wear_the_header_that_old_peers_ask_for() {
    let link = link("delay=20ms loss=5% rate=10mbit queue=100kB");
    let mut sim = Sim::new(Seed::from_env_or(1), link);
    let config = ours(Some((10, 3))).protect_control(true);
    let (client, server, _) = dial(&mut sim, config, model(Some((10, 3))));
    sim.transfer(server, client, 1 << 20);
    assert!(sim.run_until_done(secs(60)).is_some());
    let snmp = sim.model_session(server).snmp();
    // The model counts the packets of groups it took in; ours had next to no data to send.
    assert!(snmp.fec_parity_shards > 20, "{snmp:?}");
}
