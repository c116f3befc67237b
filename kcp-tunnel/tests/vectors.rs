//! What kcptun and its libraries put on the wire, recorded: ours must read it and write the same.

#![expect(
    clippy::unwrap_used,
    reason = "a vector that is not what it should be fails its test"
)]

use core::pin::Pin;
use core::task::{Context, Poll};
use std::io;
use std::num::NonZeroU16;
use std::sync::Arc;
use std::time::Instant;

use kcp_tunnel::qpp::{Pads, Qpp};
use kcp_tunnel::smux::proto::{Readable, Role, Session};
use kcp_tunnel::smux::{Config, StreamId, Version};
use kcp_tunnel::snappy::Snappy;
use serde_json::Value;
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _, ReadBuf};

macro_rules! vectors {
    ($name:literal) => {
        serde_json::from_str::<Value>(include_str!(concat!(
            env!("CARGO_MANIFEST_DIR"),
            "/../tests/interop/vectors/",
            $name
        )))
        .unwrap()
    };
}

fn hex(value: &Value) -> Vec<u8> {
    let text = value.as_str().unwrap();
    (0..text.len())
        .step_by(2)
        .map(|i| u8::from_str_radix(&text[i..i + 2], 16).unwrap())
        .collect()
}

fn hex_list(value: &Value) -> Vec<Vec<u8>> {
    list(value).iter().map(hex).collect()
}

fn list(value: &Value) -> &[Value] {
    value.as_array().unwrap()
}

fn version(value: &Value) -> Version {
    match value.as_u64() {
        Some(1) => Version::V1,
        Some(2) => Version::V2,
        other => panic!("version {other:?}"),
    }
}

/// One end of a session, one frame at a time.
struct End {
    now: Instant,
    session: Session,
}

impl End {
    fn new(role: Role, config: Config) -> Self {
        let now = Instant::now();
        Self {
            now,
            session: Session::new(role, config, now),
        }
    }

    fn frames(&mut self) -> Vec<Vec<u8>> {
        core::iter::from_fn(|| {
            let frame = self.session.poll_transmit(self.now)?;
            Some(frame.as_ref().to_vec())
        })
        .collect()
    }

    fn receive(&mut self, bytes: &[u8]) {
        assert_eq!(
            self.session.handle_input(self.now, bytes).unwrap(),
            bytes.len()
        );
    }

    /// Reads at most `limit` bytes at once.
    fn read(&mut self, stream: StreamId, limit: usize) -> Vec<u8> {
        let Readable::Data(data) = self.session.readable(stream).unwrap() else {
            return Vec::new();
        };
        let data = data[..data.len().min(limit)].to_vec();
        self.session.consume(stream, data.len());
        data
    }

    fn write(&mut self, stream: StreamId, data: &[u8]) {
        assert_eq!(self.session.write(stream, data).unwrap(), data.len());
    }
}

#[test]
fn smux_sends_the_frames_that_the_go_library_sends() {
    let vectors = vectors!("smux.json");
    for recorded in list(&vectors["sessions"]) {
        let frame = recorded["max_frame_size"].as_u64().unwrap() as usize;
        let buffer = recorded["max_stream_buffer"].as_u64().unwrap() as usize;
        let config = Config::new(version(&recorded["version"]))
            .max_frame(frame)
            .unwrap()
            .buffers(4_194_304, buffer)
            .unwrap();
        let mut client = End::new(Role::Client, config.clone());
        let mut server = End::new(Role::Server, config);
        let mut ids = Vec::new();
        for event in list(&recorded["events"]) {
            let name = event["event"].as_str().unwrap();
            let now = client.now;
            match name {
                "client opens stream 3" | "client opens stream 5" => {
                    ids.push(client.session.open().unwrap());
                }
                "server accepts (nothing on the wire)" => {
                    assert_eq!(server.session.accept().unwrap(), Some(ids[0]));
                }
                "client writes 'hello'" => client.write(ids[0], b"hello"),
                "client writes 40 bytes, frame size 16" => {
                    client.write(ids[0], b"0123456789abcdefABCDEFGHIJKLMNOPQRSTUVWX");
                }
                "server reads 5 bytes (v2: first read sends UPD)" => {
                    assert_eq!(server.read(ids[0], 5), b"hello");
                }
                // Go's read stops at the end of a frame, so these are reads of 16 bytes.
                "server reads 20 more (below half of the 64-byte stream buffer: no UPD)"
                | "server reads 20 more (v2: UPD, 40 bytes since the last one)" => {
                    assert_eq!(server.read(ids[0], 16).len(), 16);
                }
                "server writes 'yo'" => server.write(ids[0], b"yo"),
                "client reads 2" => assert_eq!(client.read(ids[0], 2), b"yo"),
                "server opens stream 2" => ids.push(server.session.open().unwrap()),
                "client closes stream 3" => client.session.close_stream(now, ids[0]),
                "server closes stream 3" => server.session.close_stream(now, ids[0]),
                "client closes 5, server closes 2" => {
                    client.session.close_stream(now, ids[1]);
                    server.session.close_stream(now, ids[2]);
                }
                "both sessions closed (no frame)" => {
                    client.session.close(now);
                    server.session.close(now);
                }
                other => panic!("unknown event {other}"),
            }
            let (ours, theirs) = (client.frames(), server.frames());
            assert_eq!(ours, hex_list(&event["client_writes"]), "{name}: client");
            assert_eq!(theirs, hex_list(&event["server_writes"]), "{name}: server");
            server.receive(&ours.concat());
            client.receive(&theirs.concat());
        }
    }
}

#[test]
fn a_keepalive_is_the_go_librarys_nop() {
    let vectors = vectors!("smux.json");
    for (name, version) in [("v1", Version::V1), ("v2", Version::V2)] {
        let mut end = End::new(Role::Client, Config::new(version));
        end.session
            .handle_timeout(end.session.poll_timeout().unwrap());
        assert_eq!(end.frames(), [hex(&vectors["nop"][name])]);
    }
}

/// A transport that keeps what is written to it.
#[derive(Default)]
struct Recorder(Vec<u8>);

impl AsyncWrite for Recorder {
    fn poll_write(
        mut self: Pin<&mut Self>,
        _: &mut Context<'_>,
        data: &[u8],
    ) -> Poll<io::Result<usize>> {
        self.0.extend_from_slice(data);
        Poll::Ready(Ok(data.len()))
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }
}

impl AsyncRead for Recorder {
    fn poll_read(
        self: Pin<&mut Self>,
        _: &mut Context<'_>,
        _: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }
}

#[tokio::test]
async fn snappy_reads_and_writes_what_kcptun_writes() {
    let vectors = vectors!("snappy.json");
    let mut written = Vec::new();
    let mut recorded = Vec::new();
    let mut ours = Recorder::default();
    let mut writer = Snappy::new(&mut ours);
    for step in list(&vectors["steps"]) {
        let plain = hex(&step["write"]);
        writer.write_all(&plain).await.unwrap();
        writer.flush().await.unwrap();
        written.extend(plain);
        recorded.extend(hex_list(&step["underlying_writes"]).concat());
    }
    assert_eq!(ours.0, recorded);
    let mut read = Vec::new();
    Snappy::new(&recorded[..])
        .read_to_end(&mut read)
        .await
        .unwrap();
    assert_eq!(read, written);
}

#[tokio::test]
async fn qpp_writes_what_kcptun_writes_and_reads_it_back() {
    let vectors = vectors!("qpp.json");
    for case in list(&vectors["cases"]) {
        let count = NonZeroU16::new(case["pads"].as_u64().unwrap() as u16).unwrap();
        let pads = Arc::new(Pads::new(case["seed"].as_str().unwrap(), count));
        let mut ours = Recorder::default();
        let mut writer = Qpp::new(&mut ours, Arc::clone(&pads));
        for piece in list(&case["pieces"]) {
            writer.write_all(&hex(&piece["plain"])).await.unwrap();
        }
        let column = |name: &str| -> Vec<u8> {
            list(&case["pieces"])
                .iter()
                .flat_map(|piece| hex(&piece[name]))
                .collect()
        };
        assert_eq!(ours.0, column("cipher"));
        let mut read = Vec::new();
        Qpp::new(&ours.0[..], pads)
            .read_to_end(&mut read)
            .await
            .unwrap();
        assert_eq!(read, column("plain"));
    }
}

/// The frames recorded for one direction of a capture, as bytes.
fn recorded_frames(frames: &Value) -> Vec<u8> {
    let mut out = Vec::new();
    for frame in list(frames) {
        let number = |name: &str| frame[name].as_u64().unwrap() as u32;
        let data = hex(&frame["data"]);
        out.extend([number("ver") as u8, number("cmd") as u8]);
        out.extend((data.len() as u16).to_le_bytes());
        out.extend(number("sid").to_le_bytes());
        out.extend(data);
    }
    out
}

/// All that the application reads from `stream`.
fn application_bytes(end: &mut End, stream: StreamId) -> Vec<u8> {
    let mut bytes = Vec::new();
    loop {
        match end.session.readable(stream).unwrap() {
            Readable::Data(_) => bytes.extend(end.read(stream, usize::MAX)),
            Readable::End => return bytes,
            Readable::Blocked => panic!("the recorded stream has an end"),
        }
    }
}

#[tokio::test]
async fn recorded_tunnels_decode_down_to_the_application() {
    let vectors = vectors!("kcptun_capture.json");
    let expected = hex(&vectors["application_bytes"]);
    let pads = Arc::new(Pads::new("it's a secrect", NonZeroU16::new(61).unwrap()));
    for capture in list(&vectors["captures"]) {
        let name = capture["name"].as_str().unwrap();
        let flags: Vec<&str> = list(&capture["flags"])
            .iter()
            .map(|flag| flag.as_str().unwrap())
            .collect();
        let has = |flag: &str| {
            flags
                .iter()
                .any(|given| given.trim_start_matches('-') == flag)
        };
        for (direction, role) in [("c2s", Role::Server), ("s2c", Role::Client)] {
            let stream = hex(&capture["kcp_stream"][direction]);
            let recorded = &capture["frames"][direction];
            let frames = if has("nocomp") {
                stream
            } else {
                let mut frames = Vec::new();
                Snappy::new(&stream[..])
                    .read_to_end(&mut frames)
                    .await
                    .unwrap();
                frames
            };
            assert_eq!(frames, recorded_frames(recorded), "{name} {direction}");
            let config = Config::new(version(&recorded[0]["ver"]));
            let mut end = End::new(role, config);
            let (stream, frames) = match role {
                Role::Client => (end.session.open().unwrap(), &frames[..]),
                Role::Server => {
                    let (syn, rest) = frames.split_at(8);
                    end.receive(syn);
                    (end.session.accept().unwrap().unwrap(), rest)
                }
            };
            end.write(stream, &expected);
            end.frames();
            end.receive(frames);
            let mut bytes = application_bytes(&mut end, stream);
            if has("QPP") {
                let sealed = core::mem::take(&mut bytes);
                let mut reader = Qpp::new(&sealed[..], Arc::clone(&pads));
                reader.read_to_end(&mut bytes).await.unwrap();
            }
            assert_eq!(bytes, expected, "{name} {direction}");
        }
    }
}
