//! Prometheus' text form.

use metrics::{Unit, counter, describe_counter, describe_gauge, gauge, with_local_recorder};
use metrics_exporter_prometheus::PrometheusBuilder;

use super::snapshot::role;
use crate::snmp::Counters;
use crate::status::Status;

/// All that a tunnel tells Prometheus. Counters never go back while the process runs.
///
/// Sessions are named by their number, which is not used twice, and vanish with their end.
pub fn prometheus_text(status: &Status, counters: &Counters) -> String {
    // One for each answer: nothing of a session stays behind that has ended.
    let recorder = PrometheusBuilder::new().build_recorder();
    let handle = recorder.handle();
    with_local_recorder(&recorder, || {
        record_tunnel(status);
        record_counters(counters);
        record_sessions(status);
    });
    handle.render()
}

fn record_tunnel(status: &Status) {
    let role = role(status.role);
    for (name, value, help) in [
        (
            "kcp_tunnel_connections",
            status.connections,
            "Connections that are carried.",
        ),
        (
            "kcp_tunnel_sessions",
            status.sessions.len() as u64,
            "Sessions that live.",
        ),
        (
            "kcp_tunnel_uptime_seconds",
            status.uptime.as_secs(),
            "Time since the process began.",
        ),
    ] {
        describe_gauge!(name, help);
        gauge!(name, "role" => role).set(value as f64);
    }
    for (name, value, help) in [
        (
            "kcp_tunnel_connections_total",
            status.connections_total,
            "Connections since the begin.",
        ),
        (
            "kcp_tunnel_sessions_total",
            status.sessions_total,
            "Sessions since the begin.",
        ),
        (
            "kcp_tunnel_failed_dials_total",
            status.failed_dials,
            "Attempts to open a session that failed.",
        ),
    ] {
        describe_counter!(name, help);
        counter!(name, "role" => role).absolute(value);
    }
}

fn record_counters(counters: &Counters) {
    for (name, value, help) in [
        (
            "kcp_tunnel_sent_bytes_total",
            counters.bytes_sent,
            "Bytes that sessions were given to send.",
        ),
        (
            "kcp_tunnel_received_bytes_total",
            counters.bytes_received,
            "Bytes that sessions gave to readers.",
        ),
        (
            "kcp_tunnel_wire_sent_bytes_total",
            counters.out_bytes,
            "Bytes of the datagrams sent.",
        ),
        (
            "kcp_tunnel_wire_received_bytes_total",
            counters.in_bytes,
            "Bytes of the packets received.",
        ),
        (
            "kcp_tunnel_packets_sent_total",
            counters.out_pkts,
            "Datagrams sent.",
        ),
        (
            "kcp_tunnel_packets_received_total",
            counters.in_pkts,
            "Packets received.",
        ),
        (
            "kcp_tunnel_segments_sent_total",
            counters.out_segs,
            "Segments sent, repeated ones included.",
        ),
        (
            "kcp_tunnel_segments_received_total",
            counters.in_segs,
            "Segments received.",
        ),
        (
            "kcp_tunnel_segments_repeated_total",
            counters.repeat_segs,
            "Segments received that were not needed.",
        ),
        (
            "kcp_tunnel_fec_recovered_total",
            counters.fec_recovered,
            "Packets that error correction has rebuilt.",
        ),
        (
            "kcp_tunnel_fec_parity_received_total",
            counters.fec_parity_shards,
            "Parity packets received.",
        ),
        (
            "kcp_tunnel_checksum_errors_total",
            counters.in_csum_errors,
            "Packets with a wrong checksum or tag: another key or cipher.",
        ),
        (
            "kcp_tunnel_malformed_packets_total",
            counters.kcp_in_errors,
            "Packets that make no sense.",
        ),
    ] {
        describe_counter!(name, help);
        counter!(name).absolute(value);
    }
    let name = "kcp_tunnel_segments_resent_total";
    describe_counter!(name, "Segments sent again, by what caused it.");
    for (cause, value) in [
        ("fast", counters.fast_retrans_segs),
        ("early", counters.early_retrans_segs),
        ("timeout", counters.lost_segs),
    ] {
        counter!(name, "cause" => cause).absolute(value);
    }
}

fn record_sessions(status: &Status) {
    describe_gauge!(
        "kcp_tunnel_session_rtt_seconds",
        Unit::Seconds,
        "Smoothed round-trip time."
    );
    describe_gauge!(
        "kcp_tunnel_session_loss_ratio",
        "Share of packets that are lost."
    );
    describe_gauge!("kcp_tunnel_session_streams", "Streams that exist.");
    describe_gauge!("kcp_tunnel_session_in_flight", "Segments on their way.");
    for session in &status.sessions {
        let labels = [
            ("session", session.number.to_string()),
            ("peer", session.peer.to_string()),
        ];
        let stats = &session.stats;
        if let Some(rtt) = stats.rtt {
            gauge!("kcp_tunnel_session_rtt_seconds", &labels).set(rtt.as_secs_f64());
        }
        gauge!("kcp_tunnel_session_loss_ratio", &labels).set(f64::from(stats.loss_rate));
        gauge!("kcp_tunnel_session_streams", &labels).set(session.streams as f64);
        gauge!("kcp_tunnel_session_in_flight", &labels).set(stats.in_flight as f64);
    }
}
