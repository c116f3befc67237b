//! The program as its users run it: two ends by hand, and a small run with all its results.

use std::io::{BufRead, BufReader, Read};
use std::path::Path;
use std::process::{Child, Command, Stdio};

use serde_json::Value;

/// A child process that does not outlive its test.
struct Running(Child);

impl Drop for Running {
    fn drop(&mut self) {
        // It may have ended by itself.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

fn bench() -> Command {
    Command::new(env!("CARGO_BIN_EXE_bench"))
}

/// A server of this transport, and where it listens.
fn serve(transport: &str) -> (Running, String) {
    let mut child = bench()
        .args(["serve", transport])
        .stdout(Stdio::piped())
        .spawn()
        .expect("the program starts");
    let mut line = String::new();
    let stdout = child.stdout.take().expect("it is piped");
    let running = Running(child);
    BufReader::new(stdout)
        .read_line(&mut line)
        .expect("it speaks");
    let event: Value = serde_json::from_str(&line).expect("it speaks JSON");
    assert_eq!(event["event"], "listening");
    (
        running,
        event["addr"].as_str().expect("an address").to_owned(),
    )
}

#[test]
fn two_ends_started_by_hand_do_every_kind_of_work() {
    let (_server, addr) = serve("kcp-gcm-fec");
    for work in [
        "bulk",
        "echo:4K",
        "unary",
        "load:200",
        "callers:4",
        "mixed:50",
        "connect",
        "idle:20",
        "active:20",
    ] {
        let output = bench()
            .args([
                "call",
                "kcp-gcm-fec",
                "--to",
                &addr,
                "--work",
                work,
                "--json",
            ])
            .args(["--seconds=0.6", "--warmup=0.1", "--pause=5"])
            .output()
            .unwrap();
        let text = String::from_utf8(output.stdout).unwrap();
        let events: Vec<Value> = text
            .lines()
            .map(|line| serde_json::from_str(line).unwrap())
            .collect();
        let names: Vec<_> = events.iter().map(|event| &event["event"]).collect();
        assert_eq!(names, ["begin", "end", "result"], "{work}");
        let result = &events[2];
        assert_eq!(result["failed"], 0, "{work}: {result}");
        let count = |name: &str| result[name].as_u64().unwrap();
        let (calls, bytes) = (count("calls"), count("bytes"));
        match work {
            "bulk" => assert!(bytes > 0 && calls == 0, "{result}"),
            "idle:20" => assert!(bytes == 0 && calls == 0, "{result}"),
            "echo:4K" => assert_eq!(bytes, calls * 4_096),
            "mixed:50" => assert!(bytes > 0 && calls > 0, "{result}"),
            _ => assert!(bytes == 0 && calls > 0, "{work}: {result}"),
        }
    }
}

#[test]
fn a_caller_without_a_server_fails_and_says_so() {
    // A port that was just free, and that nobody listens on.
    let free = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let addr = free.local_addr().unwrap().to_string();
    drop(free);
    let output = bench()
        .args(["call", "tcp-cubic", "--to", &addr, "--work=unary", "--json"])
        .output()
        .unwrap();
    assert!(!output.status.success());
    let text = String::from_utf8(output.stdout).unwrap();
    assert!(text.contains(r#""event":"error""#), "{text}");
}

#[test]
fn a_run_alternates_and_writes_its_results() {
    let dir = tempfile::tempdir().unwrap();
    let file = |name: &str| dir.path().join(name);
    std::fs::write(
        file("doc.md"),
        "before\n<!-- bench quick -->\n<!-- end of quick -->\nafter\n",
    )
    .unwrap();
    let path = |name: &str| file(name).display().to_string();
    let mut child = bench()
        .args(["quick", "--work=bulk,unary", "--link=loopback,relay:5"])
        .args(["--only=kcp-gcm,tcp-cubic", "--rounds=2", "--seconds=0.3"])
        .args(["--json", &path("run.json"), "--html", &path("run.html")])
        .args(["--markdown", &path("doc.md")])
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let mut said = String::new();
    child
        .stderr
        .take()
        .unwrap()
        .read_to_string(&mut said)
        .unwrap();
    let mut shown = String::new();
    child
        .stdout
        .take()
        .unwrap()
        .read_to_string(&mut shown)
        .unwrap();
    assert!(Running(child).0.wait().unwrap().success(), "{said}");

    assert!(said.contains("SKIPPED: TCP on the emulated link"), "{said}");
    assert!(
        shown.contains("bulk, one way") || shown.contains("Bulk, one way"),
        "{shown}"
    );
    let run: Value = serde_json::from_str(&read(&file("run.json"))).unwrap();
    let cells = run["cells"].as_array().unwrap();
    assert!(!cells.is_empty());
    for cell in cells {
        let samples = cell["samples"].as_array().unwrap();
        assert_eq!(samples.len(), 2);
        for sample in samples {
            assert!(sample["error"].is_null(), "{cell}");
            assert!(sample["server"]["memory"].as_u64().unwrap() > 0 || !cfg!(target_os = "linux"));
        }
    }
    assert!(read(&file("run.html")).contains("<svg"));
    let document = read(&file("doc.md"));
    assert!(
        document.contains("| kcp-gcm-fec |") && document.ends_with("after\n"),
        "{document}"
    );
}

fn read(path: &Path) -> String {
    std::fs::read_to_string(path).expect("it was written")
}
