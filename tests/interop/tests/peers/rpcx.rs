//! rpcx across languages: its Go server called by our example's client, its Go client calling our example's server.

use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, AtomicU64, Ordering};

use examples::registry::{Metadata, Registry};
use examples::rpcx::{CallError, Client, Codec, Kind, Message, Server, cipher, config};
use interop::go::{RpcxCodec, RpcxPeer};
use kcp_transport::{Config, Connector, Listener};
use netlab::relay::Relay;
use serde::{Deserialize, Serialize};
use tokio::io::{AsyncWriteExt, DuplexStream};

use crate::cell::PATIENCE;
use crate::guard::{moved, while_moving};
use crate::record;
use crate::seed::seed;

/// Calls of each kind.
pub(crate) const CALLS: i64 = 200;

const PATH: &str = "delay=3ms loss=5%";

const LOOPBACK: SocketAddr = SocketAddr::new(std::net::IpAddr::V4(Ipv4Addr::LOCALHOST), 0);

/// What calls carry, as in `go/rpcx/arith.go`.
#[derive(Clone, Copy, Debug, Deserialize, Serialize)]
#[serde(rename_all = "UPPERCASE")]
struct Operands {
    a: i64,
    b: i64,
}

#[derive(Clone, Copy, Debug, Deserialize, PartialEq, Serialize)]
#[serde(rename_all = "UPPERCASE")]
struct Number {
    c: i64,
}

#[derive(Debug, Deserialize, Serialize)]
#[serde(rename_all = "PascalCase")]
struct Text {
    text: String,
}

pub(crate) fn settings() -> Config {
    let cipher = cipher("aes", "rpcx-key", "rpcx-salt").expect("a cipher");
    config(cipher).expect("a code")
}

pub(crate) fn link(server: SocketAddr) -> Relay {
    let link: netlab::link::LinkConfig = PATH.parse().expect("a link");
    Relay::start(server, link.clone(), link, seed()).expect("started")
}

pub(crate) fn passed(role: &'static str, what: &'static str) {
    record::passed(record::Row {
        peer: "rpcx 1.8.31, kcp-go 5.4.20",
        role,
        cipher: "aes",
        code: "10/3",
        what,
    });
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn our_client_calls_an_rpcx_server() {
    let Some(program) = RpcxPeer::find() else {
        return;
    };
    let (_peer, addr) = RpcxPeer::serve(program, PATIENCE).await;
    let relay = link(addr);
    let session = Connector::new(settings())
        .connect_addr(relay.local_addr())
        .await;
    let session = session.expect("opened");
    let sign = moved(session.info());
    let client = Client::new(session);
    while_moving(sign, call_all(&client)).await;
    passed(
        "calls",
        "calls in JSON, errors, metadata, one-way calls, heartbeats, at 5 % loss",
    );
}

async fn call_all(client: &Client) {
    let none = Metadata::new();
    let mut calls = Vec::new();
    for number in 0..CALLS {
        let (client, none) = (client.clone(), none.clone());
        calls.push(tokio::spawn(async move {
            let operands = Operands {
                a: number,
                b: number - CALLS / 2,
            };
            let product: Result<Number, _> = client.call("Arith", "Mul", &none, &operands).await;
            assert_eq!(product.expect("it answers").c, operands.a * operands.b);
            let quotient: Result<Number, _> = client.call("Arith", "Div", &none, &operands).await;
            match operands.a.checked_div(operands.b) {
                Some(expected) => assert_eq!(quotient.expect("it answers").c, expected),
                None => assert_eq!(refusal(quotient), "division by zero"),
            }
            let one = Operands { a: 1, b: 0 };
            client
                .notify("Arith", "Note", &none, &one)
                .await
                .expect("it is sent");
        }));
    }
    for call in calls {
        call.await.expect("it goes well");
    }
    let nothing = Operands { a: 0, b: 0 };
    loop {
        let sum: Result<Number, _> = client.call("Arith", "Noted", &none, &nothing).await;
        if sum.expect("it answers").c == CALLS {
            break;
        }
    }
    let absent: Result<Number, _> = client.call("Arith", "Absent", &none, &nothing).await;
    assert_eq!(refusal(absent), "rpcx: can't find method Absent");
    let absent: Result<Number, _> = client.call("Absent", "Mul", &none, &nothing).await;
    assert_eq!(refusal(absent), "rpcx: can't find service Absent");
    let metadata = Metadata::from([("trace".to_owned(), "über 7".to_owned())]);
    let name = Text {
        text: "trace".to_owned(),
    };
    let value: Result<Text, _> = client.call("Arith", "Trace", &metadata, &name).await;
    assert_eq!(value.expect("it answers").text, "über 7");
    client.heartbeat().await.expect("it lives");
}

/// A call, one that is refused, and a heartbeat.
pub(crate) async fn call_some(stream: DuplexStream) {
    let (client, none) = (Client::new(stream), Metadata::new());
    let operands = Operands { a: 6, b: 0 };
    let product: Result<Number, _> = client.call("Arith", "Mul", &none, &operands).await;
    assert_eq!(product.expect("it answers").c, 0);
    let quotient: Result<Number, _> = client.call("Arith", "Div", &none, &operands).await;
    assert_eq!(refusal(quotient), "division by zero");
    client.heartbeat().await.expect("it lives");
}

fn refusal<T: std::fmt::Debug>(result: Result<T, CallError>) -> String {
    match result {
        Err(CallError::Refused(text)) => text,
        other => panic!("not refused: {other:?}"),
    }
}

/// The example speaks JSON only, but its messages carry anything.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_rpcx_server_answers_our_messages_in_every_encoding() {
    let Some(program) = RpcxPeer::find() else {
        return;
    };
    let (_peer, addr) = RpcxPeer::serve(program, PATIENCE).await;
    let session = Connector::new(settings()).connect_addr(addr).await;
    let mut session = session.expect("opened");
    let cases: [(Codec, &[u8], &[u8]); 3] = [
        (Codec::Json, br#"{"A":6,"B":7}"#, br#"{"C":42}"#),
        // Fields 1 and 2, numbers of variable length; field 1.
        (Codec::Protobuf, &[0x08, 6, 0x10, 7], &[0x08, 42]),
        // A map of two names of one letter; a map of one, to a number of 64 bits.
        (
            Codec::MessagePack,
            &[0x82, 0xa1, b'A', 6, 0xa1, b'B', 7],
            &[0x81, 0xa1, b'C', 0xd3, 0, 0, 0, 0, 0, 0, 0, 42],
        ),
    ];
    for (number, (codec, payload, expected)) in (1..).zip(cases) {
        let request = Message {
            codec,
            number,
            service: "Arith".to_owned(),
            method: "Mul".to_owned(),
            payload: payload.to_vec(),
            ..Message::default()
        };
        let bytes = request.encode().expect("short enough");
        session.write_all(&bytes).await.expect("it lives");
        let reply = tokio::time::timeout(PATIENCE, Message::read(&mut session)).await;
        let reply = reply.expect("in time").expect("a message");
        let response = Message {
            kind: Kind::Response,
            payload: expected.to_vec(),
            ..request
        };
        assert_eq!(reply, Some(response));
    }
    passed(
        "calls",
        "messages in JSON, protocol buffers and MessagePack",
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_rpcx_client_calls_our_server() {
    let Some(program) = RpcxPeer::find() else {
        return;
    };
    let called = Arc::new(AtomicU64::new(0));
    let registry = arith(Registry::new(), Arc::clone(&called), Arc::default());
    let listener = Listener::bind(LOOPBACK, settings()).await.expect("bound");
    let relay = link(listener.local_addr());
    let server = tokio::spawn(Server::new(Arc::new(registry)).serve(listener));
    let calls = CALLS as usize;
    let addr = relay.local_addr();
    let mut peer = RpcxPeer::call(program, addr, RpcxCodec::Json, calls, PATIENCE);
    while_moving(|| called.load(Ordering::Relaxed), peer.called()).await;
    assert_eq!(called.load(Ordering::Relaxed), CALLS as u64);
    server.abort();
    passed(
        "serves",
        "calls in JSON, errors, metadata, one-way calls, heartbeats, at 5 % loss",
    );
}

/// The service of `go/rpcx/arith.go`, which counts products and adds up what is noted.
pub(crate) fn arith(
    registry: Registry,
    products: Arc<AtomicU64>,
    noted: Arc<AtomicI64>,
) -> Registry {
    let sum = Arc::clone(&noted);
    registry
        .method("Arith", "Mul", move |Operands { a, b }, _| {
            products.fetch_add(1, Ordering::Relaxed);
            async move { Ok(Number { c: a * b }) }
        })
        .method("Arith", "Div", async |Operands { a, b }, _| {
            let c = a.checked_div(b).ok_or("division by zero")?;
            Ok(Number { c })
        })
        .method(
            "Arith",
            "Trace",
            async |Text { text }, metadata: Metadata| {
                let text = metadata.get(&text).cloned().unwrap_or_default();
                Ok(Text { text })
            },
        )
        .method("Arith", "Note", move |Operands { a, .. }, _| {
            let c = noted.fetch_add(a, Ordering::Relaxed);
            async move { Ok(Number { c }) }
        })
        .method("Arith", "Noted", move |_: Operands, _| {
            let c = sum.load(Ordering::Relaxed);
            async move { Ok(Number { c }) }
        })
}
