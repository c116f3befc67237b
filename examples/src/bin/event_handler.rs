//! A server in the callback style of event loops: the methods of a handler are called for whatever happens on any session,
//! all by one task, so that the handler needs no locks.
//!
//! `cargo run -p examples --bin event_handler`
//!
//! It ends a second after the last client has left: KCP has no farewell, so a session ends by silence.

use std::collections::HashMap;
use std::error::Error;
use std::io;
use std::net::SocketAddr;
use std::time::Duration;

use bytes::Bytes;
use kcp_transport::{Cipher, Config, Connector, Listener};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::sync::mpsc;
use tokio_stream::{StreamExt, StreamMap};
use tokio_util::io::ReaderStream;

/// What a server does when something happens. Its methods must not block.
trait Handler {
    /// Bytes have come: a piece of a stream, not a message.
    fn on_data(&mut self, session: &Session, data: Bytes);
    /// A session has ended. Whether to go on.
    fn on_closed(&mut self, session: &Session, reason: io::Error) -> bool;
}

/// A session, to send by.
struct Session {
    peer: SocketAddr,
    outgoing: mpsc::Sender<Bytes>,
}

/// Calls the handler until it wants to stop.
async fn run(mut listener: Listener, handler: &mut impl Handler) -> io::Result<()> {
    let (mut sessions, mut incoming) = (HashMap::new(), StreamMap::new());
    let mut ticks = tokio::time::interval(Duration::from_millis(500));
    loop {
        tokio::select! {
            accepted = listener.accept() => {
                let (stream, peer) = accepted?;
                let id = (peer, stream.conv());
                let (reader, mut writer) = stream.into_split();
                let (outgoing, mut queue) = mpsc::channel(64);
                incoming.insert(id, ReaderStream::new(reader));
                sessions.insert(id, Session { peer, outgoing });
                tokio::spawn(async move {
                    while let Some(data) = queue.recv().await {
                        writer.write_all(&data).await?;
                    }
                    io::Result::Ok(())
                });
            }
            Some((id, event)) = incoming.next() => match event {
                Ok(data) => handler.on_data(&sessions[&id], data),
                Err(reason) => if let Some(session) = sessions.remove(&id)
                    && !handler.on_closed(&session, reason) {
                    return Ok(());
                },
            },
            _ = ticks.tick() => println!("status: {} sessions", sessions.len()),
        }
    }
}

/// Sends everything back, and stops when all clients have left.
struct Echo {
    clients: usize,
}

impl Handler for Echo {
    fn on_data(&mut self, session: &Session, data: Bytes) {
        if session.outgoing.try_send(data).is_err() {
            println!("{} does not read what it is sent", session.peer);
        }
    }

    fn on_closed(&mut self, session: &Session, reason: io::Error) -> bool {
        self.clients -= 1;
        println!("{} has left: {reason}", session.peer);
        self.clients > 0
    }
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let config = Config::default()
        .cipher(Cipher::kcptun("aes-128-gcm", "a long passphrase")?)
        .keepalive(Duration::from_millis(250))
        .idle_timeout(Duration::from_secs(1));
    let listener = Listener::bind("127.0.0.1:0", config.clone()).await?;
    let address = listener.local_addr();
    let clients = tokio::spawn(async move {
        for text in ["one", "two", "three"] {
            let mut session = Connector::new(config.clone()).connect(address).await?;
            session.write_all(text.as_bytes()).await?;
            let mut echo = vec![0; text.len()];
            session.read_exact(&mut echo).await?;
            println!("{text} came back as {}", String::from_utf8_lossy(&echo));
        }
        io::Result::Ok(())
    });
    run(listener, &mut Echo { clients: 3 }).await?;
    Ok(clients.await??)
}
