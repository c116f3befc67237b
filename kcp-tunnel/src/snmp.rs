//! kcptun's statistics: the file of `snmplog` and the line that SIGUSR1 logs.
//!
//! Only how they are written; counting is the transport's.

use core::fmt::Write as _;
use std::fs::OpenOptions;
use std::io::{self, Write as _};
use std::path::PathBuf;

use jiff::Zoned;
use tokio::time::MissedTickBehavior;

use crate::config::{Generation, SnmpLog};
use crate::layout;
use crate::status::Tunnel;

/// Totals of a whole process since it started, by the names of kcp-go.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counters {
    /// Bytes that sessions accepted to send.
    pub bytes_sent: u64,
    /// Bytes that sessions gave to readers.
    pub bytes_received: u64,
    /// Most sessions that were open at once.
    pub max_conn: u64,
    /// Sessions opened by connecting.
    pub active_opens: u64,
    /// Sessions opened by accepting.
    pub passive_opens: u64,
    /// Sessions that are open.
    pub curr_estab: u64,
    /// Packets from a foreign address, or with malformed FEC.
    pub in_errs: u64,
    /// Packets whose checksum or tag was wrong.
    pub in_csum_errors: u64,
    /// Packets that KCP refused.
    pub kcp_in_errors: u64,
    /// Packets handed to sessions.
    pub in_pkts: u64,
    /// Datagrams sent.
    pub out_pkts: u64,
    /// Segments received.
    pub in_segs: u64,
    /// Segments sent.
    pub out_segs: u64,
    /// Bytes of the packets handed to sessions.
    pub in_bytes: u64,
    /// Bytes of the datagrams sent.
    pub out_bytes: u64,
    /// Segments sent again: the sum of the next three.
    pub retrans_segs: u64,
    /// Segments sent again because later ones were acknowledged.
    pub fast_retrans_segs: u64,
    /// Segments sent again early because nothing else was in flight.
    pub early_retrans_segs: u64,
    /// Segments sent again after a timeout.
    pub lost_segs: u64,
    /// Segments received twice.
    pub repeat_segs: u64,
    /// FEC groups that lost nothing.
    pub fec_full_shards: u64,
    /// Parity packets kept for repairs.
    pub fec_parity_shards: u64,
    /// Failures to encode or rebuild.
    pub fec_errs: u64,
    /// Packets rebuilt.
    pub fec_recovered: u64,
    /// Groups in the decoder that ran last.
    pub fec_shard_set: u64,
    /// The newest group of that decoder.
    pub fec_shard_min: u64,
    /// Segments that wait for the send window, in the session flushed last.
    pub ring_buffer_snd_queue: u64,
    /// Segments that wait for the reader, in that session.
    pub ring_buffer_rcv_queue: u64,
    /// Segments on their way, in that session.
    pub ring_buffer_snd_buffer: u64,
    /// Out-of-band packets received.
    pub oob_packets: u64,
    /// Groups that aged out unrepaired. kcptun of 2021 only.
    pub fec_short_shards: u64,
}

/// The file to write to at `time`: the name in `path` is a Go time layout, the directory is not.
pub fn log_path(path: &str, time: &Zoned) -> PathBuf {
    let name = path.rfind('/').map_or(0, |slash| slash + 1);
    let (directory, name) = path.split_at(name);
    format!("{directory}{}", layout::format(name, time)).into()
}

/// The first line of an empty file.
pub fn csv_header(generation: Generation) -> String {
    let mut out = String::from("Unix");
    for (name, _) in columns(generation) {
        out.push(',');
        out.push_str(name);
    }
    out.push('\n');
    out
}

/// A line of the file, at `unix` seconds.
pub fn csv_row(generation: Generation, unix: i64, counters: &Counters) -> String {
    let mut out = unix.to_string();
    for (_, value) in columns(generation) {
        write!(out, ",{}", value(counters)).expect("a string takes anything");
    }
    out.push('\n');
    out
}

/// What SIGUSR1 logs: the same numbers in another order, one of them under another name.
pub fn signal_line(generation: Generation, counters: &Counters) -> String {
    let tail = match generation {
        Generation::Y2021 => SIGNAL_TAIL_2021,
        Generation::Y2026 => SIGNAL_TAIL_2026,
    };
    let pairs: Vec<String> = COMMON
        .iter()
        .chain(tail)
        .map(|(name, value)| format!("{name}:{}", value(counters)))
        .collect();
    format!("KCP SNMP:&{{{}}}", pairs.join(" "))
}

/// Appends a line to the file after every period, behind a header if it is empty. `now` is the time.
/// Ends with why a line could not be written; kcptun stops then, too.
pub(crate) async fn write_log<T: Tunnel>(
    log: SnmpLog,
    generation: Generation,
    tunnel: T,
    now: fn() -> Zoned,
) -> io::Error {
    let mut ticks = tokio::time::interval(log.period);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    ticks.tick().await;
    loop {
        ticks.tick().await;
        if let Err(error) = append(&log, generation, &now(), &tunnel.counters().await) {
            return error;
        }
    }
}

fn append(
    log: &SnmpLog,
    generation: Generation,
    now: &Zoned,
    counters: &Counters,
) -> io::Result<()> {
    let mut file = OpenOptions::new()
        .create(true)
        .append(true)
        .open(log_path(&log.path, now))?;
    let mut text = match file.metadata()?.len() {
        0 => csv_header(generation),
        _ => String::new(),
    };
    text.push_str(&csv_row(generation, now.timestamp().as_second(), counters));
    file.write_all(text.as_bytes())
}

/// A column's name and where its value is.
type Column = (&'static str, fn(&Counters) -> u64);

fn columns(generation: Generation) -> impl Iterator<Item = &'static Column> {
    let tail = match generation {
        Generation::Y2021 => CSV_TAIL_2021,
        Generation::Y2026 => CSV_TAIL_2026,
    };
    COMMON.iter().chain(tail)
}

const COMMON: &[Column] = &[
    ("BytesSent", |c| c.bytes_sent),
    ("BytesReceived", |c| c.bytes_received),
    ("MaxConn", |c| c.max_conn),
    ("ActiveOpens", |c| c.active_opens),
    ("PassiveOpens", |c| c.passive_opens),
    ("CurrEstab", |c| c.curr_estab),
    ("InErrs", |c| c.in_errs),
    ("InCsumErrors", |c| c.in_csum_errors),
    ("KCPInErrors", |c| c.kcp_in_errors),
    ("InPkts", |c| c.in_pkts),
    ("OutPkts", |c| c.out_pkts),
    ("InSegs", |c| c.in_segs),
    ("OutSegs", |c| c.out_segs),
    ("InBytes", |c| c.in_bytes),
    ("OutBytes", |c| c.out_bytes),
    ("RetransSegs", |c| c.retrans_segs),
    ("FastRetransSegs", |c| c.fast_retrans_segs),
    ("EarlyRetransSegs", |c| c.early_retrans_segs),
    ("LostSegs", |c| c.lost_segs),
    ("RepeatSegs", |c| c.repeat_segs),
];

const FEC_PARITY_SHARDS: Column = ("FECParityShards", |c| c.fec_parity_shards);
const FEC_ERRS: Column = ("FECErrs", |c| c.fec_errs);
const FEC_RECOVERED: Column = ("FECRecovered", |c| c.fec_recovered);
const FEC_SHORT_SHARDS: Column = ("FECShortShards", |c| c.fec_short_shards);
const FEC_SHARD_SET: Column = ("FECShardSet", |c| c.fec_shard_set);
const FEC_SHARD_MIN: Column = ("FECShardMin", |c| c.fec_shard_min);
const SND_QUEUE: Column = ("RingBufferSndQueue", |c| c.ring_buffer_snd_queue);
const RCV_QUEUE: Column = ("RingBufferRcvQueue", |c| c.ring_buffer_rcv_queue);
const SND_BUFFER: Column = ("RingBufferSndBuffer", |c| c.ring_buffer_snd_buffer);
const OOB_PACKETS: Column = ("OOBPackets", |c| c.oob_packets);

const CSV_TAIL_2021: &[Column] = &[FEC_PARITY_SHARDS, FEC_ERRS, FEC_RECOVERED, FEC_SHORT_SHARDS];

const SIGNAL_TAIL_2021: &[Column] = &[FEC_RECOVERED, FEC_ERRS, FEC_PARITY_SHARDS, FEC_SHORT_SHARDS];

const CSV_TAIL_2026: &[Column] = &[
    ("FECFullShards", |c| c.fec_full_shards),
    FEC_PARITY_SHARDS,
    FEC_ERRS,
    FEC_RECOVERED,
    FEC_SHARD_SET,
    FEC_SHARD_MIN,
    SND_QUEUE,
    RCV_QUEUE,
    SND_BUFFER,
    OOB_PACKETS,
];

const SIGNAL_TAIL_2026: &[Column] = &[
    ("FECFullShardSet", |c| c.fec_full_shards),
    FEC_RECOVERED,
    FEC_ERRS,
    FEC_PARITY_SHARDS,
    FEC_SHARD_SET,
    FEC_SHARD_MIN,
    SND_QUEUE,
    RCV_QUEUE,
    SND_BUFFER,
    OOB_PACKETS,
];

#[cfg(test)]
mod tests {
    use jiff::tz::TimeZone;

    use super::*;

    fn counters() -> Counters {
        Counters {
            bytes_sent: 1,
            bytes_received: 2,
            repeat_segs: 20,
            fec_full_shards: 21,
            fec_parity_shards: 22,
            fec_errs: 23,
            fec_recovered: 24,
            fec_shard_set: 25,
            fec_shard_min: 26,
            ring_buffer_snd_queue: 27,
            ring_buffer_rcv_queue: 28,
            ring_buffer_snd_buffer: 29,
            oob_packets: 30,
            fec_short_shards: 31,
            ..Counters::default()
        }
    }

    /// Counts nothing.
    #[derive(Clone)]
    struct Idle;

    impl Tunnel for Idle {
        fn running(&self) -> &crate::status::Running {
            unreachable!("the log has no use for it")
        }

        async fn counters(&self) -> Counters {
            counters()
        }
    }

    fn noon() -> Zoned {
        let date = jiff::civil::date(2026, 1, 2).at(12, 0, 0, 0);
        date.to_zoned(TimeZone::UTC).unwrap()
    }

    #[tokio::test(start_paused = true)]
    async fn the_file_grows_by_a_line_per_period_behind_one_header() {
        let directory =
            std::env::temp_dir().join(format!("kcp-tunnel-snmp-{}", std::process::id()));
        std::fs::create_dir_all(&directory).unwrap();
        let log = SnmpLog {
            path: directory.join("snmp-20060102.log").display().to_string(),
            period: core::time::Duration::from_secs(10),
        };
        for lines in [3, 6] {
            let write = write_log(log.clone(), Generation::Y2026, Idle, noon);
            let time = core::time::Duration::from_secs(35);
            assert!(tokio::time::timeout(time, write).await.is_err());
            let text = std::fs::read_to_string(directory.join("snmp-20260102.log")).unwrap();
            let row = csv_row(
                Generation::Y2026,
                noon().timestamp().as_second(),
                &counters(),
            );
            let expected = csv_header(Generation::Y2026) + &row.repeat(lines);
            assert_eq!(text, expected);
        }
        std::fs::remove_dir_all(&directory).unwrap();
        // From now on it cannot be written, which is told once.
        let error = write_log(log, Generation::Y2026, Idle, noon).await;
        assert_eq!(error.kind(), io::ErrorKind::NotFound);
    }

    #[test]
    fn the_files_columns_are_those_of_each_year() {
        let common = "Unix,BytesSent,BytesReceived,MaxConn,ActiveOpens,PassiveOpens,CurrEstab,InErrs,\
                      InCsumErrors,KCPInErrors,InPkts,OutPkts,InSegs,OutSegs,InBytes,OutBytes,\
                      RetransSegs,FastRetransSegs,EarlyRetransSegs,LostSegs,RepeatSegs";
        let new = "FECFullShards,FECParityShards,FECErrs,FECRecovered,FECShardSet,FECShardMin,\
                   RingBufferSndQueue,RingBufferRcvQueue,RingBufferSndBuffer,OOBPackets";
        let old = "FECParityShards,FECErrs,FECRecovered,FECShortShards";
        assert_eq!(csv_header(Generation::Y2026), format!("{common},{new}\n"));
        assert_eq!(csv_header(Generation::Y2021), format!("{common},{old}\n"));
    }

    #[test]
    fn a_row_has_its_numbers_in_the_columns_order() {
        let zeros = ",0".repeat(17);
        let new = csv_row(Generation::Y2026, 1_700_000_000, &counters());
        let tail = "21,22,23,24,25,26,27,28,29,30";
        assert_eq!(new, format!("1700000000,1,2{zeros},20,{tail}\n"));
        let old = csv_row(Generation::Y2021, -1, &counters());
        assert_eq!(old, format!("-1,1,2{zeros},20,22,23,24,31\n"));
    }

    #[test]
    fn the_signals_line_has_its_own_order_and_names() {
        let new = signal_line(Generation::Y2026, &counters());
        assert!(
            new.starts_with("KCP SNMP:&{BytesSent:1 BytesReceived:2 MaxConn:0 "),
            "{new}"
        );
        assert!(
            new.ends_with(
                "RepeatSegs:20 FECFullShardSet:21 FECRecovered:24 FECErrs:23 FECParityShards:22 \
                 FECShardSet:25 FECShardMin:26 RingBufferSndQueue:27 RingBufferRcvQueue:28 \
                 RingBufferSndBuffer:29 OOBPackets:30}"
            ),
            "{new}"
        );
        let old = signal_line(Generation::Y2021, &counters());
        let tail = "RepeatSegs:20 FECRecovered:24 FECErrs:23 FECParityShards:22 FECShortShards:31}";
        assert!(old.ends_with(tail), "{old}");
    }

    #[test]
    fn only_the_files_name_is_a_time_layout() {
        let time = jiff::civil::date(2031, 11, 25)
            .to_zoned(TimeZone::UTC)
            .unwrap();
        let path = |path| log_path(path, &time).to_str().unwrap().to_owned();
        assert_eq!(path("./snmp-20060102.log"), "./snmp-20311125.log");
        assert_eq!(
            path("/var/log/2006/snmp-01.csv"),
            "/var/log/2006/snmp-11.csv"
        );
        assert_eq!(path("20060102"), "20311125");
    }
}
