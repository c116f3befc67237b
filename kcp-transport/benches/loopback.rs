//! Throughput over real sockets on loopback, with the sizes of kcp-go's own benchmarks.
//!
//! `cargo bench -p kcp-transport --bench loopback [-- FILTER]`
//!
//! Sink: one session, one way, bytes counted at the receiver. Echo: the same bytes back, as kcp-go's `EchoSpeed`. Both
//! ends run in this process, each on a thread of its own; `one core` puts them on one thread. The last column is CPU
//! time of both ends per gigabyte received (Linux only).

#![expect(clippy::disallowed_methods, reason = "a benchmark measures real time")]

use std::thread;
use std::time::{Duration, Instant};

use kcp_transport::{Cipher, Config, Connector, Fec, Listener, Window};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::runtime::{Builder, Runtime};
use tokio::sync::oneshot;

/// How long each case runs.
const DURATION: Duration = Duration::from_millis(700);

#[derive(Clone, Copy)]
struct Case {
    cipher: &'static str,
    fec: bool,
    window: usize,
    write: usize,
    echo: bool,
    threads: usize,
}

fn main() {
    let filter = std::env::args()
        .skip(1)
        .find(|arg| !arg.starts_with('-'))
        .unwrap_or_default();
    println!("{:<52} {:>8} {:>10}", "case", "MB/s", "cpu-s/GB");
    for case in cases() {
        let name = name(case);
        if !name.contains(&filter) {
            continue;
        }
        let (rate, cpu) = run(case);
        println!("{name:<52} {rate:>8.0} {cpu:>10.2}");
    }
}

fn cases() -> Vec<Case> {
    let plain = Case {
        cipher: "null",
        fec: false,
        window: 1_024,
        write: 64 << 10,
        echo: false,
        threads: 2,
    };
    let mut cases = Vec::new();
    for window in [1_024, 4_096, 16_384] {
        cases.push(Case { window, ..plain });
        cases.push(Case {
            window,
            threads: 1,
            ..plain
        });
    }
    for (cipher, fec) in [("aes-128-gcm", false), ("aes-128-gcm", true)] {
        cases.push(Case {
            cipher,
            fec,
            ..plain
        });
        cases.push(Case {
            cipher,
            fec,
            threads: 1,
            ..plain
        });
    }
    for cipher in ["aes-128", "salsa20"] {
        for fec in [false, true] {
            for write in [4 << 10, 64 << 10, 256 << 10, 1 << 20] {
                cases.push(Case {
                    cipher,
                    fec,
                    write,
                    ..plain
                });
            }
        }
    }
    cases.push(Case {
        cipher: "aes-128",
        fec: true,
        threads: 1,
        ..plain
    });
    for write in [4 << 10, 64 << 10, 512 << 10, 1 << 20] {
        cases.push(Case {
            cipher: "salsa20",
            fec: true,
            write,
            echo: true,
            ..plain
        });
    }
    cases
}

fn name(case: Case) -> String {
    let Case {
        cipher,
        fec,
        window,
        write,
        echo,
        threads,
    } = case;
    format!(
        "{} {} KiB, {cipher}{}, window {window}{}",
        if echo { "echo" } else { "sink" },
        write >> 10,
        if fec { ", FEC 10/3" } else { "" },
        if threads == 1 { ", one core" } else { "" },
    )
}

fn config(case: Case) -> Config {
    let window = Window::new(case.window).expect("in range");
    let fec = case.fec.then(|| Fec::new(10, 3).expect("valid"));
    Config::fast3()
        .cipher(Cipher::kcptun(case.cipher, "benchmark").expect("a listed name"))
        .fec(fec)
        .send_window(window)
        .receive_window(window)
        .max_bandwidth(u64::MAX)
}

fn runtime() -> Runtime {
    Builder::new_current_thread()
        .enable_all()
        .build()
        .expect("a runtime")
}

/// Megabytes per second at the receiver, and CPU seconds per gigabyte.
fn run(case: Case) -> (f64, f64) {
    let (address, bound) = oneshot::channel();
    let receiver = async move {
        let mut listener = Listener::bind("127.0.0.1:0", config(case))
            .await
            .expect("bound");
        address
            .send(listener.local_addr())
            .expect("the sender waits for it");
        let (stream, _) = listener.accept().await.expect("listening");
        if case.echo {
            let (mut reader, mut writer) = stream.into_split();
            let _ = tokio::io::copy(&mut reader, &mut writer).await;
            return (0.0, 0.0);
        }
        count(stream.into_split().0).await
    };
    let sender = async move {
        let address = bound.await.expect("bound");
        let stream = Connector::new(config(case))
            .connect(address)
            .await
            .expect("opened");
        let (reader, mut writer) = stream.into_split();
        let writing = async move {
            let data = vec![7; case.write];
            while writer.write_all(&data).await.is_ok() {}
        };
        if case.echo {
            let writing = tokio::spawn(writing);
            let result = count(reader).await;
            writing.abort();
            result
        } else {
            let _ = tokio::time::timeout(4 * DURATION, writing).await;
            (0.0, 0.0)
        }
    };
    let (received, echoed) = if case.threads == 1 {
        runtime().block_on(async {
            let (sending, receiving) = (tokio::spawn(sender), tokio::spawn(receiver));
            if case.echo {
                (Default::default(), sending.await.expect("no panic"))
            } else {
                (receiving.await.expect("no panic"), Default::default())
            }
        })
    } else {
        let receiving = thread::spawn(|| runtime().block_on(receiver));
        if case.echo {
            (Default::default(), runtime().block_on(sender))
        } else {
            thread::spawn(|| runtime().block_on(sender));
            (receiving.join().expect("no panic"), Default::default())
        }
    };
    if case.echo { echoed } else { received }
}

/// Reads for the case's duration, after a short start.
async fn count(mut reader: kcp_transport::OwnedReadHalf) -> (f64, f64) {
    let mut buffer = vec![0; 256 << 10];
    let warm = Instant::now();
    while warm.elapsed() < DURATION / 5 {
        let read = reader.read(&mut buffer).await.expect("data flows");
        assert!(read > 0, "a session does not end by itself");
    }
    let (start, cpu) = (Instant::now(), cpu_seconds());
    let mut bytes = 0;
    while start.elapsed() < DURATION {
        bytes += reader.read(&mut buffer).await.expect("data flows");
    }
    let bytes = bytes as f64;
    (
        bytes / 1e6 / start.elapsed().as_secs_f64(),
        (cpu_seconds() - cpu) / (bytes / 1e9),
    )
}

/// CPU time of this process so far; zero where it cannot be read.
fn cpu_seconds() -> f64 {
    let stat = std::fs::read_to_string("/proc/self/stat").unwrap_or_default();
    let fields: Vec<&str> = stat
        .rsplit(')')
        .next()
        .unwrap_or("")
        .split_whitespace()
        .collect();
    let ticks = |at: usize| fields.get(at).and_then(|ticks| ticks.parse::<f64>().ok());
    (ticks(11).unwrap_or(0.0) + ticks(12).unwrap_or(0.0)) / 100.0
}
