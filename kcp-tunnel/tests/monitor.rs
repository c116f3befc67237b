//! A running tunnel as seen from outside, and files of settings explained.

#![allow(clippy::unwrap_used, reason = "all of this is a test")]

use std::process::{Output, Stdio};
use std::time::Duration;

use tokio::io::{AsyncBufReadExt as _, AsyncReadExt as _, AsyncWriteExt as _, BufReader, Lines};
use tokio::net::{TcpListener, TcpStream};
use tokio::process::{Child, ChildStderr, Command};

const PROGRAM: &str = env!("CARGO_BIN_EXE_kcp-tunnel");

/// Only a guard.
const GUARD: Duration = Duration::from_secs(120);

async fn within<T>(future: impl Future<Output = T>) -> T {
    tokio::time::timeout(GUARD, future).await.unwrap()
}

fn program(args: &[&str]) -> Command {
    let mut command = Command::new(PROGRAM);
    command
        .args(args)
        .env_remove("KCPTUN_KEY")
        .kill_on_drop(true);
    command
}

async fn output(args: &[&str]) -> Output {
    within(program(args).output()).await.unwrap()
}

/// A running end of a tunnel; dropping it kills it.
struct End {
    _child: Child,
    lines: Lines<BufReader<ChildStderr>>,
}

impl End {
    fn start(args: &[&str]) -> Self {
        let mut child = program(args).stderr(Stdio::piped()).spawn().unwrap();
        let lines = BufReader::new(child.stderr.take().unwrap()).lines();
        Self {
            _child: child,
            lines,
        }
    }

    /// What follows `text` in the next line that has it.
    async fn says(&mut self, text: &str) -> String {
        within(async {
            loop {
                let line = self.lines.next_line().await.unwrap();
                let line = line.unwrap_or_else(|| panic!("it ends without {text:?}"));
                if let Some((_, rest)) = line.split_once(text) {
                    return rest.to_owned();
                }
            }
        })
        .await
    }
}

async fn get(address: &str, request: &str) -> String {
    let mut socket = TcpStream::connect(address).await.unwrap();
    socket.write_all(request.as_bytes()).await.unwrap();
    let mut answer = String::new();
    within(socket.read_to_string(&mut answer)).await.unwrap();
    answer
}

#[tokio::test]
async fn a_running_tunnel_shows_its_sessions_to_people_and_to_prometheus() {
    let target = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let to = target.local_addr().unwrap().to_string();
    let free = std::net::UdpSocket::bind("127.0.0.1:0").unwrap();
    let remote = free.local_addr().unwrap().to_string();
    drop(free);
    let watched = [
        "-status",
        "127.0.0.1:0",
        "-metrics",
        "127.0.0.1:0",
        "-key",
        "k",
    ];
    let mut server = End::start(&[&["server", "-l", &remote, "-t", &to][..], &watched].concat());
    let server_metrics = server.says("metrics at: ").await;
    let mut client = End::start(
        &[
            &["client", "-l", "127.0.0.1:0", "-r", &remote][..],
            &watched,
        ]
        .concat(),
    );
    let local = client.says("listening on: ").await;
    let status = client.says("status at: ").await;
    let metrics = client.says("metrics at: ").await;
    let mut app = TcpStream::connect(&local).await.unwrap();
    app.write_all(&[7; 100_000]).await.unwrap();
    let (mut socket, _) = within(target.accept()).await.unwrap();
    let mut got = vec![0; 100_000];
    within(socket.read_exact(&mut got)).await.unwrap();

    let shown = output(&["stats", "--once", &status]).await;
    let screen = String::from_utf8(shown.stdout).unwrap();
    assert!(
        shown.status.success() && screen.starts_with("kcp-tunnel client, up "),
        "{screen}"
    );
    assert!(
        screen.contains("1 sessions, 1 so far; 1 connections, 1 so far"),
        "{screen}"
    );
    assert!(
        screen.contains(&remote) && screen.contains(" ms "),
        "{screen}"
    );

    for (address, role) in [(&metrics, "client"), (&server_metrics, "server")] {
        let answer = get(address, "GET /metrics HTTP/1.1\r\nHost: x\r\n\r\n").await;
        assert!(answer.starts_with("HTTP/1.1 200 OK\r\n"), "{answer}");
        for line in [
            "# TYPE kcp_tunnel_sent_bytes_total counter",
            &format!("kcp_tunnel_connections{{role=\"{role}\"}} 1"),
            &format!("kcp_tunnel_sessions{{role=\"{role}\"}} 1"),
            "kcp_tunnel_session_rtt_seconds{session=\"1\",peer=\"127.0.0.1:",
            "kcp_tunnel_segments_resent_total{cause=\"timeout\"} ",
        ] {
            assert!(answer.contains(line), "{line}: {answer}");
        }
    }
    let lost = get(&metrics, "GET /else HTTP/1.1\r\n\r\n").await;
    assert!(lost.starts_with("HTTP/1.1 404 "), "{lost}");
    let posted = get(&metrics, "POST /metrics HTTP/1.1\r\n\r\n").await;
    assert!(posted.starts_with("HTTP/1.1 405 "), "{posted}");
}

#[tokio::test]
async fn a_head_that_never_ends_is_not_kept() {
    let free = std::net::UdpSocket::bind("127.0.0.1:0").unwrap();
    let remote = free.local_addr().unwrap().to_string();
    drop(free);
    let mut server = End::start(&["server", "-l", &remote, "-metrics", "127.0.0.1:0"]);
    let metrics = server.says("metrics at: ").await;
    let mut socket = TcpStream::connect(&metrics).await.unwrap();
    let mut written = 0;
    // It is closed long before so much is taken.
    while socket.write_all(&[b'x'; 4_096]).await.is_ok() {
        written += 4_096;
        assert!(written < 64 << 20);
    }
}

#[tokio::test]
async fn status_is_for_this_machine_only() {
    let refused = output(&["server", "-status", "0.0.0.0:1"]).await;
    let said = String::from_utf8(refused.stderr).unwrap();
    assert_eq!(refused.status.code(), Some(2));
    assert!(said.contains("status must be a loopback address"), "{said}");
}

#[tokio::test]
async fn a_file_is_explained_and_judged() {
    let dir = std::env::temp_dir().join(format!("kcp-tunnel-check-{}", std::process::id()));
    std::fs::create_dir_all(&dir).unwrap();
    let path = dir.join("config.json");
    let path = path.to_str().unwrap();
    let check = async |text: &str, args: &[&str]| {
        std::fs::write(path, text).unwrap();
        let got = output(&[&["check-config"][..], args, &[path]].concat()).await;
        let text = |bytes| String::from_utf8(bytes).unwrap();
        (
            got.status.code().unwrap(),
            text(got.stdout),
            text(got.stderr),
        )
    };
    let good = "{\n\"remoteaddr\": \"192.0.2.1:4000-4010\",\n\"key\": \"tops3cret\",\n\"crypt\": \"xor\",\n\"foo\": 1\n}";
    let (code, stdout, stderr) = check(good, &[]).await;
    assert_eq!((code, stderr.as_str()), (0, ""), "{stdout}");
    for words in [
        "line 2   remoteaddr: \"192.0.2.1:4000-4010\"",
        "line 3   key: (not shown)",
        "line 5   foo: 1\n         not known",
        "encryption: xor",
        "WARNING: crypt xor does not protect",
        "can be used",
    ] {
        assert!(stdout.contains(words), "{words}: {stdout}");
    }
    assert!(!stdout.contains("tops3cret"));

    let (code, stdout, stderr) = check("{\n\"target\": \"h:1\",\n\"mtu\": 9000\n}", &[]).await;
    assert_eq!(code, 1);
    assert!(stdout.contains("line 3   mtu: 9000"), "{stdout}");
    assert!(
        stderr.contains("cannot be used: mtu must be from 64 to 1500"),
        "{stderr}"
    );

    let (code, _, stderr) = check("{\"mtu\": 1300}", &[]).await;
    assert!(
        code == 2 && stderr.contains("say --client or --server"),
        "{stderr}"
    );
    let (code, stdout, _) = check("{\"mtu\": 1300}", &["--server"]).await;
    assert!(
        code == 0 && stdout.contains("listening on: :29900"),
        "{stdout}"
    );
    let (code, _, stderr) = check("nonsense", &["--server"]).await;
    assert!(
        code == 1 && stderr.contains("not a JSON object"),
        "{stderr}"
    );
    std::fs::remove_dir_all(&dir).unwrap();
}
