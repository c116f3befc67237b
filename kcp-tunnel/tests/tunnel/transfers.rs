//! Bytes through the tunnel, with every kind of layer and loss.

use std::time::Duration;

use kcp_tunnel::status::Tunnel as _;
use tokio::io::{AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};
use tokio::task::JoinSet;
use tokio::time::{Instant, timeout};

use crate::world::{App, World, exchange, expect, ms, secs, send, within};

/// Moves `len` bytes each way on each of `connections`, all at once.
async fn transfer(link: &str, flags: &[&str], connections: u64, len: usize) {
    let (world, mut server) = World::new(link, flags);
    let mut tasks = Vec::new();
    for number in 0..connections {
        let app = world.connect();
        let target = server.target().await;
        tasks.push(tokio::spawn(exchange(app.io, target.io, number, len)));
    }
    for task in tasks {
        within(secs(600), task).await.unwrap();
    }
    within(secs(60), async {
        while world.client.status().connections + server.server.status().connections > 0 {
            tokio::time::sleep(ms(100)).await;
        }
    })
    .await;
    assert_eq!(world.client.status().connections_total, connections);
    assert_eq!(world.sessions()[0].streams, 0, "nothing lingers");
}

const MIB: usize = 1 << 20;

#[tokio::test(start_paused = true)]
async fn megabytes_arrive_over_a_fast_link_with_losses() {
    transfer(
        "delay=25ms loss=5% rate=100mbit",
        &["--crypt", "aes-128-gcm", "--mode", "fast3"],
        3,
        MIB,
    )
    .await;
}

/// Codes of the client and the server.
type Codes = ([&'static str; 4], [&'static str; 4]);

/// Equal ones and none.
const EQUAL: [Codes; 2] = [
    (code("10", "3"), code("10", "3")),
    (code("0", "0"), code("0", "0")),
];

/// All that need not agree.
const UNEQUAL: [Codes; 4] = [
    (code("10", "3"), code("3", "1")),
    (code("0", "0"), code("10", "3")),
    (code("10", "3"), code("0", "0")),
    (code("5", "2"), code("20", "5")),
];

const fn code(data: &'static str, parity: &'static str) -> [&'static str; 4] {
    ["--ds", data, "--ps", parity]
}

/// Both versions of smux with and without compression and with every pair of codes: some connections at once, each of
/// which ends one direction before the other.
async fn every_layer_carries(loss: u32) {
    for version in ["1", "2"] {
        for compression in [&["--nocomp"][..], &[]] {
            for (at_client, at_server) in EQUAL.iter().chain(&UNEQUAL) {
                let own = ["--smuxver", version, "--crypt", "null"];
                let flags = [&own[..], compression, at_server].concat();
                let link = format!("delay=25ms jitter=5ms loss={loss}%");
                let (world, mut server) = World::with_client_flags(&link, &flags, at_client);
                let name = format!("{flags:?}, client {at_client:?}");
                let mut tasks = JoinSet::new();
                for number in 0..6 {
                    let app = world.connect();
                    let target = server.target().await;
                    tasks.spawn(one_after_the_other(app, target, number, 30_000));
                }
                within(secs(600), async {
                    while let Some(done) = tasks.join_next().await {
                        assert!(done.is_ok(), "{name}");
                    }
                })
                .await;
                let sessions = world.sessions();
                assert_eq!(sessions.len(), 1, "{name}");
                assert!(!sessions[0].retired, "{name}");
            }
        }
    }
}

/// The application ends its direction; only then the target answers.
async fn one_after_the_other(app: App, target: App, number: u64, len: usize) {
    let up = async {
        let (reader, writer) = tokio::io::split(app.io);
        let writer = send(writer, 2 * number, len).await;
        expect(reader, 2 * number + 1, len).await;
        drop(writer);
    };
    let down = async {
        let target = expect(target.io, 2 * number, len).await;
        send(target, 2 * number + 1, len).await
    };
    tokio::join!(up, down);
}

#[tokio::test(start_paused = true)]
async fn every_layer_carries_without_losses() {
    every_layer_carries(0).await;
}

#[tokio::test(start_paused = true)]
async fn every_layer_carries_with_a_twentieth_lost() {
    every_layer_carries(5).await;
}

#[tokio::test(start_paused = true)]
async fn every_layer_carries_with_a_tenth_lost() {
    every_layer_carries(10).await;
}

#[tokio::test(start_paused = true)]
async fn every_layer_carries_with_a_fifth_lost() {
    every_layer_carries(20).await;
}

#[tokio::test(start_paused = true)]
async fn version_1_of_smux_carries_many_connections() {
    let flags = ["--compat", "2021", "--crypt", "salsa20"];
    // Half-closed connections do not exist there: all that comes back was sent before the end.
    let (world, mut server) = World::new("delay=10ms loss=2%", &flags);
    let mut tasks = Vec::new();
    for number in 0..4 {
        let (app, target) = (world.connect(), server.target().await);
        tasks.push(tokio::spawn(async move {
            let (reader, writer) = tokio::io::split(app.io);
            let mut target = target.io;
            let back = async {
                let mut buffer = vec![0; MIB];
                target.read_exact(&mut buffer).await.unwrap();
                target.write_all(&buffer).await.unwrap();
                target
            };
            let up = async {
                let mut writer = writer;
                let bytes = sim::Pattern::new(number).bytes(MIB);
                writer.write_all(&bytes).await.unwrap();
                writer
            };
            let down = async {
                let mut reader = reader.take(MIB as u64);
                expect(&mut reader, number, MIB).await;
            };
            tokio::join!(back, up, down)
        }));
    }
    for task in tasks {
        within(secs(600), task).await.unwrap();
    }
}

#[tokio::test(start_paused = true)]
async fn qpp_goes_around_every_stream() {
    let flags = ["--QPP", "--QPPCount", "7", "--crypt", "null", "--ds", "0"];
    transfer("delay=5ms loss=1%", &flags, 3, 300_000).await;
}

#[tokio::test(start_paused = true)]
async fn two_hundred_connections_share_a_session() {
    transfer("delay=10ms loss=1%", &["--crypt", "none"], 200, 20_000).await;
}

#[tokio::test(start_paused = true)]
async fn a_rate_limit_holds() {
    let flags = ["--ratelimit", "500000", "--nocomp", "--ds", "0"];
    let (world, mut server) = World::new("delay=5ms", &flags);
    let (app, target) = (world.connect(), server.target().await);
    let begin = Instant::now();
    let (app, _target) = tokio::join!(send(app.io, 1, 2 * MIB), expect(target.io, 1, 2 * MIB));
    drop(app);
    let least = Duration::from_secs_f64(2.0 * MIB as f64 / 500_000.0);
    let took = begin.elapsed();
    assert!(took > least - ms(300) && took < 2 * least, "{took:?}");
}

/// Writes until nothing has been taken for ten seconds. Returns how much was.
async fn fill(writer: &mut (impl AsyncWrite + Unpin)) -> usize {
    let mut taken = 0;
    while let Ok(len) = timeout(secs(10), writer.write(&[7; 10_000])).await {
        taken += len.unwrap();
    }
    taken
}

#[tokio::test(start_paused = true)]
async fn a_reader_that_stalls_holds_up_nobody_else_and_costs_no_more_than_its_window() {
    let flags = ["--streambuf", "300000", "--smuxbuf", "4000000", "--nocomp"];
    let (world, mut server) = World::new("delay=10ms", &flags);
    let mut stalled = Vec::new();
    for _ in 0..5 {
        let (mut app, target) = (world.connect(), server.target().await);
        let taken = fill(&mut app.io).await;
        // The window, what waits to be sent, and the pipes and blocks at both ends.
        assert!(
            (300_000..300_000 + 400_000).contains(&taken),
            "{taken} bytes taken"
        );
        stalled.push((app, target, taken));
    }
    let (app, target) = (world.connect(), server.target().await);
    let begin = Instant::now();
    within(secs(60), exchange(app.io, target.io, 1, MIB)).await;
    let alone = {
        let (world, mut server) = World::new("delay=10ms", &flags);
        let (app, target) = (world.connect(), server.target().await);
        let begin = Instant::now();
        within(secs(60), exchange(app.io, target.io, 1, MIB)).await;
        begin.elapsed()
    };
    let beside = begin.elapsed();
    assert!(beside < 3 * alone, "{beside:?} beside, {alone:?} alone");
    for (app, target, taken) in stalled {
        let mut target = target.io;
        drop(app);
        let mut got = Vec::new();
        within(secs(60), target.read_to_end(&mut got))
            .await
            .unwrap();
        assert_eq!(got.len(), taken);
    }
}
