//! Every program of `src/bin` runs to its end by itself and says what it should.

use std::path::Path;
use std::process::{ExitStatus, Stdio};
use std::time::Duration;
use std::{fs, io};

use tokio::io::{AsyncBufReadExt, BufReader};
use tokio::process::{Child, Command};
use tokio::time::timeout;

/// What takes longer hangs.
const PATIENCE: Duration = Duration::from_secs(100);

/// Lines of its own that an example may have, without comments and imports.
const MAX_LINES: usize = 80;

macro_rules! examples {
    ($($name:ident($($argument:expr),*) says $($said:literal),+;)+) => {
        mod runs_to_its_end {
            $(#[tokio::test]
            async fn $name() {
                let program = env!(concat!("CARGO_BIN_EXE_", stringify!($name)));
                let (status, output) = super::run(program, &[$($argument),*]).await;
                assert!(status.success(), "{status}\n{output}");
                $(assert!(output.contains($said), "{:?} is missing:\n{output}", $said);)+
            })+
        }

        const TESTED: &[&str] = &[$(stringify!($name)),+];
    };
}

examples! {
    demo("--size", "1", "--calls", "10", "--delay", "5", "--loss", "2")
        says "Nothing was lost, nothing was wrong", "p99 ms", "useful";
    echo() says "three came back as three";
    event_handler() says "three came back as three", "status: ", "has left: ";
    grpc_hello() says "client: Hello, Bob!";
    grpc_pool() says "calls came from 127.0.0.1";
    grpc_streaming() says "Grüezi, Alice!", "Hello, Alice and Bob and Carol!", "3 more";
    grpc_tls() says "Hello, Alice from Some(127.0.0.1", "with another certificate: ";
    http_axum() says "/hello/Alice 200 OK: Hello, Alice!", "{\"sum\":6}", "round trip in ms";
    http_client() says "This is /page.", "HTTP/1.1 200 OK";
    http_hello() says "18 bytes by HTTP/1.1", "18 bytes by HTTP/2.0", "0 connections did not end";
    rpc_framework() says "calls itself Ok(\"Alice's client\")", "you are Some(\"Alice\")",
        "division by zero", "a heartbeat took";
    send_file(concat!(env!("CARGO_MANIFEST_DIR"), "/src/generated/hello.rs")) says "intact";
    websocket() says "is anyone there? -> IS ANYONE THERE?", "goodbye: Close";
}

/// Programs that only make sense together.
const PAIRED: &[&str] = &["rpcx_client", "rpcx_server"];

#[tokio::test]
async fn rpcx_server_and_client_work_together() {
    let (_server, address) = serve(env!("CARGO_BIN_EXE_rpcx_server"), &["127.0.0.1:0"]).await;
    let client = env!("CARGO_BIN_EXE_rpcx_client");
    let product = [&address, "Arith", "Mul", r#"{"A":6,"B":7}"#, "--heartbeat"];
    let (status, output) = run(client, &product).await;
    assert!(
        status.success() && output.contains(r#"{"C":42}"#),
        "{output}"
    );
    let failing = [&address, "Arith", "Div", r#"{"A":6,"B":0}"#];
    let (status, output) = run(client, &failing).await;
    assert!(
        !status.success() && output.contains("division by zero"),
        "{output}"
    );
}

#[tokio::test]
async fn what_can_be_split_works_from_two_processes() {
    for (program, said) in [
        (env!("CARGO_BIN_EXE_echo"), "three came back as three"),
        (env!("CARGO_BIN_EXE_grpc_hello"), "client: Hello, Bob!"),
    ] {
        let (_server, address) = serve(program, &["serve", "127.0.0.1:0"]).await;
        let (status, output) = run(program, &["call", &address]).await;
        assert!(status.success() && output.contains(said), "{output}");
    }
}

#[test]
fn every_program_is_tested_short_and_says_how_to_run_it() {
    for entry in fs::read_dir(Path::new(env!("CARGO_MANIFEST_DIR")).join("src/bin")).unwrap() {
        let path = entry.unwrap().path();
        let name = path.file_stem().unwrap().to_str().unwrap().to_owned();
        let listed = TESTED.contains(&&*name) || PAIRED.contains(&&*name);
        assert!(listed, "{name} is not tested");
        // The demo is a directory, and is no example.
        if let Ok(code) = fs::read_to_string(&path) {
            let command = format!("`cargo run -p examples --bin {name}");
            let release = format!("`cargo run --release -p examples --bin {name}");
            assert!(
                code.starts_with("//! "),
                "{name} does not say what it shows"
            );
            let told = code.contains(&command) || code.contains(&release);
            assert!(told, "{name} does not say how to run it");
            let lines = own_lines(&code);
            assert!(lines < MAX_LINES, "{name} has {lines} lines");
        }
    }
}

/// Lines but for empty ones, comments and imports.
fn own_lines(code: &str) -> usize {
    let mut importing = false;
    let mut is_own = |line: &&str| {
        importing |= line.starts_with("use ");
        let own = !importing && !line.is_empty() && !line.trim_start().starts_with("//");
        importing &= !line.ends_with(';');
        own
    };
    code.lines().filter(|line| is_own(line)).count()
}

/// Runs a program to its end: how it ended, and all that it said.
async fn run(program: &str, arguments: &[&str]) -> (ExitStatus, String) {
    let output = command(program, arguments).output();
    let output = timeout(PATIENCE, output).await.expect("it hangs");
    let output = output.expect("it was built");
    let said = [output.stdout, output.stderr].concat();
    (output.status, String::from_utf8_lossy(&said).into_owned())
}

/// Starts a server: the process, which ends when it is dropped, and the address that it says.
async fn serve(program: &str, arguments: &[&str]) -> (Child, String) {
    let mut server = command(program, arguments)
        .stdout(Stdio::piped())
        .spawn()
        .expect("it was built");
    let mut lines = BufReader::new(server.stdout.take().expect("a pipe")).lines();
    let address = timeout(PATIENCE, async {
        while let Some(line) = lines.next_line().await? {
            if let Some(address) = line.strip_prefix("listening on ") {
                return Ok(address.to_owned());
            }
        }
        Err(io::Error::from(io::ErrorKind::UnexpectedEof))
    });
    let address = address
        .await
        .expect("it hangs")
        .expect("it says its address");
    // Whatever else it says goes nowhere.
    tokio::spawn(async move { while let Ok(Some(_)) = lines.next_line().await {} });
    (server, address)
}

fn command(program: &str, arguments: &[&str]) -> Command {
    let mut command = Command::new(program);
    command
        .args(arguments)
        .kill_on_drop(true)
        .stdin(Stdio::null());
    command
}
