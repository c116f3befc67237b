//! Sends a file through a lossy link, with a progress bar, and checks what arrived by its SHA-256.
//!
//! `cargo run --release -p examples --bin send_file [-- FILE]` (default: 32 MiB made up)
//!
//! Sender, link and receiver run in this process: 5 % of the packets get lost each way, 25 ms one way.

use std::error::Error;
use std::time::Instant;

use indicatif::{ProgressBar, ProgressStyle};
use kcp_transport::{Cipher, Config, Connector, Fec, Listener};
use netlab::relay::Relay;
use sha2::{Digest, Sha256};
use tokio::io::{AsyncReadExt, AsyncWriteExt};

/// What is sent at a time.
const PIECE: usize = 64 * 1024;

/// Takes one file: its length, its bytes, and nothing else. Answers with the digest of what arrived.
async fn receive(mut listener: Listener) -> std::io::Result<()> {
    let (mut stream, _) = listener.accept().await?;
    let mut left = usize::try_from(stream.read_u64().await?).map_err(std::io::Error::other)?;
    let (mut digest, mut piece) = (Sha256::new(), vec![0; PIECE]);
    while left > 0 {
        let len = left.min(PIECE);
        let read = stream.read(&mut piece[..len]).await?;
        digest.update(&piece[..read]);
        left -= read;
    }
    stream.write_all(&digest.finalize()).await?;
    stream.close().await.map_err(Into::into)
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let file = match std::env::args().nth(1) {
        Some(path) => tokio::fs::read(path).await?,
        None => (0..32 << 20)
            .map(|at: u32| (at ^ (at >> 7)) as u8)
            .collect(),
    };
    let config = Config::fast3()
        .cipher(Cipher::kcptun(
            "aes-128-gcm",
            "use a long random passphrase",
        )?)
        .fec(Fec::new(10, 3)?);
    let listener = Listener::bind("127.0.0.1:0", config.clone()).await?;
    let link = "loss=5% delay=25ms";
    let relay = Relay::start(listener.local_addr(), link.parse()?, link.parse()?, 7)?;
    tokio::spawn(receive(listener));

    let style = ProgressStyle::with_template("{bar:40} {bytes}/{total_bytes} {bytes_per_sec}")?;
    let bar = ProgressBar::new(file.len() as u64).with_style(style);
    let mut stream = Connector::new(config).connect(relay.local_addr()).await?;
    let start = Instant::now();
    stream.write_u64(file.len() as u64).await?;
    for piece in file.chunks(PIECE) {
        stream.write_all(piece).await?;
        bar.inc(piece.len() as u64);
    }
    let mut answer = [0; 32];
    stream.read_exact(&mut answer).await?;
    bar.finish();
    if answer[..] != Sha256::digest(&file)[..] {
        return Err("what arrived differs from what was sent".into());
    }
    let (stats, seconds) = (stream.stats(), start.elapsed().as_secs_f64());
    println!("{:.1} MB/s, intact", file.len() as f64 / 1e6 / seconds);
    println!(
        "{} segments sent again, {:.0} % of what was sent was useful",
        stats.resends(),
        stats.useful_ratio() * 100.0
    );
    Ok(())
}
