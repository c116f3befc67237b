//! Much data, and many connections.

use crate::process::within;
use crate::traffic::{Load, exchange};
use crate::tunnel::{Make, Setup, listen};

/// Bytes each way where much is carried.
const MUCH: usize = 64 << 20;

async fn carries(setup: Setup, load: Load) {
    if !setup.client.is_here() || !setup.server.is_here() {
        return;
    }
    let (name, (target, addr)) = (setup.to_string(), listen().await);
    let tunnel = setup.start(addr).await;
    if let Err(error) = within(&name, exchange(tunnel.local, &target, load)).await {
        let (client, server) = (tunnel.client.last_words(), tunnel.server.last_words());
        panic!("{name}: {error}\n  client:\n    {client}\n  server:\n    {server}");
    }
}

async fn carries_much(client: Make, server: Make, flags: &[&str]) {
    let load = Load {
        connections: 1,
        bytes: MUCH,
    };
    carries(Setup::new(client, server, flags), load).await;
}

async fn carries_many(client: Make, server: Make, flags: &[&str]) {
    let load = Load {
        connections: 200,
        bytes: 30_000,
    };
    carries(
        Setup::new(client, server, flags).at_client(&["-conn", "8"]),
        load,
    )
    .await;
}

/// What both kinds of kcptun have by default, but for the windows: they bound how much is under way.
const OLD: &[&str] = &[
    "-crypt", "aes", "-smuxver", "1", "-sndwnd", "1024", "-rcvwnd", "1024",
];
const NEW: &[&str] = &[
    "-crypt",
    "aes-128-gcm",
    "-smuxver",
    "2",
    "-sndwnd",
    "1024",
    "-rcvwnd",
    "1024",
];

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn much_is_carried_both_ways_to_a_server_of_kcptun_2021() {
    carries_much(Make::Ours, Make::Kcptun2021, OLD).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn much_is_carried_both_ways_from_a_client_of_kcptun_2021() {
    carries_much(Make::Kcptun2021, Make::Ours, OLD).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn much_is_carried_both_ways_to_a_server_of_kcptun_2026() {
    carries_much(Make::Ours, Make::Kcptun2026, NEW).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn much_is_carried_both_ways_from_a_client_of_kcptun_2026() {
    carries_much(Make::Kcptun2026, Make::Ours, NEW).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn two_hundred_connections_at_once_reach_a_server_of_kcptun_2021() {
    carries_many(Make::Ours, Make::Kcptun2021, OLD).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn two_hundred_connections_at_once_come_from_a_client_of_kcptun_2021() {
    carries_many(Make::Kcptun2021, Make::Ours, OLD).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn two_hundred_connections_at_once_reach_a_server_of_kcptun_2026() {
    carries_many(Make::Ours, Make::Kcptun2026, NEW).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn two_hundred_connections_at_once_come_from_a_client_of_kcptun_2026() {
    carries_many(Make::Kcptun2026, Make::Ours, NEW).await;
}
