//! The Go client of rpcx calls us in encodings that the example's server, which speaks JSON, leaves to others.

use std::collections::HashMap;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, AtomicU64, Ordering};

use examples::registry::Metadata;
use examples::rpcx::{Codec, Kind, Message};
use interop::go::{RpcxCodec, RpcxPeer};
use kcp_transport::{KcpStream, Listener};
use tokio::io::AsyncWriteExt;
use tokio::task::JoinSet;

use crate::cell::PATIENCE;
use crate::guard::while_moving;
use crate::rpcx::{CALLS, link, passed, settings};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_rpcx_client_calls_us_in_protocol_buffers_and_messagepack() {
    let Some(program) = RpcxPeer::find() else {
        return;
    };
    for (codec, encoding) in [
        (RpcxCodec::Protobuf, Encoding::PROTOBUF),
        (RpcxCodec::MessagePack, Encoding::MESSAGE_PACK),
    ] {
        let loopback = SocketAddr::from((Ipv4Addr::LOCALHOST, 0));
        let mut listener = Listener::bind(loopback, settings()).await.expect("bound");
        let relay = link(listener.local_addr());
        let arith = Arc::new(Arith::default());
        let answering = Arc::clone(&arith);
        let server = tokio::spawn(async move {
            let mut sessions = JoinSet::new();
            while let Ok((session, _)) = listener.accept().await {
                sessions.spawn(answer_all(session, encoding, Arc::clone(&answering)));
            }
        });
        let addr = relay.local_addr();
        let mut peer = RpcxPeer::call(program, addr, codec, CALLS as usize, PATIENCE);
        while_moving(|| arith.products.load(Ordering::Relaxed), peer.called()).await;
        assert_eq!(arith.products.load(Ordering::Relaxed), CALLS as u64);
        server.abort();
    }
    passed(
        "serves",
        "calls in protocol buffers and MessagePack, errors, one-way calls, at 5 % loss",
    );
}

/// The service of `go/rpcx/arith.go`.
#[derive(Debug, Default)]
struct Arith {
    products: AtomicU64,
    noted: AtomicI64,
}

impl Arith {
    fn call(&self, method: &str, a: i64, b: i64) -> Result<i64, String> {
        match method {
            "Mul" => {
                self.products.fetch_add(1, Ordering::Relaxed);
                Ok(a * b)
            }
            "Div" => a.checked_div(b).ok_or("division by zero".to_owned()),
            "Note" => Ok(self.noted.fetch_add(a, Ordering::Relaxed)),
            "Noted" => Ok(self.noted.load(Ordering::Relaxed)),
            other => Err(format!("rpcx: can't find method {other}")),
        }
    }
}

async fn answer_all(mut session: KcpStream, encoding: Encoding, arith: Arc<Arith>) {
    while let Ok(Some(request)) = Message::read(&mut session).await {
        if request.one_way && !request.heartbeat {
            assert_eq!(request.codec, encoding.codec);
            let (a, b) = (encoding.operands)(&request.payload);
            arith
                .call(&request.method, a, b)
                .expect("nobody hears of it");
            continue;
        }
        let mut response = Message {
            kind: Kind::Response,
            ..request
        };
        // Of a heartbeat the reply is the same again.
        if !response.heartbeat {
            assert_eq!(response.codec, encoding.codec);
            let (a, b) = (encoding.operands)(&response.payload);
            match arith.call(&response.method, a, b) {
                Ok(number) => response.payload = (encoding.number)(number),
                Err(text) => {
                    response.failed = true;
                    response.payload = Vec::new();
                    response.metadata = Metadata::from([("__rpcx_error__".to_owned(), text)]);
                }
            }
        }
        let bytes = response.encode().expect("short enough");
        if session.write_all(&bytes).await.is_err() {
            return;
        }
    }
}

/// How the two numbers of a request and the one of a response are written.
#[derive(Clone, Copy)]
struct Encoding {
    codec: Codec,
    operands: fn(&[u8]) -> (i64, i64),
    number: fn(i64) -> Vec<u8>,
}

impl Encoding {
    const PROTOBUF: Self = Self {
        codec: Codec::Protobuf,
        operands: |mut payload| {
            let mut fields = HashMap::new();
            while !payload.is_empty() {
                let tag = varint(&mut payload);
                fields.insert(tag >> 3, varint(&mut payload).cast_signed());
            }
            let field = |number| fields.get(&number).copied().unwrap_or_default();
            (field(1), field(2))
        },
        number: |number| {
            let (mut bytes, mut rest) = (vec![0x08], number.cast_unsigned());
            while rest >= 0x80 {
                bytes.push(rest as u8 | 0x80);
                rest >>= 7;
            }
            bytes.push(rest as u8);
            bytes
        },
    };

    const MESSAGE_PACK: Self = Self {
        codec: Codec::MessagePack,
        operands: |mut payload| {
            let mut fields = HashMap::new();
            let pairs = take(&mut payload, 1)[0] & 0x0f;
            for _ in 0..pairs {
                let [0xa1, name] = take(&mut payload, 2)[..] else {
                    panic!("names have one letter: {payload:?}");
                };
                fields.insert(name, packed(&mut payload));
            }
            let field = |name| fields.get(&name).copied().unwrap_or_default();
            (field(b'A'), field(b'B'))
        },
        number: |number| [&[0x81, 0xa1, b'C', 0xd3][..], &number.to_be_bytes()].concat(),
    };
}

fn take<'a>(payload: &mut &'a [u8], len: usize) -> &'a [u8] {
    let (taken, rest) = payload.split_at(len);
    *payload = rest;
    taken
}

/// A number of seven bits a byte, the lowest first.
fn varint(payload: &mut &[u8]) -> u64 {
    let len = 1 + payload.iter().take_while(|&&byte| byte >= 0x80).count();
    let bytes = take(payload, len).iter().rev();
    bytes.fold(0, |sum, byte| sum << 7 | u64::from(byte & 0x7f))
}

/// An integer of MessagePack, in whichever of its forms.
fn packed(payload: &mut &[u8]) -> i64 {
    let form = take(payload, 1)[0];
    let len = match form {
        0xcc..=0xcf => 1 << (form - 0xcc),
        0xd0..=0xd3 => 1 << (form - 0xd0),
        _ => return i64::from(form.cast_signed()),
    };
    let bytes = take(payload, len);
    let negative = form >= 0xd0 && bytes[0] >= 0x80;
    let begin = if negative { -1 } else { 0 };
    let sum = |sum, &byte: &u8| sum << 8 | i64::from(byte);
    bytes.iter().fold(begin, sum)
}
