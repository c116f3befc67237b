use std::io::ErrorKind;

use super::*;

/// Every setting, one by one.
mod keys;

fn owned(args: &[&str]) -> Vec<String> {
    args.iter().map(|&arg| arg.to_owned()).collect()
}

fn no_file(path: &str) -> io::Result<String> {
    panic!("no file is named, but {path} is read")
}

fn run<C>(command: Result<Command<C>, ConfigError>) -> (C, Vec<Warning>) {
    match command.unwrap() {
        Command::Run { config, warnings } => (*config, warnings),
        Command::Help(_) | Command::Version => panic!("this is to run"),
    }
}

fn client_with(args: &[&str]) -> ClientConfig {
    run(client(owned(args), None, no_file)).0
}

fn server_with(args: &[&str]) -> ServerConfig {
    run(server(owned(args), None, no_file)).0
}

fn client_file(args: &[&str], json: &str) -> Result<Command<ClientConfig>, ConfigError> {
    let args = [&["-c", "file.json"], args].concat();
    client(owned(&args), None, |path| {
        assert_eq!(path, "file.json");
        Ok(json.to_owned())
    })
}

fn server_file(json: &str) -> Result<Command<ServerConfig>, ConfigError> {
    server(owned(&["-c", "f"]), None, |_| Ok(json.to_owned()))
}

fn client_error(args: &[&str]) -> String {
    client(owned(args), None, no_file).unwrap_err().to_string()
}

fn tcp(host: &str, port: u16) -> Endpoint {
    Endpoint::Tcp(HostPort {
        host: host.to_owned(),
        port,
    })
}

fn ports(host: &str, ports: core::ops::RangeInclusive<u16>) -> HostPorts {
    HostPorts {
        host: host.to_owned(),
        ports,
    }
}

const fn secs(secs: u64) -> Duration {
    Duration::from_secs(secs)
}

#[test]
fn the_clients_defaults_are_those_of_kcptun_2026() {
    let smux = smux::Config::new(smux::Version::V2)
        .buffers(4_194_304, 2_097_152)
        .unwrap();
    let expected = ClientConfig {
        local: tcp("", 12_948),
        remote: ports("vps", 29_900..=29_900),
        sessions: NonZeroU16::MIN,
        expiry: None,
        tunnel: TunnelConfig {
            status: None,
            metrics: None,
            drain: secs(10),
            key: Key("it's a secrect".to_owned()),
            crypt: Crypt::Aes,
            mode: Mode::Fast,
            tuning: Tuning {
                nodelay: false,
                interval: Duration::from_millis(30),
                resend: 2,
                congestion_control: false,
            },
            mtu: 1_350,
            rate_limit: None,
            send_window: 128,
            receive_window: 512,
            shards: Some(Shards {
                data: 10,
                parity: 3,
            }),
            dscp: 0,
            compress: true,
            ack_no_delay: false,
            socket_buffer: 4_194_304,
            smux: smux.max_frame(8_192).unwrap().announce(true),
            close_wait: Duration::ZERO,
            qpp: None,
            snmp: None,
            log: None,
            quiet: false,
            generation: Generation::Y2026,
        },
    };
    assert_eq!(client_with(&[]), expected);
}

#[test]
fn the_servers_defaults_differ_where_kcptuns_do() {
    let client = client_with(&[]).tunnel;
    let expected = ServerConfig {
        listen: ports("", 29_900..=29_900),
        target: tcp("127.0.0.1", 12_948),
        tunnel: TunnelConfig {
            send_window: 1_024,
            receive_window: 1_024,
            close_wait: secs(30),
            ..client
        },
    };
    assert_eq!(server_with(&[]), expected);
}

#[test]
fn compat_2021_has_the_defaults_of_2021() {
    let smux = smux::Config::new(smux::Version::V1)
        .buffers(4_194_304, 2_097_152)
        .unwrap();
    let new = server_with(&[]);
    let old = server_with(&["--compat", "2021"]);
    let expected = TunnelConfig {
        smux: smux.max_frame(32_768).unwrap().half_close(false),
        close_wait: Duration::ZERO,
        generation: Generation::Y2021,
        ..new.tunnel
    };
    assert_eq!(old.tunnel, expected);
    let by_file = run(client_file(&[], r#"{"compat": "2021"}"#)).0;
    assert_eq!(by_file, client_with(&["--compat", "2021"]));
    let mut exact = client_with(&[]);
    exact.tunnel.smux = exact.tunnel.smux.announce(false);
    assert_eq!(client_with(&["--compat", "2026"]), exact);
    assert_eq!(
        client_error(&["--compat", "2022"]),
        "compat must be 2021 or 2026, not \"2022\""
    );
}

#[test]
fn ciphers_that_protect_nothing_are_warned_of() {
    for (name, weak) in [
        ("none", true),
        ("null", true),
        ("xor", true),
        ("tea", false),
    ] {
        let (_, warnings) = run(client(owned(&["--key=k", "--crypt", name]), None, no_file));
        let crypt = Crypt::named(name, Generation::Y2026).unwrap();
        let expected = weak.then_some(Warning::WeakCipher(crypt));
        assert_eq!(warnings, Vec::from_iter(expected), "{name}");
    }
}

#[test]
fn a_window_larger_than_a_header_can_tell_is_cut() {
    let (config, warnings) = run(server(owned(&["--key=k", "--rcvwnd=70000"]), None, no_file));
    assert_eq!(config.tunnel.receive_window, 65_535);
    assert_eq!(warnings, [Warning::WindowCut("rcvwnd")]);
}

#[test]
fn the_key_comes_from_the_file_else_the_command_line_else_the_environment() {
    let environment = || Some("from environment".to_owned());
    let key = |args: &[&str], json: &str| {
        let command = client(owned(args), environment(), |_| Ok(json.to_owned()));
        run(command).0.tunnel.key.reveal().to_owned()
    };
    assert_eq!(key(&[], ""), "from environment");
    assert_eq!(key(&["--key", "from flag"], ""), "from flag");
    let file = r#"{"key": "from file"}"#;
    assert_eq!(key(&["--key", "from flag", "-c", "f"], file), "from file");
    assert_eq!(key(&["-c", "f"], "{}"), "from environment");
}

#[test]
fn the_file_overrides_the_command_line_and_keeps_what_it_does_not_name() {
    let (config, _) = run(client_file(
        &["--mtu=1000", "--conn=2"],
        r#"{"MTU": 1200, "dscp": null}"#,
    ));
    assert_eq!(
        (config.tunnel.mtu, config.sessions.get(), config.tunnel.dscp),
        (1_200, 2, 0)
    );
    let (config, _) = run(client_file(
        &[],
        r#"{"mtu": 1000, "Mtu": 1100, "mtu": 1200}"#,
    ));
    assert_eq!(config.tunnel.mtu, 1_200);
}

#[test]
fn unknown_keys_are_ignored_but_reported() {
    let json = r#"{"key": "k", "speed": "high", "listen": ":1", "c": "other.json", "mtu": 1000}"#;
    let (config, warnings) = run(client_file(&[], json));
    assert_eq!(config.tunnel.mtu, 1_000);
    let unknown = |key: &str| Warning::UnknownKey(key.to_owned());
    assert_eq!(
        warnings,
        [unknown("speed"), unknown("listen"), unknown("c")]
    );
}

#[test]
fn a_file_that_cannot_be_used_says_why() {
    let error = |json| client_file(&[], json).unwrap_err().to_string();
    assert_eq!(error(r#"{"mtu": "1200"}"#), "mtu takes a whole number");
    assert_eq!(error(r#"{"mtu": 12.5}"#), "mtu takes a whole number");
    assert_eq!(
        error(r#"{"qpp-count": true}"#),
        "qpp-count takes a whole number"
    );
    assert_eq!(error(r#"{"key": 7}"#), "key takes a string");
    assert_eq!(error(r#"{"nocomp": 1}"#), "nocomp takes true or false");
    assert!(error("[1]").starts_with("the configuration file is not a JSON object: "));
    assert!(error(r#"{"mtu": 1200"#).contains("line 1 column 12"));
    assert!(error("{} {}").contains("trailing characters"));
    let missing = client(owned(&["-c", "gone.json"]), None, |_| {
        Err(ErrorKind::NotFound.into())
    });
    assert_eq!(
        missing.unwrap_err().to_string(),
        "cannot read \"gone.json\": entity not found"
    );
}

#[test]
fn a_mode_wins_over_the_numbers_it_stands_for() {
    let tuning = |args: &[&str]| client_with(args).tunnel.tuning;
    let of = |nodelay, interval| Tuning {
        nodelay,
        interval: Duration::from_millis(interval),
        resend: 2,
        congestion_control: false,
    };
    assert_eq!(tuning(&["--mode", "normal"]), of(false, 40));
    assert_eq!(tuning(&["--mode", "fast"]), of(false, 30));
    assert_eq!(
        tuning(&["--mode", "fast2", "--interval", "5", "--nc", "0"]),
        of(true, 20)
    );
    assert_eq!(
        tuning(&["--mode", "fast3", "--nodelay", "0", "--resend", "9"]),
        of(true, 10)
    );
}

#[test]
fn mode_manual_takes_the_numbers() {
    let tuning = |args: &[&str]| {
        client_with(&[&["--mode", "manual"], args].concat())
            .tunnel
            .tuning
    };
    let numbers = |nodelay, interval, resend, congestion_control| Tuning {
        nodelay,
        interval: Duration::from_millis(interval),
        resend,
        congestion_control,
    };
    assert_eq!(tuning(&[]), numbers(false, 50, 0, true));
    let args = ["--nodelay=1", "--interval=25", "--resend=3", "--nc=1"];
    assert_eq!(tuning(&args), numbers(true, 25, 3, false));
    assert_eq!(tuning(&["--interval=1"]), numbers(false, 10, 0, true));
    assert_eq!(tuning(&["--interval=9999"]), numbers(false, 5_000, 0, true));
    let args = ["--nodelay=-1", "--interval=-1", "--resend=-1", "--nc=-1"];
    assert_eq!(tuning(&args), numbers(false, 100, 0, true));
}

#[test]
fn an_unknown_mode_is_manual_and_reported() {
    let (config, warnings) = run(client(owned(&["--key=k", "--mode=fast4"]), None, no_file));
    assert_eq!(config.tunnel.mode, Mode::Manual);
    assert_eq!(config.tunnel.tuning.interval, Duration::from_millis(50));
    assert_eq!(warnings, [Warning::UnknownMode("fast4".to_owned())]);
}

#[test]
fn every_cipher_has_its_name() {
    for crypt in Crypt::ALL {
        assert_eq!(client_with(&["--crypt", crypt.name()]).tunnel.crypt, crypt);
    }
}

#[test]
fn an_unknown_cipher_is_an_error_unless_kcptun_is_to_be_imitated() {
    assert_eq!(
        client_error(&["--crypt=aes-256"]),
        "no cipher is called \"aes-256\""
    );
    let replaced = |year: &str, name: &str| {
        let args = owned(&["--key=k", "--compat", year, "--crypt", name]);
        let (config, warnings) = run(client(args, None, no_file));
        (config.tunnel.crypt, warnings)
    };
    let warning = |name: &str| vec![Warning::CipherReplaced(name.to_owned())];
    assert_eq!(
        replaced("2026", "aes-256"),
        (Crypt::Aes, warning("aes-256"))
    );
    let weak = vec![Warning::WeakCipher(Crypt::Null)];
    assert_eq!(replaced("2026", "null"), (Crypt::Null, weak));
    assert_eq!(replaced("2021", "null"), (Crypt::Aes, warning("null")));
    assert_eq!(
        replaced("2021", "aes-128-gcm"),
        (Crypt::Aes, warning("aes-128-gcm"))
    );
}

#[test]
fn the_public_default_key_is_warned_of() {
    let warnings = |args| run(client(owned(args), None, no_file)).1;
    assert_eq!(warnings(&[]), [Warning::DefaultKey]);
    assert_eq!(warnings(&["--key", "mine"]), []);
}

#[test]
fn qpp_has_a_count_and_warns_of_what_weakens_it() {
    let key = "k".repeat(211);
    let qpp = |args: &[&str]| {
        let (config, warnings) = run(client(
            owned(&[&["--key", &key], args].concat()),
            None,
            no_file,
        ));
        (config.tunnel.qpp.map(NonZeroU16::get), warnings)
    };
    assert_eq!(qpp(&["--QPP"]), (Some(61), vec![]));
    assert_eq!(qpp(&["--QPP", "--QPPCount", "9"]), (Some(9), vec![]));
    assert_eq!(qpp(&["--QPPCount", "0"]), (None, vec![]));
    let few = vec![
        Warning::Qpp(qpp::Weakness::FewPads(6)),
        Warning::Qpp(qpp::Weakness::EvenCount(6)),
    ];
    assert_eq!(qpp(&["--QPP", "--QPPCount", "6"]), (Some(6), few));
    let error = client_error(&["--QPP", "--QPPCount", "0"]);
    assert_eq!(error, "QPPCount must be from 1 to 65535, not 0");
    let by_file = run(client_file(&[], r#"{"qpp": true, "qpp-count": 11}"#)).0;
    assert_eq!(by_file.tunnel.qpp, NonZeroU16::new(11));
}

#[test]
fn numbers_out_of_range_are_errors_that_name_the_range() {
    for (args, message) in [
        (["--mtu", "1501"], "mtu must be from 64 to 1500, not 1501"),
        (["--mtu", "0"], "mtu must be from 64 to 1500, not 0"),
        (["--conn", "0"], "conn must be from 1 to 65535, not 0"),
        (
            ["--sndwnd", "0"],
            "sndwnd must be from 1 to 2147483647, not 0",
        ),
        (
            ["--rcvwnd", "-1"],
            "rcvwnd must be from 1 to 2147483647, not -1",
        ),
        (["--dscp", "64"], "dscp must be from 0 to 63, not 64"),
        (
            ["--datashard", "-1"],
            "datashard must be from 0 to 256, not -1",
        ),
        (
            ["--datashard", "254"],
            "254 data and 3 parity shards are more than 256 together",
        ),
        (["--smuxver", "3"], "smuxver must be from 1 to 2, not 3"),
        (
            ["--sockbuf", "0"],
            "sockbuf must be from 1 to 2147483647, not 0",
        ),
        (
            ["--closewait", "-1"],
            "closewait must be from 0 to 3153600000, not -1",
        ),
        (
            ["--autoexpire", "-1"],
            "autoexpire must be from 0 to 3153600000, not -1",
        ),
    ] {
        assert_eq!(client_error(&args), message);
    }
}

#[test]
fn smux_refuses_what_it_cannot_do() {
    for args in [
        ["--keepalive", "31"],
        ["--keepalive", "0"],
        ["--framesize", "65536"],
        ["--framesize", "0"],
        ["--streambuf", "5000000"],
        ["--streambuf", "0"],
        ["--smuxbuf", "2147483648"],
    ] {
        assert!(client_error(&args).starts_with("smux: "), "{args:?}");
    }
}

#[test]
fn either_shard_count_of_zero_turns_error_correction_off() {
    for flag in ["--ds=0", "--ps=0"] {
        assert_eq!(client_with(&[flag]).tunnel.shards, None);
    }
}

#[test]
fn a_negative_rate_limit_is_none() {
    assert_eq!(client_with(&["--ratelimit", "-5"]).tunnel.rate_limit, None);
}

#[test]
fn statistics_need_a_path_and_a_period() {
    let snmp = |args: &[&str]| client_with(args).tunnel.snmp;
    assert_eq!(
        snmp(&["--snmplog", "a", "--snmpperiod", "5"])
            .unwrap()
            .period,
        secs(5)
    );
    assert_eq!(snmp(&["--snmplog", "a", "--snmpperiod", "0"]), None);
    assert_eq!(snmp(&["--snmpperiod", "5"]), None);
}

#[test]
fn sessions_expire_only_with_autoexpire() {
    assert_eq!(client_with(&["--scavengettl", "5"]).expiry, None);
    let expiry = client_with(&["--autoexpire", "9", "--scavengettl", "5"]).expiry;
    assert_eq!(
        expiry,
        Some(Expiry {
            after: secs(9),
            ttl: secs(5)
        })
    );
}

#[test]
fn an_address_that_is_none_names_the_setting() {
    assert_eq!(
        client_error(&["-r", "vps"]),
        "remoteaddr: \"vps\" has no port"
    );
    assert_eq!(
        client_error(&["-l", ":http"]),
        "localaddr: \"http\" is not a port"
    );
    assert_eq!(client_error(&["-l", ""]), "localaddr: the address is empty");
}

#[test]
fn what_is_not_built_names_what_to_use() {
    assert_eq!(
        client_error(&["--tcp"]),
        "tcp is not built: use plain UDP, or kcptun itself where UDP is blocked"
    );
    assert!(client_error(&["--pprof"]).starts_with("pprof is not built: "));
    assert!(server_file(r#"{"tcp": true}"#).is_err());
    assert_eq!(
        client_with(&["--tcp=false", "--pprof=false"]),
        client_with(&[])
    );
}

#[test]
fn help_and_version_need_no_valid_configuration() {
    let ask = |arg| client(owned(&["--mtu=0", arg]), None, no_file).unwrap();
    assert!(matches!(ask("--help"), Command::Help(text) if text.contains("--remoteaddr")));
    assert!(matches!(ask("-v"), Command::Version));
}

#[test]
fn debug_output_does_not_show_the_key() {
    let shown = format!("{:?}", client_with(&["--key", "hunter2"]));
    assert!(!shown.contains("hunter2"));
}
