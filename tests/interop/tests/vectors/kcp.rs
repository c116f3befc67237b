//! Segments, the round-trip estimator, sizes, and the state machine step by step.

use std::collections::BTreeMap;

use interop::reference::{
    Command, Envelope, Flush, Header, Kcp, NoDelay, Origin, PacketSizes, Rtt,
};
use serde::Deserialize;

use super::{Hex, hex, load};

#[derive(Deserialize)]
struct Segments {
    segments: Vec<Segment>,
}

#[derive(Deserialize)]
struct Segment {
    conv: u32,
    cmd: u8,
    frg: u8,
    wnd: u16,
    ts: u32,
    sn: u32,
    una: u32,
    data: Hex,
    wire: Hex,
}

#[test]
fn segments_are_read_and_written_as_recorded() {
    let vectors: Segments = load("kcp_segments");
    assert_eq!(vectors.segments.len(), 6);
    for segment in vectors.segments {
        let header = Header {
            conv: segment.conv,
            cmd: segment.cmd,
            frg: segment.frg,
            wnd: segment.wnd,
            ts: segment.ts,
            sn: segment.sn,
            una: segment.una,
            len: u32::try_from(segment.data.0.len()).unwrap(),
        };
        let mut wire = Vec::new();
        header.write(&mut wire);
        wire.extend(&segment.data.0);
        assert_eq!(Hex(wire), segment.wire);
        assert_eq!(
            Header::parse(&segment.wire.0),
            Some((header, &segment.data.0[..]))
        );
        let command = Command::from_wire(segment.cmd).map(|command| command as u8);
        assert_eq!(command, Some(segment.cmd));
    }
}

#[derive(Deserialize)]
struct Estimates {
    cases: Vec<EstimateCase>,
}

#[derive(Deserialize)]
struct EstimateCase {
    interval: u32,
    minrto: u32,
    steps: Vec<EstimateStep>,
}

#[derive(Deserialize)]
struct EstimateStep {
    rtt: i32,
    srtt: i32,
    rttvar: i32,
    rto: u32,
}

#[test]
fn round_trip_estimates_are_those_recorded() {
    let vectors: Estimates = load("rtt");
    assert_eq!(vectors.cases.len(), 5);
    for (i, case) in vectors.cases.iter().enumerate() {
        let mut rtt = Rtt::new();
        for (j, step) in case.steps.iter().enumerate() {
            rtt.update(step.rtt, case.interval, case.minrto);
            let expected = Rtt {
                srtt: step.srtt,
                rttvar: step.rttvar,
                rto: step.rto,
            };
            assert_eq!(rtt, expected, "case {i}, step {j}");
        }
    }
}

#[derive(Deserialize)]
struct Sizes {
    cases: Vec<SizeCase>,
}

#[derive(Deserialize)]
struct SizeCase {
    cipher: String,
    fec: (usize, usize),
    set_mtu: Option<i64>,
    ok: bool,
    header_size: usize,
    kcp_mtu: usize,
    mss: usize,
    oob_max: usize,
}

#[test]
fn an_mtu_leaves_the_recorded_room_or_is_refused() {
    let vectors: Sizes = load("mtu");
    assert_eq!(vectors.cases.len(), 96);
    let mut current = BTreeMap::new();
    for case in vectors.cases {
        let envelope = match case.cipher.as_str() {
            "null" => Envelope::Null,
            "aes-128-gcm" => Envelope::Aead,
            _ => Envelope::Checksum,
        };
        let mtu = usize::try_from(case.set_mtu.unwrap_or(1400)).unwrap_or(0);
        let sizes = PacketSizes::new(envelope, case.fec != (0, 0), mtu);
        assert_eq!(sizes.is_some(), case.ok, "mtu {mtu}");
        let session = (case.cipher, case.fec);
        if let Some(sizes) = sizes {
            current.insert(session.clone(), sizes);
        }
        let expected = PacketSizes {
            header_size: case.header_size,
            kcp_mtu: case.kcp_mtu,
            mss: case.mss,
            oob_max: case.oob_max,
        };
        assert_eq!(current[&session], expected, "{session:?}, mtu {mtu}");
    }
}

#[derive(Deserialize)]
struct Traces {
    traces: Vec<Trace>,
}

#[derive(Deserialize)]
struct Trace {
    name: String,
    config: Vec<End>,
    steps: Vec<Step>,
}

#[derive(Deserialize)]
struct End {
    who: String,
    conv: u32,
    mtu: usize,
    nodelay: u32,
    interval: u32,
    resend: u32,
    nc: u32,
    snd_wnd: u32,
    rcv_wnd: u32,
    stream: u32,
    #[serde(default)]
    init_snd_nxt: u32,
    #[serde(default)]
    init_rcv_nxt: u32,
}

impl End {
    fn create(&self) -> Kcp {
        let mut kcp = Kcp::new(self.conv, self.mtu);
        kcp.set_no_delay(NoDelay {
            nodelay: self.nodelay != 0,
            interval: self.interval,
            resend: self.resend,
            nc: self.nc != 0,
        });
        kcp.set_windows(self.snd_wnd, self.rcv_wnd);
        kcp.set_stream(self.stream != 0);
        kcp.snd_una = self.init_snd_nxt;
        kcp.snd_nxt = self.init_snd_nxt;
        kcp.rcv_nxt = self.init_rcv_nxt;
        kcp
    }
}

#[derive(Deserialize)]
struct Step {
    t: u32,
    who: String,
    #[serde(flatten)]
    call: Call,
    out: Vec<Hex>,
    st: [i64; 19],
}

#[derive(Deserialize)]
#[serde(tag = "op", rename_all = "snake_case")]
enum Call {
    Send {
        data: Hex,
        ret: i32,
    },
    SendZeros {
        len: usize,
        ret: i32,
    },
    Flush {
        next: u32,
        seg0: Option<Seg0>,
    },
    Input {
        data: Hex,
        #[serde(default)]
        fec: bool,
        #[serde(default)]
        ack_no_delay: bool,
        ret: i32,
    },
    Recv {
        buf: usize,
        peek: i32,
        ret: i32,
        data: Option<Hex>,
    },
}

#[derive(Deserialize, Debug, PartialEq)]
struct Seg0 {
    rto: u32,
    resendts: u32,
    xmit: u32,
}

/// Makes the call and compares what it returns.
fn call(kcp: &mut Kcp, now: u32, call: Call, context: &str) {
    let send =
        |kcp: &mut Kcp, data: &[u8]| kcp.send(data).map_or_else(|error| error as i32, |()| 0);
    match call {
        Call::Send { data, ret } => assert_eq!(send(kcp, &data.0), ret, "{context}"),
        Call::SendZeros { len, ret } => assert_eq!(send(kcp, &vec![0; len]), ret, "{context}"),
        Call::Flush { next, seg0 } => {
            assert_eq!(kcp.flush(now, Flush::Full), next, "{context}");
            if seg0.is_some() {
                let actual = kcp.first_in_flight().map(|segment| Seg0 {
                    rto: segment.rto,
                    resendts: segment.resendts,
                    xmit: segment.xmit,
                });
                assert_eq!(actual, seg0, "{context}");
            }
        }
        Call::Input {
            data,
            fec,
            ack_no_delay,
            ret,
        } => {
            let origin = if fec { Origin::Fec } else { Origin::Regular };
            let result = kcp.input(now, &data.0, origin, ack_no_delay);
            assert_eq!(
                result.map_or_else(|error| error as i32, |()| 0),
                ret,
                "{context}"
            );
        }
        Call::Recv {
            buf,
            peek,
            ret,
            data,
        } => {
            let peeked = kcp.peek_size().map_or(-1, |size| size as i32);
            assert_eq!(peeked, peek, "{context}");
            let result = kcp.recv(buf);
            let code = match &result {
                Ok(message) => message.len() as i32,
                Err(error) => *error as i32,
            };
            assert_eq!(code, ret, "{context}");
            assert_eq!(result.ok().map(Hex), data, "{context}");
        }
    }
}

/// The state in the order of the vectors' `st_fields`.
fn state(kcp: &Kcp) -> [i64; 19] {
    let [snd_queue, snd_buf, rcv_buf, rcv_queue, acklist] =
        kcp.queue_lengths().map(|len| len as i64);
    [
        kcp.snd_una.into(),
        kcp.snd_nxt.into(),
        kcp.rcv_nxt.into(),
        kcp.rmt_wnd.into(),
        kcp.cwnd.into(),
        kcp.ssthresh.into(),
        kcp.incr.into(),
        kcp.rtt.srtt.into(),
        kcp.rtt.rttvar.into(),
        kcp.rtt.rto.into(),
        kcp.probe_bits().into(),
        kcp.probe_wait.into(),
        kcp.ts_probe.into(),
        snd_queue,
        snd_buf,
        rcv_buf,
        rcv_queue,
        acklist,
        if kcp.dead_link { u32::MAX.into() } else { 0 },
    ]
}

#[test]
fn every_step_of_every_trace_gives_the_recorded_packets_and_state() {
    let vectors: Traces = load("kcp_trace");
    assert_eq!(vectors.traces.len(), 14);
    let mut steps = 0;
    for trace in vectors.traces {
        let mut ends: BTreeMap<_, _> = trace
            .config
            .iter()
            .map(|end| (end.who.clone(), end.create()))
            .collect();
        for (i, step) in trace.steps.into_iter().enumerate() {
            let context = format!("{}, step {i}, {}", trace.name, step.who);
            let kcp = ends.get_mut(&step.who).expect("every end is configured");
            call(kcp, step.t, step.call, &context);
            assert_eq!(hex(kcp.output.drain(..)), step.out, "{context}");
            assert_eq!(state(kcp), step.st, "{context}");
            steps += 1;
        }
    }
    assert_eq!(steps, 726);
}
