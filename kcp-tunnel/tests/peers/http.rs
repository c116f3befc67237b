//! Real programs of HTTP through the tunnel: curl, and Python's server of files.

use std::net::SocketAddr;
use std::path::PathBuf;

use interop::go;
use interop::stream::Stream;
use tokio::process::Command;

use crate::process::{Process, within};
use crate::tunnel::{Make, Setup};

/// A directory of this test run that is removed at its end.
struct TempDir(PathBuf);

impl TempDir {
    fn new(name: &str) -> Self {
        let path =
            std::env::temp_dir().join(format!("kcp-tunnel-peers-{}-{name}", std::process::id()));
        std::fs::create_dir_all(&path).unwrap();
        Self(path)
    }
}

impl Drop for TempDir {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

async fn runs(program: &str) -> bool {
    let output = Command::new(program).arg("--version").output().await;
    let runs = output.is_ok_and(|output| output.status.success());
    if !runs {
        go::skip(&format!("{program} not found"), "tests of HTTP");
    }
    runs
}

async fn curl(args: &[&str]) -> Vec<u8> {
    let output = Command::new("curl")
        .args(["-sS", "--noproxy", "*", "--fail"])
        .args(args)
        .output();
    let output = within("curl", output).await.unwrap();
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "curl: {said}");
    output.stdout
}

async fn serves_files(name: &str, client: Make, server: Make, flags: &[&str]) {
    if !client.is_here() || !server.is_here() || !runs("curl").await || !runs("python3").await {
        return;
    }
    let dir = TempDir::new(name);
    let file = Stream::new(3).bytes(5 << 20);
    std::fs::write(dir.0.join("file"), &file).unwrap();
    std::fs::write(dir.0.join("index.html"), "<p>hello</p>").unwrap();
    let mut command = Command::new("python3");
    command
        .args(["-u", "-m", "http.server", "0", "--bind", "127.0.0.1"])
        .current_dir(&dir.0);
    let mut http = Process::start(command);
    let said = within("a server of files", http.says(" port "))
        .await
        .unwrap();
    let port = said.split(' ').next().unwrap().parse().unwrap();

    let target = SocketAddr::from(([127, 0, 0, 1], port));
    let tunnel = Setup::new(client, server, flags).start(target).await;
    let url = format!("http://{}/", tunnel.local);
    assert_eq!(curl(&[&url]).await, b"<p>hello</p>");
    let got = curl(&[&format!("{url}file")]).await;
    assert!(
        got == file,
        "{} bytes of {} came, or others",
        got.len(),
        file.len()
    );
    let head = String::from_utf8(curl(&["-I", &format!("{url}file")]).await).unwrap();
    assert!(
        head.contains(&format!("Content-Length: {}", file.len())),
        "{head}"
    );
}

#[tokio::test]
async fn files_come_from_behind_a_server_of_kcptun_2021() {
    serves_files(
        "2021-server",
        Make::Ours,
        Make::Kcptun2021,
        &["-smuxver", "1"],
    )
    .await;
}

#[tokio::test]
async fn files_come_through_a_client_of_kcptun_2021() {
    serves_files(
        "2021-client",
        Make::Kcptun2021,
        Make::Ours,
        &["-smuxver", "1"],
    )
    .await;
}

#[tokio::test]
async fn files_come_from_behind_a_server_of_kcptun_2026() {
    serves_files("2026-server", Make::Ours, Make::Kcptun2026, &[]).await;
}

#[tokio::test]
async fn files_come_through_a_client_of_kcptun_2026() {
    serves_files("2026-client", Make::Kcptun2026, Make::Ours, &[]).await;
}
