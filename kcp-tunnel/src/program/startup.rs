//! What the program says when it starts: the settings in effect, never the key.

use std::net::SocketAddr;

use tracing::{info, warn};

use crate::config::{ClientConfig, Endpoint, ServerConfig, TunnelConfig, Warning};

/// Logs the settings of a client that listens on `local`.
pub(super) fn client(config: &ClientConfig, local: &Endpoint, warnings: &[Warning]) {
    log(client_lines(config, local), warnings);
}

/// Logs the settings of a server that listens on `bound`.
pub(super) fn server(config: &ServerConfig, bound: &[SocketAddr], warnings: &[Warning]) {
    log(server_lines(config, bound), warnings);
}

fn log(lines: Vec<String>, warnings: &[Warning]) {
    info!("{}", super::VERSION);
    for line in lines {
        info!("{line}");
    }
    for warning in warnings {
        warn!("{warning}");
    }
}

pub(super) fn client_lines(config: &ClientConfig, local: &Endpoint) -> Vec<String> {
    let mut lines = vec![
        format!("listening on: {local}"),
        format!("remote address: {}", config.remote),
        format!("sessions: {}", config.sessions),
    ];
    lines.push(match config.expiry {
        Some(expiry) => format!(
            "sessions are replaced after {:?} and closed {:?} later",
            expiry.after, expiry.ttl
        ),
        None => "sessions are not replaced while they work".to_owned(),
    });
    lines.extend(tunnel_lines(&config.tunnel));
    lines
}

fn server_lines(config: &ServerConfig, bound: &[SocketAddr]) -> Vec<String> {
    let listening = match bound {
        [first, .., last] => format!("listening on: {first} to {last}"),
        [only] => format!("listening on: {only}"),
        [] => "listening on nothing".to_owned(),
    };
    let mut lines = vec![listening, format!("target: {}", config.target)];
    lines.extend(tunnel_lines(&config.tunnel));
    lines
}

pub(super) fn tunnel_lines(tunnel: &TunnelConfig) -> Vec<String> {
    let tuning = tunnel.tuning;
    let on = |on: bool| if on { "on" } else { "off" };
    let mut lines = vec![
        format!("encryption: {}", tunnel.crypt),
        format!("compression: {}", on(tunnel.compress)),
        format!(
            "mode: {}: resend timers for latency {}, interval {:?}, resend after {} later acks, \
             congestion control {}",
            tunnel.mode,
            on(tuning.nodelay),
            tuning.interval,
            tuning.resend,
            on(tuning.congestion_control)
        ),
        format!(
            "windows: {} segments out, {} in; mtu: {}",
            tunnel.send_window, tunnel.receive_window, tunnel.mtu
        ),
        match tunnel.shards {
            Some(shards) => format!(
                "forward error correction: {} parity packets for every {}",
                shards.parity, shards.data
            ),
            None => "forward error correction: off".to_owned(),
        },
        format!("smux: {}", tunnel.smux),
        format!("close wait: {:?}", tunnel.close_wait),
    ];
    lines.extend(
        tunnel
            .rate_limit
            .map(|limit| format!("rate limit: {limit} bytes per second and session")),
    );
    lines.extend(tunnel.qpp.map(|count| format!("QPP: {count} permutations")));
    if tunnel.dscp > 0 || tunnel.ack_no_delay {
        lines.push(format!(
            "dscp: {}; acknowledge at once: {}",
            tunnel.dscp,
            on(tunnel.ack_no_delay)
        ));
    }
    lines.push(format!("socket buffers: {} bytes", tunnel.socket_buffer));
    lines.extend(
        tunnel
            .snmp
            .as_ref()
            .map(|snmp| format!("statistics: {} every {:?}", snmp.path, snmp.period)),
    );
    lines
}
