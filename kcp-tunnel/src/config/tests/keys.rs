use super::*;
use crate::cli::flags;

/// A flag, a value that is not its default, and what it does.
type Case<C> = (&'static str, &'static str, fn(&C) -> bool);

const BOTH: &[Case<TunnelConfig>] = &[
    ("key", "hunter2", |c| c.key.reveal() == "hunter2"),
    ("crypt", "salsa20", |c| c.crypt == Crypt::Salsa20),
    ("mode", "fast3", |c| {
        c.mode == Mode::Fast3 && c.tuning.interval.as_millis() == 10
    }),
    ("mtu", "1200", |c| c.mtu == 1_200),
    ("ratelimit", "1000000", |c| c.rate_limit == Some(1_000_000)),
    ("sndwnd", "300", |c| c.send_window == 300),
    ("rcvwnd", "60000", |c| c.receive_window == 60_000),
    ("datashard", "20", |c| {
        c.shards
            == Some(Shards {
                data: 20,
                parity: 3,
            })
    }),
    ("parityshard", "5", |c| {
        c.shards
            == Some(Shards {
                data: 10,
                parity: 5,
            })
    }),
    ("dscp", "46", |c| c.dscp == 46),
    ("nocomp", "true", |c| !c.compress),
    ("acknodelay", "true", |c| c.ack_no_delay),
    ("sockbuf", "65536", |c| c.socket_buffer == 65_536),
    ("smuxver", "1", |c| {
        c.smux == smux_config(smux::Version::V1, 4_194_304, 2_097_152, 8_192, 10)
    }),
    ("smuxbuf", "9000000", |c| {
        c.smux == smux_v2(9_000_000, 2_097_152, 8_192, 10)
    }),
    ("streambuf", "100000", |c| {
        c.smux == smux_v2(4_194_304, 100_000, 8_192, 10)
    }),
    ("framesize", "16384", |c| {
        c.smux == smux_v2(4_194_304, 2_097_152, 16_384, 10)
    }),
    ("keepalive", "7", |c| {
        c.smux == smux_v2(4_194_304, 2_097_152, 8_192, 7)
    }),
    ("closewait", "4", |c| c.close_wait == secs(4)),
    ("QPP", "true", |c| c.qpp == NonZeroU16::new(61)),
    ("snmplog", "/a/2006", |c| {
        c.snmp
            == Some(SnmpLog {
                path: "/a/2006".to_owned(),
                period: secs(60),
            })
    }),
    (
        "status",
        "127.0.0.1:1",
        |c| matches!(&c.status, Some(Endpoint::Tcp(at)) if at.port == 1),
    ),
    (
        "metrics",
        "[::]:9",
        |c| matches!(&c.metrics, Some(Endpoint::Tcp(at)) if at.port == 9),
    ),
    ("log", "/a/b.log", |c| {
        c.log == Some(PathBuf::from("/a/b.log"))
    }),
    ("drain", "3", |c| c.drain == secs(3)),
    ("quiet", "true", |c| c.quiet),
    ("compat", "2021", |c| c.generation == Generation::Y2021),
];

const CLIENT: &[Case<ClientConfig>] = &[
    ("localaddr", "/run/t.sock", |c| {
        c.local == Endpoint::Unix("/run/t.sock".into())
    }),
    ("remoteaddr", "h:100-200", |c| {
        c.remote == ports("h", 100..=200)
    }),
    ("conn", "4", |c| c.sessions.get() == 4),
    ("autoexpire", "60", |c| {
        c.expiry
            == Some(Expiry {
                after: secs(60),
                ttl: secs(600),
            })
    }),
];

const SERVER: &[Case<ServerConfig>] = &[
    ("listen", "[::1]:100-200", |c| {
        c.listen == ports("::1", 100..=200)
    }),
    ("target", "web:80", |c| c.target == tcp("web", 80)),
];

/// Flags that do something only together with others, or nothing at all, and have their own tests.
const ELSEWHERE: &[&str] = &[
    "QPPCount",
    "scavengettl",
    "nodelay",
    "interval",
    "resend",
    "nc",
    "snmpperiod",
    "tcp",
    "pprof",
    "c",
];

fn smux_v2(session: usize, stream: usize, frame: usize, keepalive: u64) -> smux::Config {
    smux_config(smux::Version::V2, session, stream, frame, keepalive)
}

fn smux_config(
    version: smux::Version,
    session: usize,
    stream: usize,
    frame: usize,
    keepalive: u64,
) -> smux::Config {
    let config = smux::Config::new(version)
        .announce(true)
        .keepalive(secs(keepalive), secs(30))
        .unwrap();
    config
        .buffers(session, stream)
        .unwrap()
        .max_frame(frame)
        .unwrap()
}

/// The same setting as a JSON object, with the key in capitals if `loud`.
fn json(name: &str, value: &str, loud: bool) -> String {
    let key = flags(Side::Client)
        .chain(flags(Side::Server))
        .find(|flag| flag.name == name);
    let key = key.unwrap().json;
    let key = if loud {
        key.to_uppercase()
    } else {
        key.to_owned()
    };
    let bare = (value.parse::<i64>().is_ok() && name != "compat") || value == "true";
    if bare {
        format!("{{\"{key}\": {value}}}")
    } else {
        format!("{{\"{key}\": \"{value}\"}}")
    }
}

#[test]
fn every_setting_of_both_programs_works_as_flag_and_as_key() {
    for &(name, value, holds) in BOTH {
        let flag = format!("--{name}={value}");
        assert!(!holds(&client_with(&[]).tunnel), "{name} holds by default");
        assert!(holds(&client_with(&[&flag]).tunnel), "{flag}");
        assert!(holds(&server_with(&[&flag]).tunnel), "{flag}");
        for loud in [false, true] {
            let json = json(name, value, loud);
            assert!(holds(&run(client_file(&[], &json)).0.tunnel), "{json}");
            assert!(holds(&run(server_file(&json)).0.tunnel), "{json}");
        }
    }
}

#[test]
fn every_setting_of_the_client_works_as_flag_and_as_key() {
    for &(name, value, holds) in CLIENT {
        let flag = format!("-{name}={value}");
        assert!(!holds(&client_with(&[])), "{name} holds by default");
        assert!(holds(&client_with(&[&flag])), "{flag}");
        assert!(
            holds(&run(client_file(&[], &json(name, value, true))).0),
            "{name}"
        );
    }
}

#[test]
fn every_setting_of_the_server_works_as_flag_and_as_key() {
    for &(name, value, holds) in SERVER {
        let flag = format!("-{name}={value}");
        assert!(!holds(&server_with(&[])), "{name} holds by default");
        assert!(holds(&server_with(&[&flag])), "{flag}");
        assert!(
            holds(&run(server_file(&json(name, value, true))).0),
            "{name}"
        );
    }
}

#[test]
fn no_flag_is_without_a_test() {
    let tested: Vec<&str> = (BOTH.iter().map(|case| case.0))
        .chain(CLIENT.iter().map(|case| case.0))
        .chain(SERVER.iter().map(|case| case.0))
        .chain(ELSEWHERE.iter().copied())
        .collect();
    for flag in flags(Side::Client).chain(flags(Side::Server)) {
        assert!(tested.contains(&flag.name), "{}", flag.name);
    }
}
