use std::net::{SocketAddr, UdpSocket};
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpSocket;

use super::*;

fn lab(up: &str, down: &str) -> Lab {
    Lab::start(up.parse().unwrap(), down.parse().unwrap(), 7).unwrap()
}

fn names() -> String {
    let output = Command::new("ip").args(["netns", "list"]).output().unwrap();
    String::from_utf8(output.stdout).unwrap()
}

/// A UDP socket at one end.
fn udp(lab: &Lab, side: Side) -> tokio::net::UdpSocket {
    let socket = lab
        .within(side, || UdpSocket::bind((side.address(), 0)))
        .unwrap()
        .unwrap();
    socket.set_nonblocking(true).unwrap();
    tokio::net::UdpSocket::from_std(socket).unwrap()
}

#[tokio::test]
#[ignore = "needs root and /dev/net/tun"]
async fn kernel_tcp_crosses_a_lossy_link_intact() {
    let lab = lab("loss=2% delay=2ms", "delay=2ms");
    let server = lab.within(Side::Right, TcpSocket::new_v4).unwrap().unwrap();
    server
        .bind(SocketAddr::from((Side::Right.address(), 0)))
        .unwrap();
    let address = server.local_addr().unwrap();
    let listener = server.listen(1).unwrap();
    let client = lab.within(Side::Left, TcpSocket::new_v4).unwrap().unwrap();

    let sent: Vec<u8> = (0..1_u32 << 20).map(|n| (n % 251) as u8).collect();
    let mut received = Vec::new();
    let send = async {
        let mut stream = client.connect(address).await.unwrap();
        stream.write_all(&sent).await.unwrap();
        stream.shutdown().await.unwrap();
        stream
    };
    let receive = async {
        let (mut stream, peer) = listener.accept().await.unwrap();
        assert_eq!(peer.ip(), Side::Left.address());
        stream.read_to_end(&mut received).await.unwrap();
    };
    tokio::join!(send, receive);
    assert!(received == sent);
    let stats = lab.stats();
    assert!(stats.up.lost_random > 0, "{}", stats.up);
    assert_eq!((stats.down.lost(), stats.device_errors), (0, 0));
}

#[tokio::test]
#[ignore = "needs root and /dev/net/tun"]
async fn no_packet_crosses_but_those_sent() {
    let lab = lab("mask=1,3-5 delay=1ms", "clean");
    let (left, right) = (udp(&lab, Side::Left), udp(&lab, Side::Right));
    for number in 0..8 {
        left.send_to(&[number], right.local_addr().unwrap())
            .await
            .unwrap();
    }
    let mut buffer = [0; 100];
    for number in [0, 2, 6, 7] {
        let received = tokio::time::timeout(Duration::from_secs(10), right.recv(&mut buffer));
        assert_eq!(received.await.unwrap().unwrap(), 1);
        assert_eq!(buffer[0], number);
    }
    let stats = lab.stats();
    assert_eq!(
        (stats.up.sent, stats.up.delivered, stats.down.sent),
        (8, 4, 0)
    );
    // 20 bytes of IP and 8 of UDP in front of each.
    assert_eq!(stats.up.delivered_bytes, 4 * 29);
}

#[tokio::test]
#[ignore = "needs root and /dev/net/tun"]
async fn a_command_runs_inside_and_nothing_is_left_behind() {
    let lab = lab("clean", "clean");
    for side in [Side::Left, Side::Right] {
        let name = lab.namespace(side).to_owned();
        assert!(names().contains(&name));
        let output = lab
            .command(side, "ip")
            .args(["-o", "address"])
            .output()
            .unwrap();
        let addresses = String::from_utf8(output.stdout).unwrap();
        assert!(
            addresses.contains(&side.address().to_string()),
            "{addresses}"
        );
        assert!(!addresses.contains("fe80"), "{addresses}");
    }
    let ours = format!("netlab-{}", std::process::id());
    let left = lab.namespace(Side::Left).to_owned();
    assert!(left.starts_with(&ours));
    drop(lab);
    assert!(!names().contains(&left));
}
