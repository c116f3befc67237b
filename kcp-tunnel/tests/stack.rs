//! All layers of a tunnel on top of each other, as both programs stack them.

use std::io::ErrorKind;
use std::num::NonZeroU16;
use std::sync::Arc;

use kcp_tunnel::qpp::{Pads, Qpp};
use kcp_tunnel::smux::{Config, Session, SessionError, Version};
use kcp_tunnel::snappy::Snappy;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _, duplex};

/// Two sessions, with compression, over a transport that takes `capacity` bytes ahead.
fn sessions(version: Version, capacity: usize) -> (Session, Session) {
    let (near, far) = duplex(capacity);
    let config = Config::new(version);
    let client = Session::client(Snappy::new(near), config.clone());
    (client, Session::server(Snappy::new(far), config))
}

#[tokio::test(start_paused = true)]
async fn many_streams_carry_different_bytes_through_every_layer() {
    let pads = Arc::new(Pads::new("it's a secrect", NonZeroU16::MIN));
    for version in [Version::V1, Version::V2] {
        let (client, server) = sessions(version, 700);
        let server_pads = Arc::clone(&pads);
        tokio::spawn(async move {
            while let Ok(stream) = server.accept().await {
                let stream = Qpp::new(stream, Arc::clone(&server_pads));
                tokio::spawn(async move {
                    let (mut reader, mut writer) = tokio::io::split(stream);
                    let copied = tokio::io::copy(&mut reader, &mut writer).await;
                    writer.shutdown().await.and(copied).unwrap();
                });
            }
        });
        let tasks: Vec<_> = (0..100_u32)
            .map(|i| {
                let stream = Qpp::new(client.open().unwrap(), Arc::clone(&pads));
                tokio::spawn(async move {
                    let (mut reader, mut writer) = tokio::io::split(stream);
                    let sent: Vec<u8> = (0..20_000)
                        .map(|n| (n * (i + 1) / (i % 9 + 1)) as u8)
                        .collect();
                    let write = async {
                        writer.write_all(&sent).await.unwrap();
                        writer.shutdown().await.unwrap();
                    };
                    let mut got = Vec::new();
                    let ((), read) = tokio::join!(write, reader.read_to_end(&mut got));
                    read.unwrap();
                    assert!(got == sent);
                })
            })
            .collect();
        for task in tasks {
            task.await.unwrap();
        }
    }
}

#[tokio::test]
async fn a_peer_that_does_not_compress_is_named_as_the_cause() {
    let (near, mut peer) = duplex(1_000);
    let client = Session::client(Snappy::new(near), Config::new(Version::V2));
    let mut stream = client.open().unwrap();
    peer.write_all(&[2, 3, 0, 0, 0, 0, 0, 0]).await.unwrap();
    let error = stream.read_u8().await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::InvalidData);
    let text = error.to_string();
    assert!(
        text.ends_with("not a snappy stream: the peer must use compression, too"),
        "{text}"
    );
    assert!(matches!(client.closed().await, SessionError::Transport(_)));
}
