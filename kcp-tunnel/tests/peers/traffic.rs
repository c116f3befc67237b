//! Applications and targets that know what the other must have sent.

use std::io;
use std::net::SocketAddr;

use interop::stream::Stream;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinSet;

/// Connections at the same time, and bytes each way in each.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Load {
    pub(crate) connections: u64,
    pub(crate) bytes: usize,
}

/// Every connection carries its bytes both ways at once, and all exist at the same time. An error says which
/// connection failed and how.
///
/// Peers of kcptun's kind end both directions with the first that ends, so nobody closes before all have finished.
pub(crate) async fn exchange(
    local: SocketAddr,
    target: &TcpListener,
    load: Load,
) -> io::Result<()> {
    let mut apps = JoinSet::new();
    for number in 0..load.connections {
        apps.spawn(async move {
            let app = TcpStream::connect(local).await?;
            both_ways(app, Some(number), load.bytes)
                .await
                .map_err(|error| named("application", number, error))
        });
    }
    let mut targets = JoinSet::new();
    let mut finished = Vec::new();
    loop {
        tokio::select! {
            accepted = target.accept() => {
                let (socket, _) = accepted?;
                targets.spawn(both_ways(socket, None, load.bytes));
            }
            Some(end) = targets.join_next() => finished.push(end.unwrap().map_err(|error| named("target", 0, error))?),
            Some(end) = apps.join_next() => finished.push(end.unwrap()?),
        }
        if finished.len() as u64 == 2 * load.connections {
            return Ok(());
        }
    }
}

/// One end of a connection: `number` says which, and is known to the application only.
async fn both_ways(socket: TcpStream, number: Option<u64>, bytes: usize) -> io::Result<TcpStream> {
    socket.set_nodelay(true)?;
    let (mut reader, mut writer) = socket.into_split();
    let (from, to) = match number {
        Some(number) => {
            writer.write_u64(number).await?;
            (!number, number)
        }
        None => {
            let number = reader.read_u64().await?;
            (number, !number)
        }
    };
    tokio::try_join!(
        send(&mut writer, to, bytes),
        expect(&mut reader, from, bytes)
    )?;
    reader.reunite(writer).map_err(io::Error::other)
}

async fn send(writer: &mut OwnedWriteHalf, seed: u64, bytes: usize) -> io::Result<()> {
    let mut pattern = Pattern::new(seed);
    let mut left = bytes;
    while left > 0 {
        let piece = pattern.next_piece();
        let piece = &piece[..left.min(piece.len())];
        writer.write_all(piece).await?;
        left -= piece.len();
    }
    Ok(())
}

async fn expect(reader: &mut OwnedReadHalf, seed: u64, bytes: usize) -> io::Result<()> {
    let mut pattern = Pattern::new(seed);
    let mut got = vec![0; Pattern::PIECE];
    let mut left = bytes;
    while left > 0 {
        let piece = pattern.next_piece();
        let piece = &piece[..left.min(piece.len())];
        let got = &mut got[..piece.len()];
        reader.read_exact(got).await?;
        if got != piece {
            let at = got
                .iter()
                .zip(piece)
                .take_while(|(got, sent)| got == sent)
                .count();
            let at = bytes - left + at;
            return Err(io::Error::other(format!(
                "byte {at} is not the one that was sent"
            )));
        }
        left -= piece.len();
    }
    Ok(())
}

fn named(end: &str, number: u64, error: io::Error) -> io::Error {
    io::Error::new(error.kind(), format!("{end}, connection {number}: {error}"))
}

/// Bytes by seed, of which every other part can be compressed and every other cannot.
struct Pattern {
    stream: Stream,
    piece: Vec<u8>,
}

impl Pattern {
    const PIECE: usize = 16 << 10;

    fn new(seed: u64) -> Self {
        Self {
            stream: Stream::new(seed),
            piece: vec![0; Self::PIECE],
        }
    }

    fn next_piece(&mut self) -> &[u8] {
        self.stream.fill(&mut self.piece);
        let half = Self::PIECE / 2;
        for at in (0..half).step_by(1_024) {
            self.piece.copy_within(at..at + 512, at + 512);
        }
        &self.piece
    }
}
