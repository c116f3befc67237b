//! Bulk in both directions over every kind of bad link: every byte arrives, in order, in reasonable time.

use kcp_transport::{Cipher, Config, Window};
use sim::{Seed, Sim};

use crate::{link, secs};

/// Loss each way in percent.
const LOSSES: [u32; 6] = [0, 1, 5, 10, 20, 30];

/// Mean length of loss bursts in packets, besides independent losses.
const BURST: u32 = 5;

fn config() -> Config {
    let window = Window::new(2_048).expect("in range");
    Config::fast3()
        .cipher(Cipher::aes_128(&[7; 16]))
        .send_window(window)
        .receive_window(window)
}

/// Moves `bytes` each way; returns the seconds that took.
fn transfer(loss: u32, bursts: bool, bytes: u64) -> f64 {
    let burst = if bursts && loss > 0 {
        format!("burst={BURST}")
    } else {
        String::new()
    };
    let link = link(&format!(
        "delay=20ms loss={loss}% {burst} reorder=5% reorder-by=3ms duplicate=1% corrupt=1% \
         rate=400mbit queue=4MB"
    ));
    let seed = Seed::from_env_or(u64::from(loss) * 2 + u64::from(bursts));
    let mut sim = Sim::new(seed, link);
    let (first, second) = sim.pair(config(), config());
    sim.transfer(first, second, bytes);
    sim.transfer(second, first, bytes);
    // Slower than 1 Mbit/s would be as good as stuck.
    let limit = secs(10 + bytes / 125_000);
    let took = sim.run_until_done(limit);
    let received = (sim.received(first), sim.received(second));
    let stats = sim.stats(first);
    let took = took.unwrap_or_else(|| panic!("only {received:?} within {limit:?}: {stats:?}"));
    assert_eq!(received, (bytes, bytes));
    println!(
        "loss {loss} % {burst}: {:.1} Mbit/s each way, {:.3} of the bytes sent useful, {} spurious of {} resends, \
         loss seen {:.3}",
        bytes as f64 * 8e-6 / took.as_secs_f64(),
        stats.useful_ratio(),
        stats.spurious_resends,
        stats.resends(),
        stats.loss_rate,
    );
    took.as_secs_f64()
}

#[test]
fn a_megabyte_each_way_survives_independent_losses() {
    for loss in LOSSES {
        transfer(loss, false, 1 << 20);
    }
}

#[test]
fn a_megabyte_each_way_survives_losses_in_bursts() {
    for loss in LOSSES {
        transfer(loss, true, 1 << 20);
    }
}

#[test]
#[ignore = "takes minutes: cargo test --release -p sim --test scenarios -- --ignored"]
fn a_quarter_gigabyte_each_way_survives_independent_losses() {
    for loss in LOSSES {
        transfer(loss, false, 256 << 20);
    }
}

#[test]
#[ignore = "takes minutes: cargo test --release -p sim --test scenarios -- --ignored"]
fn a_quarter_gigabyte_each_way_survives_losses_in_bursts() {
    for loss in LOSSES {
        transfer(loss, true, 256 << 20);
    }
}
