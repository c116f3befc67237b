//! Whatever anyone may send to a socket, with nothing in between that checks it.

use std::net::SocketAddr;
use std::time::Duration;

use kcp_transport::{Cipher, Config, CongestionControl, Fec, Mtu, Window};

use super::endpoint::{Endpoint, Limits};
use super::steering::Steering;

/// Conversations that packets made here belong to; the first is the one of the recorded packets.
const CONVS: [u32; 3] = [0x1122_3344, 1, u32::MAX];

/// Steps of one input.
const MAX_STEPS: usize = 2_000;

/// Sends datagrams of `input`, and some built from it, to a hub.
pub fn run(input: &[u8]) {
    run_sealed(Cipher::null(), &mut Steering::new(input), |datagram| {
        datagram.to_vec()
    });
}

/// As [`run`], with datagrams that pass through `seal` first.
pub(crate) fn run_sealed(
    cipher: Cipher,
    steering: &mut Steering<'_>,
    seal: impl Fn(&[u8]) -> Vec<u8>,
) {
    let (config, limits) = configure(cipher, steering);
    let mut endpoint = Endpoint::new(config, limits);
    for _ in 0..MAX_STEPS {
        if steering.is_empty() {
            break;
        }
        step(&mut endpoint, steering, &seal);
    }
    endpoint.settle(|_, _| {});
    for seconds in [1, 5, 60] {
        endpoint.pass(Duration::from_secs(seconds), |_, _| {});
    }
}

fn configure(cipher: Cipher, steering: &mut Steering<'_>) -> (Config, Limits) {
    let window = |segments| Window::new(segments).expect("in range");
    let receive_window = steering.pick(&[1024, 1, 2, 32, 65_535]);
    let send_window = steering.pick(&[1024, 1, 32]);
    let sessions = steering.pick(&[3, 1, 8]);
    let fec = |data, parity| Some(Fec::new(data, parity).expect("in range"));
    let config = Config::fast3()
        .cipher(cipher)
        .receive_window(window(receive_window))
        .send_window(window(send_window))
        .max_sessions(sessions)
        .max_sessions_per_ip(steering.pick(&[8, 2]))
        .accept_backlog(steering.pick(&[8, 1]))
        .fec(steering.pick(&[None, fec(10, 3), fec(1, 1), fec(3, 2)]))
        .mtu(Mtu::new(steering.pick(&[1_400, 64, 100, 1_500])).expect("in range"))
        .message_mode(steering.coin())
        .replace_on_new_conv(steering.coin())
        .ack_no_delay(steering.coin())
        .nodelay(steering.coin())
        .congestion(steering.pick(&[CongestionControl::Fixed, CongestionControl::Reno]));
    let limits = Limits {
        sessions,
        send_window: send_window as u64,
        receive_window: receive_window as u64,
    };
    (config, limits)
}

fn step(endpoint: &mut Endpoint, steering: &mut Steering<'_>, seal: &impl Fn(&[u8]) -> Vec<u8>) {
    let operation = steering.byte();
    let peer = SocketAddr::from((
        [127, 0, 0, 1 + (operation >> 6 & 1)],
        1 + u16::from(operation >> 7),
    ));
    let session = endpoint.sessions.get(usize::from(operation >> 5)).copied();
    match (operation % 16, session) {
        (0..=2, _) => {
            let len = usize::from(steering.short());
            let stride = usize::from(steering.short());
            receive(endpoint, peer, steering.take(len), stride, seal);
        }
        (3..=8, _) => {
            let packet = packet(steering);
            receive(endpoint, peer, &packet, packet.len(), seal);
        }
        (9, _) => endpoint.connect(peer, steering.pick(&CONVS)),
        (10, _) => {
            let millis = steering.pick(&[1, 10, 100, 1_000, 20_000, 60_000]);
            endpoint.pass(Duration::from_millis(millis), |_, _| {});
        }
        (11, Some(key)) => endpoint.read(key, |_| {}),
        (12, Some(key)) => {
            let len = 1 + usize::from(steering.short());
            let len = len.min(endpoint.hub.max_message(key));
            if endpoint.hub.is_writable(key) {
                endpoint.write(key, &vec![0; len]);
            }
        }
        (13, Some(key)) => endpoint.hub.close(endpoint.now, key),
        (14, Some(key)) => endpoint.hub.drain(endpoint.now, key),
        _ => endpoint.settle(|_, _| {}),
    }
}

fn receive(
    endpoint: &mut Endpoint,
    peer: SocketAddr,
    bytes: &[u8],
    stride: usize,
    seal: &impl Fn(&[u8]) -> Vec<u8>,
) {
    let mut stride = stride.max(1);
    let mut datagrams = Vec::new();
    for (index, datagram) in bytes.chunks(stride).enumerate() {
        let sealed = seal(datagram);
        if index == 0 {
            stride = sealed.len();
        }
        datagrams.extend(sealed);
    }
    endpoint
        .hub
        .handle_datagrams(endpoint.now, peer, &mut datagrams, stride);
}

/// Well-formed segments with unlikely contents, maybe behind an FEC header.
fn packet(steering: &mut Steering<'_>) -> Vec<u8> {
    let shape = steering.byte();
    let mut packet = Vec::new();
    if shape & 0x40 > 0 {
        packet.extend(u32::from(steering.short()).to_le_bytes());
        packet.extend(steering.pick(&[0xf1_u16, 0xf2, 0xf3]).to_le_bytes());
        packet.extend(steering.short().to_le_bytes());
    }
    for _ in 0..=shape & 7 {
        let fields = steering.byte();
        let wide = |steering: &mut Steering<'_>| match fields & 0x0c {
            0 => u32::from(steering.byte()),
            4 => u32::from(steering.short()),
            _ => u32::from(steering.short()) << 16 | u32::from(steering.short()),
        };
        packet.extend(CONVS[usize::from(shape >> 3 & 7) % 3].to_le_bytes());
        packet.extend([81 + (fields & 3), steering.byte()]);
        packet.extend(steering.short().to_le_bytes());
        let (transmission, sn) = (wide(steering), wide(steering));
        let una = if fields & 0x10 > 0 { wide(steering) } else { 0 };
        let len = if fields & 0x20 > 0 {
            steering.short() % 1_400
        } else {
            u16::from(fields >> 6)
        };
        for word in [transmission, sn, una, len.into()] {
            packet.extend(word.to_le_bytes());
        }
        packet.resize(packet.len() + usize::from(len), 0);
    }
    packet
}
