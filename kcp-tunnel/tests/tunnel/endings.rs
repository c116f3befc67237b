//! How connections end: half-closed between two of ours, in kcptun's manner otherwise.

use kcp_tunnel::smux::Peer;
use kcp_tunnel::status::Tunnel as _;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::time::Instant;

use crate::world::{World, ms, secs, within};

#[tokio::test(start_paused = true)]
async fn each_direction_ends_by_itself() {
    let (world, mut server) = World::new("delay=10ms loss=5%", &["--closewait", "1"]);
    let mut app = world.connect();
    let mut target = server.target().await;
    app.io.write_all(b"question").await.unwrap();
    app.io.shutdown().await.unwrap();
    assert_eq!(target.rest().await, b"question");
    // Much longer than any close wait: this is no timer's business.
    tokio::time::sleep(secs(300)).await;
    target.io.write_all(b"answer").await.unwrap();
    target.io.shutdown().await.unwrap();
    assert_eq!(app.rest().await, b"answer");
    tokio::time::sleep(secs(1)).await;
    assert_eq!(world.client.status().connections, 0);
    assert_eq!(server.server.status().connections, 0);
    assert_eq!(world.sessions()[0].peer_kind, Peer::HalfCloses);
}

#[tokio::test(start_paused = true)]
async fn an_end_at_the_target_reaches_the_application_first() {
    let (world, mut server) = World::new("delay=10ms", &[]);
    let mut app = world.connect();
    let mut target = server.target().await;
    target.io.write_all(b"banner").await.unwrap();
    target.io.shutdown().await.unwrap();
    assert_eq!(app.rest().await, b"banner");
    app.io.write_all(b"still here").await.unwrap();
    app.io.shutdown().await.unwrap();
    assert_eq!(target.rest().await, b"still here");
}

#[tokio::test(start_paused = true)]
async fn a_target_that_goes_away_stops_the_application_from_writing() {
    let (world, mut server) = World::new("delay=10ms", &[]);
    let mut app = world.connect();
    let mut target = server.target().await;
    app.reaches(&mut target).await;
    drop(target);
    // The first write finds it gone; from then on the tunnel takes and drops what comes.
    within(secs(60), async {
        for _ in 0..1_000 {
            app.io.write_all(&[0; 10_000]).await.unwrap();
        }
    })
    .await;
    assert_eq!(server.server.status().connections, 0);
    assert_eq!(app.rest().await, b"");
    drop(app);
    tokio::time::sleep(secs(1)).await;
    assert_eq!(world.client.status().connections, 0);
    assert_eq!(world.sessions()[0].streams, 0);
}

#[tokio::test(start_paused = true)]
async fn in_kcptuns_manner_the_end_of_one_direction_closes_both_after_the_close_wait() {
    let flags = ["--compat", "2026", "--closewait", "5"];
    let (world, mut server) = World::new("delay=10ms", &flags);
    let mut app = world.connect();
    let mut target = server.target().await;
    app.reaches(&mut target).await;
    app.io.shutdown().await.unwrap();
    let begin = Instant::now();
    // The other direction goes on meanwhile.
    tokio::time::sleep(secs(4)).await;
    target.io.write_all(b"late").await.unwrap();
    let mut late = [0; 4];
    app.io.read_exact(&mut late).await.unwrap();
    assert_eq!(target.rest().await, b"");
    let told = begin.elapsed();
    assert!(told >= secs(5) && told < ms(5_200), "{told:?}");
    assert_eq!(app.rest().await, b"");
    assert_eq!(world.sessions()[0].peer_kind, Peer::Closes);
    // The server drops its connection at the target once that has had its time, too.
    tokio::time::sleep(secs(6)).await;
    assert_eq!(server.server.status().connections, 0);
    assert!(!target.was_aborted());
}

#[tokio::test(start_paused = true)]
async fn in_kcptuns_manner_and_without_a_close_wait_both_directions_end_at_once() {
    let (world, mut server) = World::new("delay=10ms", &["--compat", "2021"]);
    let mut app = world.connect();
    let mut target = server.target().await;
    app.reaches(&mut target).await;
    target.io.write_all(b"all").await.unwrap();
    target.io.shutdown().await.unwrap();
    let begin = Instant::now();
    assert_eq!(app.rest().await, b"all");
    assert!(begin.elapsed() < ms(200));
    tokio::time::sleep(secs(1)).await;
    assert_eq!(server.server.status().connections, 0);
    assert_eq!(world.client.status().connections, 0);
}

#[tokio::test(start_paused = true)]
async fn a_target_that_cannot_be_reached_ends_the_connection() {
    let (world, server) = World::new("delay=10ms", &[]);
    let mut server = server;
    server.targets.close();
    let mut app = world.connect();
    assert_eq!(app.rest().await, b"");
    drop(app);
    tokio::time::sleep(secs(1)).await;
    assert_eq!(world.client.status().connections, 0);
    assert_eq!(world.sessions()[0].streams, 0);
}

#[tokio::test(start_paused = true)]
async fn stopping_waits_for_connections_and_refuses_new_ones() {
    let (world, mut server) = World::new("delay=10ms", &[]);
    let mut app = world.connect();
    let mut target = server.target().await;
    app.reaches(&mut target).await;
    let client = world.client.clone();
    let stopping = tokio::spawn(async move { client.stop(secs(60)).await });
    tokio::time::sleep(secs(5)).await;
    assert_eq!(world.connect().rest().await, b"");
    app.reaches(&mut target).await;
    assert!(!stopping.is_finished());
    drop(app);
    assert_eq!(target.rest().await, b"");
    drop(target);
    assert!(within(secs(10), stopping).await.unwrap());
    assert!(world.sessions().is_empty());
}

#[tokio::test(start_paused = true)]
async fn stopping_breaks_off_what_outlives_the_deadline() {
    let (world, mut server) = World::new("delay=10ms", &[]);
    let mut app = world.connect();
    let mut target = server.target().await;
    app.reaches(&mut target).await;
    let begin = Instant::now();
    assert!(!server.server.stop(secs(3)).await);
    assert!(begin.elapsed() >= secs(3) && begin.elapsed() < secs(6));
    assert!(target.was_aborted());
    assert_eq!(target.rest().await, b"");
    assert_eq!(app.rest().await, b"");
}
