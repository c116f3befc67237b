//! Messages against those of rpcx itself, and client and server against each other and against nonsense.

use std::io::ErrorKind;
use std::sync::Arc;
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt, DuplexStream, duplex};
use tokio::sync::mpsc;
use tokio::task::JoinHandle;

use super::*;
use crate::registry::{Metadata, Registry};

/// Made by rpcx's `protocol/message.go`.
const REQUEST: &str = "08000010000000000000000700000031000000054172697468000000034d756c0000000a000000016b00000001760000000f7b2241223a31302c2242223a32307d";
const HEARTBEAT: &str =
    "0800403000000000000000080000001900000000000000000000000000000009d30000000000000005";
const FAILURE: &str = "08008110000000000000000700000032000000054172697468000000034d756c0000001a0000000e5f5f727063785f6572726f725f5f00000004626f6f6d00000000";

fn bytes(hex: &str) -> Vec<u8> {
    let pairs = hex.as_bytes().chunks(2);
    pairs
        .map(|pair| u8::from_str_radix(str::from_utf8(pair).unwrap(), 16).unwrap())
        .collect()
}

fn request() -> Message {
    Message {
        number: 7,
        service: "Arith".into(),
        method: "Mul".into(),
        metadata: Metadata::from([("k".into(), "v".into())]),
        payload: br#"{"A":10,"B":20}"#.to_vec(),
        ..Message::default()
    }
}

fn recorded() -> [(&'static str, Message); 3] {
    let heartbeat = Message {
        heartbeat: true,
        codec: Codec::MessagePack,
        number: 8,
        payload: bytes("d30000000000000005"),
        ..Message::default()
    };
    let failure = Message {
        kind: Kind::Response,
        failed: true,
        metadata: Metadata::from([("__rpcx_error__".into(), "boom".into())]),
        payload: Vec::new(),
        ..request()
    };
    [
        (REQUEST, request()),
        (HEARTBEAT, heartbeat),
        (FAILURE, failure),
    ]
}

#[test]
fn messages_are_those_of_rpcx_byte_for_byte() {
    for (hex, message) in recorded() {
        let bytes = bytes(hex);
        assert_eq!(message.encode().unwrap(), bytes);
        let mut rest = &bytes[..];
        assert_eq!(Message::decode(&mut rest), Ok(Some(message)));
        assert!(rest.is_empty());
    }
}

#[test]
fn every_flag_survives_the_wire() {
    let named = [
        Codec::Raw,
        Codec::Json,
        Codec::Protobuf,
        Codec::MessagePack,
        Codec::Thrift,
    ];
    for codec in named.into_iter().chain((5..16).map(Codec::Other)) {
        for compression in [Compression::None, Compression::Gzip, Compression::Other(7)] {
            for bits in 0..16 {
                let message = Message {
                    kind: [Kind::Request, Kind::Response][bits & 1],
                    heartbeat: bits & 2 != 0,
                    one_way: bits & 4 != 0,
                    failed: bits & 8 != 0,
                    codec,
                    compression,
                    ..request()
                };
                let encoded = message.encode().unwrap();
                assert_eq!(Message::decode(&mut &encoded[..]), Ok(Some(message)));
            }
        }
    }
}

#[test]
fn an_incomplete_message_is_waited_for_and_what_follows_stays() {
    let mut bytes = bytes(REQUEST);
    for len in 0..bytes.len() {
        let mut rest = &bytes[..len];
        assert_eq!(Message::decode(&mut rest), Ok(None), "{len} bytes");
        assert_eq!(rest.len(), len);
    }
    bytes.extend(b"next");
    let mut rest = &bytes[..];
    assert!(Message::decode(&mut rest).unwrap().is_some());
    assert_eq!(rest, b"next");
}

#[test]
fn lengths_that_do_not_fit_are_refused_with_the_field() {
    let message = bytes(REQUEST);
    // The places of the four lengths, and of the first one in the metadata.
    for (at, field) in [
        (16, "the service"),
        (25, "the method"),
        (32, "the metadata"),
        (46, "the payload"),
        (36, "a key of the metadata"),
    ] {
        let mut message = message.clone();
        message[at] = 0x7f;
        let decoded = Message::decode(&mut &message[..]);
        assert_eq!(decoded, Err(WireError::Length(field)));
    }
    let mut longer = message;
    longer[15] += 1;
    longer.push(0);
    let decoded = Message::decode(&mut &longer[..]);
    assert_eq!(decoded, Err(WireError::Length("the message")));
}

#[test]
fn a_message_beyond_the_limit_is_refused_by_its_header_alone() {
    let mut header = bytes(REQUEST);
    header.truncate(16);
    header[12..].copy_from_slice(&u32::MAX.to_be_bytes());
    let decoded = Message::decode(&mut &header[..]);
    assert!(matches!(decoded, Err(WireError::TooLong { .. })));

    let too_long = Message {
        payload: vec![0; MAX_MESSAGE],
        ..request()
    };
    assert!(matches!(too_long.encode(), Err(WireError::TooLong { .. })));
}

#[test]
fn other_protocols_and_versions_are_told_by_the_first_bytes() {
    let with = |at: usize, byte: u8| {
        let mut bytes = bytes(REQUEST);
        bytes[at] = byte;
        Message::decode(&mut &bytes[..])
    };
    assert_eq!(with(0, b'G'), Err(WireError::Magic(b'G')));
    assert_eq!(with(1, 3), Err(WireError::Version(3)));
    assert_eq!(with(20, 0xff), Err(WireError::Text("the service")));
}

#[test]
fn no_bytes_make_the_decoder_panic() {
    for (hex, _) in recorded() {
        let message = bytes(hex);
        for bit in 0..message.len() * 8 {
            let mut damaged = message.clone();
            damaged[bit / 8] ^= 1 << (bit % 8);
            let _ = Message::decode(&mut &damaged[..]);
        }
    }
    // A sound header, and anything behind it. Source: G. Marsaglia, "Xorshift RNGs", 2003.
    let mut state = 1_u64;
    let mut random = || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        state
    };
    for _ in 0..20_000 {
        let len = random() % 64;
        let mut message = bytes(REQUEST);
        message.truncate(12);
        message[2] = random() as u8;
        message[3] = random() as u8;
        message.extend((len as u32).to_be_bytes());
        // Mostly small bytes, so that lengths often fit.
        message.extend((0..len).map(|_| (random() % 5) as u8 * (random() % 2) as u8));
        let _ = Message::decode(&mut &message[..]);
    }
}

type Served = JoinHandle<std::io::Result<()>>;

fn registry() -> Registry {
    Registry::new()
        .method("Arith", "Mul", async |(a, b): (i64, i64), _| Ok(a * b))
        .method("Arith", "Div", async |(a, b): (i64, i64), _| {
            a.checked_div(b)
                .ok_or_else(|| "division by zero".to_owned())
        })
        .method("Arith", "Huge", async |(): (), _| {
            Ok("x".repeat(MAX_MESSAGE))
        })
        .method("Who", "calls", async |(): (), metadata: Metadata| {
            Ok(metadata)
        })
        .method("Never", "ends", async |(): (), _| {
            std::future::pending::<()>().await;
            Ok(())
        })
}

fn serve(registry: Registry) -> (DuplexStream, Served) {
    let (near, far) = duplex(1024);
    let server = Server::new(Arc::new(registry));
    (near, tokio::spawn(server.serve_connection(far)))
}

#[tokio::test]
async fn many_calls_at_a_time_get_their_own_answers() {
    let (near, served) = serve(registry());
    let client = Client::new(near);
    let calls = (0..1_000_i64).map(|n| {
        let client = client.clone();
        tokio::spawn(async move {
            let (no_metadata, operands) = (Metadata::new(), (n, n));
            let product: i64 = client
                .call("Arith", "Mul", &no_metadata, &operands)
                .await
                .unwrap();
            assert_eq!(product, n * n);
        })
    });
    for call in calls.collect::<Vec<_>>() {
        call.await.unwrap();
    }
    drop(client);
    served.await.unwrap().unwrap();
}

#[tokio::test]
async fn an_error_of_the_method_reaches_the_caller_and_the_connection_lives_on() {
    let client = Client::new(serve(registry()).0);
    let no_metadata = Metadata::new();
    let error = client
        .call::<_, i64>("Arith", "Div", &no_metadata, &(1, 0))
        .await;
    assert_eq!(
        error.unwrap_err().to_string(),
        "the server says: division by zero"
    );
    let error = client
        .call::<_, String>("Arith", "Huge", &no_metadata, &())
        .await;
    assert!(
        error
            .unwrap_err()
            .to_string()
            .contains("a message may have")
    );
    let error = client
        .call::<_, i64>("Arith", "Pow", &no_metadata, &(1, 0))
        .await;
    assert!(matches!(error, Err(CallError::Refused(_))));
    let quotient: i64 = client
        .call("Arith", "Div", &no_metadata, &(7, 2))
        .await
        .unwrap();
    assert_eq!(quotient, 3);
}

#[tokio::test]
async fn metadata_reaches_the_method() {
    let client = Client::new(serve(registry()).0).timeout(Duration::from_secs(9));
    let metadata = Metadata::from([("__AUTH".into(), "token".into())]);
    let seen: Metadata = client.call("Who", "calls", &metadata, &()).await.unwrap();
    assert_eq!(seen["__AUTH"], "token");
    assert_eq!(seen["__ServerTimeout"], "9000");
}

#[tokio::test]
async fn a_one_way_call_is_carried_out_and_not_answered() {
    let (told, mut heard) = mpsc::unbounded_channel();
    let registry = Registry::new().method("Log", "line", move |line: String, _| {
        let told = told.clone();
        async move { told.send(line).map_err(|error| error.to_string()) }
    });
    let (mut near, served) = serve(registry);
    let notice = Message {
        one_way: true,
        service: "Log".into(),
        method: "line".into(),
        payload: br#""hello""#.to_vec(),
        ..Message::default()
    };
    near.write_all(&notice.encode().unwrap()).await.unwrap();
    near.shutdown().await.unwrap();
    assert_eq!(heard.recv().await.unwrap(), "hello");
    let mut answer = Vec::new();
    near.read_to_end(&mut answer).await.unwrap();
    assert!(answer.is_empty());
    served.await.unwrap().unwrap();
}

#[tokio::test]
async fn a_heartbeat_comes_back_as_it_was_but_for_its_direction() {
    let (mut near, _served) = serve(Registry::new());
    near.write_all(&bytes(HEARTBEAT)).await.unwrap();
    let answer = Message::read(&mut near).await.unwrap().unwrap();
    let [_, (_, heartbeat), _] = recorded();
    let expected = Message {
        kind: Kind::Response,
        ..heartbeat
    };
    assert_eq!(answer, expected);

    let client = Client::new(serve(Registry::new()).0);
    client.heartbeat().await.unwrap();
}

#[tokio::test]
async fn a_call_in_another_encoding_is_answered_by_an_error() {
    let (mut near, _served) = serve(registry());
    for (codec, compression) in [
        (Codec::MessagePack, Compression::None),
        (Codec::Json, Compression::Gzip),
    ] {
        let message = Message {
            codec,
            compression,
            ..request()
        };
        near.write_all(&message.encode().unwrap()).await.unwrap();
        let answer = Message::read(&mut near).await.unwrap().unwrap();
        assert!(answer.failed && answer.number == 7);
        assert!(answer.metadata["__rpcx_error__"].contains("only plain JSON"));
    }
}

#[tokio::test(start_paused = true)]
async fn server_and_caller_give_up_a_call_after_the_timeout() {
    // The server alone: nobody else watches the clock.
    let (mut near, _served) = serve(registry());
    let call = Message {
        service: "Never".into(),
        method: "ends".into(),
        metadata: Metadata::from([("__ServerTimeout".into(), "50".into())]),
        payload: b"null".to_vec(),
        ..Message::default()
    };
    near.write_all(&call.encode().unwrap()).await.unwrap();
    let answer = Message::read(&mut near).await.unwrap().unwrap();
    assert!(answer.metadata["__rpcx_error__"].contains("50ms"));

    // The caller alone: the peer takes everything and says nothing.
    let (near, _far) = duplex(1024);
    let client = Client::new(near).timeout(Duration::from_millis(50));
    let error = client
        .call::<_, i64>("Arith", "Mul", &Metadata::new(), &(1, 2))
        .await;
    assert!(matches!(error, Err(CallError::NoAnswer(_))));
}

#[tokio::test]
async fn callers_learn_that_the_connection_is_lost() {
    let (near, far) = duplex(1024);
    let client = Client::new(near);
    let other = client.clone();
    let call = tokio::spawn(async move {
        let no_metadata = Metadata::new();
        other
            .call::<_, i64>("Arith", "Mul", &no_metadata, &(1, 2))
            .await
    });
    drop(far);
    assert!(matches!(call.await.unwrap(), Err(CallError::Lost(_))));
    assert!(matches!(client.heartbeat().await, Err(CallError::Lost(_))));
}

#[tokio::test]
async fn nonsense_ends_the_connection_and_nothing_else() {
    for (sent, kind) in [
        (&b"GET / HTTP/1.1\r\n\r\n"[..], ErrorKind::InvalidData),
        (&bytes(REQUEST)[..40], ErrorKind::UnexpectedEof),
    ] {
        let (mut near, served) = serve(registry());
        near.write_all(sent).await.unwrap();
        near.shutdown().await.unwrap();
        let error = served.await.unwrap().unwrap_err();
        assert_eq!(error.kind(), kind);
    }
}

#[tokio::test]
async fn a_length_that_is_only_announced_takes_no_memory() {
    let mut header = bytes(REQUEST);
    header.truncate(12);
    header.extend((MAX_MESSAGE as u32).to_be_bytes());
    let allocated = allocation_counter::measure(|| {
        let mut reader = &header[..];
        let read = std::pin::pin!(Message::read(&mut reader));
        let mut cx = std::task::Context::from_waker(std::task::Waker::noop());
        let std::task::Poll::Ready(read) = read.poll(&mut cx) else {
            panic!("a slice is always ready");
        };
        assert_eq!(read.unwrap_err().kind(), ErrorKind::UnexpectedEof);
    });
    assert!(allocated.bytes_max < 4_096, "{}", allocated.bytes_max);
}
