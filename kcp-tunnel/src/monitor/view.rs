//! One screen for people.

use core::fmt::Write as _;

use super::snapshot::{SessionSnapshot, Snapshot};

/// The screen for `now`, with at most `rows` sessions: those that move the most come first.
///
/// Rates are those since `before`; without it, since each session began.
pub fn render(before: Option<&Snapshot>, now: &Snapshot, rows: usize) -> String {
    let mut out = format!(
        "kcp-tunnel {}, up {}: {} sessions, {} so far; {} connections, {} so far",
        now.role,
        time(now.uptime_ms),
        now.sessions.len(),
        now.sessions_total,
        now.connections,
        now.connections_total
    );
    if now.failed_dials > 0 {
        line(
            &mut out,
            format_args!("; {} failed dials", now.failed_dials),
        );
    }
    line(
        &mut out,
        format_args!(
            "\n\n{:>5}  {:<22} {:>7} {:>9} {:>6} {:>7} {:>7} {:>7} {:>7} {:>11} {:>11}",
            "#",
            "peer",
            "age",
            "rtt",
            "loss",
            "resent",
            "rebuilt",
            "useful",
            "streams",
            "out/s",
            "in/s"
        ),
    );
    let mut sessions: Vec<Row<'_>> = now
        .sessions
        .iter()
        .map(|now| Row::new(before, now))
        .collect();
    sessions.sort_by_key(|row| {
        (
            core::cmp::Reverse(row.sent + row.received),
            row.session.number,
        )
    });
    for row in sessions.iter().take(rows) {
        let session = row.session;
        let rtt = match session.rtt_us {
            Some(micros) => format!("{:.1} ms", micros as f64 / 1_000.0),
            None => "-".to_owned(),
        };
        let mark = if session.retired { '*' } else { ' ' };
        line(
            &mut out,
            format_args!(
                "\n{:>5}{mark} {:<22} {:>7} {:>9} {:>6} {:>7} {:>7} {:>7} {:>7} {:>11} {:>11}",
                session.number,
                session.peer,
                time(session.age_ms),
                rtt,
                percent(f64::from(session.loss)),
                percent(share(session.resends, session.segments_sent)),
                session.fec_recovered,
                percent(share(session.bytes_sent, session.wire_bytes_sent)),
                session.streams,
                rate(row.sent),
                rate(row.received),
            ),
        );
    }
    match sessions.len().saturating_sub(rows) {
        0 => {}
        more => line(&mut out, format_args!("\n       and {more} more")),
    }
    if now.sessions.iter().any(|session| session.retired) {
        out.push_str("\n\n* takes no more connections");
    }
    out.push('\n');
    out
}

struct Row<'a> {
    session: &'a SessionSnapshot,
    /// Bytes per second.
    sent: u64,
    received: u64,
}

impl<'a> Row<'a> {
    fn new(before: Option<&Snapshot>, session: &'a SessionSnapshot) -> Self {
        let before = before.and_then(|before| {
            let same =
                |old: &&SessionSnapshot| old.number == session.number && old.peer == session.peer;
            before.sessions.iter().find(same)
        });
        let (millis, sent, received) = match before {
            Some(old) => (old.age_ms, old.bytes_sent, old.bytes_received),
            None => (0, 0, 0),
        };
        let millis = session.age_ms.saturating_sub(millis).max(1);
        let per_second = |bytes: u64| bytes.saturating_mul(1_000) / millis;
        Self {
            session,
            sent: per_second(session.bytes_sent.saturating_sub(sent)),
            received: per_second(session.bytes_received.saturating_sub(received)),
        }
    }
}

fn line(out: &mut String, text: core::fmt::Arguments<'_>) {
    out.write_fmt(text).expect("a string takes anything");
}

fn share(part: u64, whole: u64) -> f64 {
    match whole {
        0 => 0.0,
        whole => part as f64 / whole as f64,
    }
}

fn percent(share: f64) -> String {
    format!("{:.1}%", share * 100.0)
}

fn rate(bytes: u64) -> String {
    match bytes {
        0..1_000 => format!("{bytes} B"),
        1_000..1_000_000 => format!("{:.1} kB", bytes as f64 / 1e3),
        1_000_000.. => format!("{:.1} MB", bytes as f64 / 1e6),
    }
}

fn time(millis: u64) -> String {
    let seconds = millis / 1_000;
    match seconds {
        0..60 => format!("{seconds}s"),
        60..3_600 => format!("{}m{:02}s", seconds / 60, seconds % 60),
        3_600..86_400 => format!("{}h{:02}m", seconds / 3_600, seconds / 60 % 60),
        86_400.. => format!("{}d{:02}h", seconds / 86_400, seconds / 3_600 % 24),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn session(number: u64, bytes_sent: u64) -> SessionSnapshot {
        SessionSnapshot {
            number,
            peer: format!("192.0.2.{number}:4000"),
            age_ms: 2_000,
            streams: 3,
            rtt_us: Some(50_250),
            loss: 0.051,
            bytes_sent,
            wire_bytes_sent: 2 * bytes_sent,
            segments_sent: 1_000,
            resends: 20,
            fec_recovered: 17,
            ..SessionSnapshot::default()
        }
    }

    fn snapshot(sessions: Vec<SessionSnapshot>) -> Snapshot {
        Snapshot {
            role: "client".to_owned(),
            uptime_ms: 3_720_000,
            sessions,
            ..Snapshot::default()
        }
    }

    fn words(screen: &str, number: u64) -> Vec<&str> {
        let start = format!("{number} ");
        let row = screen
            .lines()
            .find(|line| line.trim_start().starts_with(&start));
        row.unwrap().split_whitespace().collect()
    }

    #[test]
    fn a_row_shows_a_sessions_figures_and_its_rates_since_the_last_screen() {
        let mut before = session(7, 1_000_000);
        before.age_ms = 1_000;
        let now = session(7, 3_500_000);
        let screen = render(Some(&snapshot(vec![before])), &snapshot(vec![now]), 10);
        assert!(
            screen.starts_with("kcp-tunnel client, up 1h02m: 1 sessions"),
            "{screen}"
        );
        let expected = [
            "7",
            "192.0.2.7:4000",
            "2s",
            "50.2",
            "ms",
            "5.1%",
            "2.0%",
            "17",
            "50.0%",
            "3",
            "2.5",
            "MB",
            "0",
            "B",
        ];
        assert_eq!(words(&screen, 7), expected);
    }

    #[test]
    fn the_busiest_come_first_and_the_rest_is_only_counted() {
        let mut sessions: Vec<_> = (1..=5)
            .map(|number| session(number, number * 1_000))
            .collect();
        sessions[4].retired = true;
        let screen = render(None, &snapshot(sessions), 2);
        let rows: Vec<_> = screen
            .lines()
            .filter(|line| line.contains("192.0.2."))
            .collect();
        assert!(
            rows[0].trim_start().starts_with("5* ") && rows[1].trim_start().starts_with("4 "),
            "{screen}"
        );
        assert_eq!(rows.len(), 2);
        assert!(
            screen.contains("and 3 more") && screen.contains("* takes no more"),
            "{screen}"
        );
    }

    #[test]
    fn a_tunnel_that_has_been_restarted_has_no_negative_rates() {
        let before = snapshot(vec![session(1, 9_000_000)]);
        let mut young = session(1, 10);
        young.age_ms = 0;
        let screen = render(Some(&before), &snapshot(vec![young]), 10);
        assert_eq!(words(&screen, 1)[10..12], ["0", "B"], "{screen}");
    }
}
