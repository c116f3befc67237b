//! Ends that are killed and come back.

use std::collections::BTreeSet;
use std::time::Duration;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinSet;

use crate::process::within;
use crate::traffic::{Load, exchange};
use crate::tunnel::{Make, Setup, Tunnel, listen};

const LOAD: Load = Load {
    connections: 4,
    bytes: 50_000,
};

async fn start(client: Make, server: Make) -> Option<(Tunnel, TcpListener)> {
    if !client.is_here() || !server.is_here() {
        return None;
    }
    let (target, addr) = listen().await;
    let setup = Setup::new(client, server, &["-crypt", "aes-128", "-smuxver", "1"]);
    let tunnel = setup.start(addr).await;
    carries("before", &tunnel, &target).await;
    Some((tunnel, target))
}

async fn carries(when: &str, tunnel: &Tunnel, target: &TcpListener) {
    let carried = within(when, exchange(tunnel.local, target, LOAD)).await;
    if let Err(error) = carried {
        let (client, server) = (tunnel.client.last_words(), tunnel.server.last_words());
        panic!("{when}: {error}\n  client:\n    {client}\n  server:\n    {server}");
    }
}

async fn a_client_comes_back(client: Make, server: Make) {
    let Some((mut tunnel, target)) = start(client, server).await else {
        return;
    };
    tunnel.client.kill().await;
    tunnel.restart_client().await;
    carries("after", &tunnel, &target).await;
}

/// Our client keeps what it has accepted, and carries it to the server that is back.
///
/// It notices within seconds that the server is another one: what it acknowledges is not what its predecessor did.
async fn our_client_finds_a_server_that_is_back(server: Make) {
    let Some((mut tunnel, target)) = start(Make::Ours, server).await else {
        return;
    };
    let mut early = TcpStream::connect(tunnel.local).await.unwrap();
    tunnel.server.kill().await;
    let mut meanwhile = TcpStream::connect(tunnel.local).await.unwrap();
    tunnel.restart_server().await;
    let mut late = TcpStream::connect(tunnel.local).await.unwrap();
    let replaced = within("another session", tunnel.client.says("session 2 opened")).await;
    assert!(replaced.is_some(), "{}", tunnel.client.last_words());
    for (name, app) in [
        ("before", &mut early),
        ("meanwhile", &mut meanwhile),
        ("after", &mut late),
    ] {
        app.write_all(name.as_bytes()).await.unwrap();
    }
    // A connection that was carried to the old server is not heard of again at the target.
    let mut arrived = BTreeSet::new();
    let mut reading = JoinSet::new();
    let all = async {
        while arrived.len() < 3 {
            tokio::select! {
                accepted = target.accept() => {
                    let (mut socket, _) = accepted.unwrap();
                    reading.spawn(async move {
                        let mut name = [0; 16];
                        let len = socket.read(&mut name).await.unwrap_or_default();
                        (String::from_utf8(name[..len].to_vec()).unwrap(), socket)
                    });
                }
                Some(read) = reading.join_next() => {
                    let (name, _) = read.unwrap();
                    arrived.extend(Some(name).filter(|name| !name.is_empty()));
                }
            }
        }
    };
    within("three connections at the target", all).await;
    let expected = ["after", "before", "meanwhile"].map(str::to_owned);
    assert_eq!(arrived, BTreeSet::from(expected));
}

/// A client of kcptun's notices that its server has come back by the silence, after half a minute or a whole.
async fn a_client_finds_our_server_that_is_back(client: Make) {
    let Some((mut tunnel, target)) = start(client, Make::Ours).await else {
        return;
    };
    tunnel.server.kill().await;
    tunnel.restart_server().await;
    let found = async {
        while tokio::time::timeout(PATIENCE, exchange(tunnel.local, &target, LOAD))
            .await
            .is_err()
        {}
    };
    within("a client that finds its server", found).await;
    carries("after", &tunnel, &target).await;
}

/// How long an exchange may take before another is tried.
const PATIENCE: Duration = Duration::from_secs(3);

#[tokio::test]
async fn a_client_of_ours_comes_back_to_kcptun_2021() {
    a_client_comes_back(Make::Ours, Make::Kcptun2021).await;
}

#[tokio::test]
async fn a_client_of_ours_comes_back_to_kcptun_2026() {
    a_client_comes_back(Make::Ours, Make::Kcptun2026).await;
}

#[tokio::test]
async fn a_client_of_kcptun_2021_comes_back() {
    a_client_comes_back(Make::Kcptun2021, Make::Ours).await;
}

#[tokio::test]
async fn a_client_of_kcptun_2026_comes_back() {
    a_client_comes_back(Make::Kcptun2026, Make::Ours).await;
}

// A client of kcptun's waits for a minute of silence: those that wait for it wait together.

#[tokio::test]
async fn a_server_of_kcptun_that_is_back_is_found() {
    tokio::join!(
        our_client_finds_a_server_that_is_back(Make::Kcptun2021),
        our_client_finds_a_server_that_is_back(Make::Kcptun2026)
    );
}

#[tokio::test]
async fn clients_of_kcptun_find_our_server_again() {
    tokio::join!(
        a_client_finds_our_server_that_is_back(Make::Kcptun2021),
        a_client_finds_our_server_that_is_back(Make::Kcptun2026)
    );
}
