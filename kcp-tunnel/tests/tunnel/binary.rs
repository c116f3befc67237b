//! The program itself: names, flags, log lines and signals.

use std::path::{Path, PathBuf};
use std::process::Stdio;

use kcp_tunnel::config::Endpoint;
use kcp_tunnel::sockets::Socket;
use tokio::io::{AsyncBufReadExt as _, AsyncReadExt as _, AsyncWriteExt as _, BufReader, Lines};
use tokio::process::{Child, ChildStderr, Command};

use crate::loopback::{GUARD, TempDir, accept_all, any_port};
use crate::world::within;

const PROGRAM: &str = env!("CARGO_BIN_EXE_kcp-tunnel");

/// A program that runs, and what it logs.
struct Program {
    child: Child,
    lines: Lines<BufReader<ChildStderr>>,
    seen: Vec<String>,
}

impl Program {
    fn start(program: &Path, args: &[&str]) -> Self {
        let mut child = Command::new(program)
            .args(args)
            .env_remove("KCPTUN_KEY")
            .stderr(Stdio::piped())
            .kill_on_drop(true)
            .spawn()
            .unwrap();
        let lines = BufReader::new(child.stderr.take().unwrap()).lines();
        Self {
            child,
            lines,
            seen: Vec::new(),
        }
    }

    /// Waits for a line with `text` in it; gives what follows.
    async fn says(&mut self, text: &str) -> String {
        let found = within(GUARD, async {
            while let Some(line) = self.lines.next_line().await.unwrap() {
                self.seen.push(line.clone());
                if let Some(at) = line.find(text) {
                    return Some(line[at + text.len()..].to_owned());
                }
            }
            None
        });
        found
            .await
            .unwrap_or_else(|| panic!("no line has {text:?}: {:#?}", self.seen))
    }

    async fn signal(&self, name: &str) {
        let pid = self.child.id().unwrap().to_string();
        let kill = Command::new("kill").args(["-s", name, &pid]).status();
        assert!(kill.await.unwrap().success());
    }

    /// Its exit code, and the rest of what it logs.
    async fn ends(mut self) -> (i32, String) {
        let status = within(GUARD, self.child.wait()).await.unwrap();
        while let Some(line) = self.lines.next_line().await.unwrap() {
            self.seen.push(line);
        }
        (status.code().unwrap(), self.seen.join("\n"))
    }
}

/// Links under kcptun's names.
fn kcptun(dir: &TempDir, name: &str) -> PathBuf {
    let link = dir.file(name);
    std::os::unix::fs::symlink(PROGRAM, &link).unwrap();
    link
}

/// The port that a free UDP socket gets. Somebody else may take it meanwhile; nobody here does.
fn free_udp_port() -> u16 {
    let socket = std::net::UdpSocket::bind("127.0.0.1:0").unwrap();
    socket.local_addr().unwrap().port()
}

async fn output(args: &[&str]) -> (i32, String, String) {
    let output = within(GUARD, Command::new(PROGRAM).args(args).output())
        .await
        .unwrap();
    let text = |bytes: Vec<u8>| String::from_utf8(bytes).unwrap();
    let code = output.status.code().unwrap();
    (code, text(output.stdout), text(output.stderr))
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn kcptuns_command_lines_make_a_tunnel_that_drains_when_told_to_stop() {
    let dir = TempDir::new("binary");
    let (target, mut targets) = accept_all(&any_port()).await;
    let remote = format!("127.0.0.1:{}", free_udp_port());
    let json = dir.file("server.json");
    let text = format!(r#"{{"listen": "{remote}", "target": "{target}", "key": "tops3cret"}}"#);
    std::fs::write(&json, text).unwrap();
    let json = json.to_str().unwrap();
    let mut server = Program::start(&kcptun(&dir, "kcptun-server"), &["-c", json, "-quiet"]);
    server.says("socket buffers: ").await;
    let log = dir.file("client.log");
    let args = [
        "-l",
        "127.0.0.1:0",
        "-r",
        &remote,
        "-key",
        "tops3cret",
        "-mode",
        "fast2",
        "-log",
        log.to_str().unwrap(),
    ];
    let client = Program::start(&kcptun(&dir, "kcptun-client"), &args);
    server.says("session 1 accepted: ").await;
    let logged = || std::fs::read_to_string(&log).unwrap();
    let local = {
        let text = logged();
        let line = text.lines().find(|line| line.contains("listening on: "));
        line.unwrap().rsplit(' ').next().unwrap().to_owned()
    };
    let mut app = Socket::connect(&Endpoint::parse(&local).unwrap())
        .await
        .unwrap();
    app.write_all(b"through").await.unwrap();
    let mut target = within(GUARD, targets.recv()).await.unwrap();
    let mut got = [0; 7];
    within(GUARD, target.read_exact(&mut got)).await.unwrap();
    assert_eq!(&got, b"through");

    client.signal("USR1").await;
    within(GUARD, async {
        while !logged().contains("KCP SNMP:&{BytesSent:") {
            tokio::task::yield_now().await;
        }
    })
    .await;
    client.signal("TERM").await;
    within(GUARD, async {
        while !logged().contains("stopping; 1 connections") {
            tokio::task::yield_now().await;
        }
    })
    .await;
    // What runs may finish.
    target.write_all(b"and back").await.unwrap();
    target.shutdown().await.unwrap();
    let mut answer = String::new();
    within(GUARD, app.read_to_string(&mut answer))
        .await
        .unwrap();
    assert_eq!(answer, "and back");
    drop(app);
    let (code, _) = client.ends().await;
    assert_eq!(code, 0);
    assert!(logged().contains("stopped\n"), "{}", logged());
    assert!(logged().contains("stream opened: 127.0.0.1:"));

    drop(target);
    server.signal("INT").await;
    let (code, text) = server.ends().await;
    assert_eq!(code, 0);
    assert!(text.contains("stopped"), "{text}");
    assert!(!text.contains("stream opened"), "{text}");
    assert!(!text.contains("tops3cret") && !logged().contains("tops3cret"));
}

#[tokio::test]
async fn weak_choices_are_warned_of_at_the_start() {
    let listen = format!("127.0.0.1:{}", free_udp_port());
    let args = ["server", "-l", &listen, "--crypt", "xor"];
    let mut server = Program::start(Path::new(PROGRAM), &args);
    server.says("the key is kcptun's public default").await;
    server.says("crypt xor does not protect").await;
    server.signal("TERM").await;
    assert_eq!(server.ends().await.0, 0);
}

#[tokio::test]
async fn what_is_not_built_or_not_known_is_an_error_that_helps() {
    for (args, help) in [
        (&["client", "--tcp"][..], "use plain UDP"),
        (&["server", "--pprof"], "perf"),
        (
            &["client", "--crypt", "rot13"],
            "no cipher is called \"rot13\"",
        ),
        (&["client", "--speed=9"], "no flag is called \"speed\""),
        (&["clinet"], "no command is called \"clinet\""),
        (&[], "client or server"),
    ] {
        let (code, _, stderr) = output(args).await;
        assert_eq!(code, 2, "{args:?}");
        assert!(stderr.contains(help), "{stderr}");
    }
    let (code, _, stderr) = output(&["client", "-l", "192.0.2.1:1", "-r", "127.0.0.1:1"]).await;
    assert_eq!(code, 1);
    assert!(stderr.contains("cannot listen on 192.0.2.1:1"), "{stderr}");
}

#[tokio::test]
async fn help_names_every_flag_that_is_not_hidden() {
    for (args, words) in [
        (&["--help"][..], &["client", "server", "kcptun-client"][..]),
        (
            &["client", "--help"],
            &["--remoteaddr, -r", "--autoexpire", "KCPTUN_KEY"],
        ),
        (
            &["server", "-h"],
            &["--target, -t", "--closewait", "SIGUSR1"],
        ),
        (&["--version"], &["kcp-tunnel 0."]),
    ] {
        let (code, stdout, _) = output(args).await;
        assert_eq!(code, 0);
        for word in words {
            assert!(stdout.contains(word), "{word}: {stdout}");
        }
    }
}
