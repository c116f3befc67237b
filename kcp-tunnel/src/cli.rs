//! kcptun's flags: their names, what they take, their defaults, and how they are written.
//!
//! Says nothing about what a value means: [`config`](crate::config) does.

use core::fmt::Write as _;

use crate::config::{ConfigError, Generation};

/// Which of the two programs is run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Side {
    /// Accepts TCP connections and carries them to the server.
    Client,
    /// Accepts KCP sessions and connects to the target.
    Server,
}

/// The value of a flag, from wherever it came.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Value {
    Text(String),
    Integer(i64),
    Switch(bool),
}

/// What a flag takes, and its default.
#[derive(Clone, Copy, Debug)]
enum Kind {
    Text(&'static str),
    /// The default may differ on the server, and for [`Generation::Y2021`].
    Integer {
        default: i64,
        on_server: Option<i64>,
        in_2021: Option<i64>,
    },
    /// Off unless given.
    Switch,
}

/// A flag of one or both programs.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Flag {
    pub(crate) name: &'static str,
    /// Another name on the command line; empty if there is none.
    short: &'static str,
    /// The name in a JSON file.
    pub(crate) json: &'static str,
    /// The program that has it; `None` for both.
    side: Option<Side>,
    /// Not shown by `--help`.
    hidden: bool,
    kind: Kind,
    pub(crate) help: &'static str,
}

/// What a command line asks for.
#[derive(Debug)]
pub(crate) enum Invocation {
    Help,
    Version,
    Run(Vec<(&'static Flag, Value)>),
}

/// Reads a command line, without the program's name, the way Go's `flag` package does: one dash or
/// two, the value behind `=` or in the next argument, switches without a value or with `=false`.
pub(crate) fn parse(
    side: Side,
    args: impl IntoIterator<Item = String>,
) -> Result<Invocation, ConfigError> {
    let mut args = args.into_iter();
    let mut given = Vec::new();
    while let Some(arg) = args.next() {
        let Some(text) = arg.strip_prefix("--").or_else(|| arg.strip_prefix('-')) else {
            return Err(ConfigError::UnexpectedArgument(arg));
        };
        if text.is_empty() {
            return match args.next() {
                Some(rest) => Err(ConfigError::UnexpectedArgument(rest)),
                None => Ok(Invocation::Run(given)),
            };
        }
        let (name, inline) = match text.split_once('=') {
            Some((name, value)) => (name, Some(value.to_owned())),
            None => (text, None),
        };
        let Some(flag) = flags(side).find(|flag| flag.is_called(name)) else {
            return match name {
                "h" | "help" => Ok(Invocation::Help),
                "v" | "version" => Ok(Invocation::Version),
                _ => Err(ConfigError::UnknownFlag(name.to_owned())),
            };
        };
        let value = match (flag.kind, inline) {
            (Kind::Switch, None) => Value::Switch(true),
            (_, Some(text)) => flag.parse(text)?,
            (Kind::Text(_) | Kind::Integer { .. }, None) => {
                let text = args.next().ok_or(ConfigError::MissingValue(flag.name))?;
                flag.parse(text)?
            }
        };
        given.push((flag, value));
    }
    Ok(Invocation::Run(given))
}

/// The flags of a program with their defaults, for people.
pub(crate) fn usage(side: Side, generation: Generation) -> String {
    let mut out = String::new();
    for flag in flags(side).filter(|flag| !flag.hidden) {
        let short = if flag.short.is_empty() {
            String::new()
        } else {
            format!(", -{}", flag.short)
        };
        let default = match flag.default(side, generation) {
            Value::Text(text) if text.is_empty() => String::new(),
            Value::Text(text) => format!(" (default {text})"),
            Value::Integer(number) => format!(" (default {number})"),
            Value::Switch(_) => String::new(),
        };
        let name = format!("--{}{short}", flag.name);
        writeln!(out, "  {name:<22} {}{default}", flag.help).expect("a string takes anything");
    }
    out
}

/// The flags that `side` has.
pub(crate) fn flags(side: Side) -> impl Iterator<Item = &'static Flag> {
    FLAGS
        .iter()
        .filter(move |flag| flag.side.is_none_or(|only| only == side))
}

impl Flag {
    /// The value if none is given.
    pub(crate) fn default(&self, side: Side, generation: Generation) -> Value {
        match (self.kind, side, generation) {
            (Kind::Text(default), _, _) => Value::Text(default.to_owned()),
            (Kind::Switch, _, _) => Value::Switch(false),
            (
                Kind::Integer {
                    in_2021: Some(default),
                    ..
                },
                _,
                Generation::Y2021,
            ) => Value::Integer(default),
            (
                Kind::Integer {
                    on_server: Some(default),
                    ..
                },
                Side::Server,
                _,
            ) => Value::Integer(default),
            (Kind::Integer { default, .. }, _, _) => Value::Integer(default),
        }
    }

    /// What the flag takes, in words.
    pub(crate) const fn takes(&self) -> &'static str {
        match self.kind {
            Kind::Text(_) => "a string",
            Kind::Integer { .. } => "a whole number",
            Kind::Switch => "true or false",
        }
    }

    /// Whether the other program does not have it.
    pub(crate) const fn is_of_one_side(&self) -> bool {
        self.side.is_some()
    }

    fn is_called(&self, name: &str) -> bool {
        self.name == name || self.short == name && !name.is_empty()
    }

    fn parse(&self, text: String) -> Result<Value, ConfigError> {
        let value = match self.kind {
            Kind::Text(_) => return Ok(Value::Text(text)),
            Kind::Integer { .. } => text.parse().ok().map(Value::Integer),
            // The spellings that Go's `strconv.ParseBool` takes.
            Kind::Switch => match text.as_str() {
                "1" | "t" | "T" | "true" | "TRUE" | "True" => Some(Value::Switch(true)),
                "0" | "f" | "F" | "false" | "FALSE" | "False" => Some(Value::Switch(false)),
                _ => None,
            },
        };
        value.ok_or(ConfigError::WrongType {
            name: self.name,
            expected: self.takes(),
        })
    }

    const fn new(name: &'static str, kind: Kind, help: &'static str) -> Self {
        Self {
            name,
            short: "",
            json: name,
            side: None,
            hidden: false,
            kind,
            help,
        }
    }

    const fn short(self, short: &'static str) -> Self {
        Self { short, ..self }
    }

    const fn json(self, json: &'static str) -> Self {
        Self { json, ..self }
    }

    const fn only(self, side: Side) -> Self {
        Self {
            side: Some(side),
            ..self
        }
    }

    const fn hidden(self) -> Self {
        Self {
            hidden: true,
            ..self
        }
    }
}

const fn text(name: &'static str, default: &'static str, help: &'static str) -> Flag {
    Flag::new(name, Kind::Text(default), help)
}

const fn integer(name: &'static str, default: i64, help: &'static str) -> Flag {
    Flag::new(
        name,
        Kind::Integer {
            default,
            on_server: None,
            in_2021: None,
        },
        help,
    )
}

/// A number whose default differs on the server or in 2021.
const fn varying(
    name: &'static str,
    default: i64,
    on_server: Option<i64>,
    in_2021: Option<i64>,
    help: &'static str,
) -> Flag {
    Flag::new(
        name,
        Kind::Integer {
            default,
            on_server,
            in_2021,
        },
        help,
    )
}

const fn switch(name: &'static str, help: &'static str) -> Flag {
    Flag::new(name, Kind::Switch, help)
}

/// Every flag, one a line. Source: kcptun 20210922 and kcptun of January 2026, but for `status`,
/// `metrics`, `drain` and `compat`.
#[rustfmt::skip]
static FLAGS: &[Flag] = &[
    text("localaddr", ":12948", "where to accept connections; without a port, a unix socket").short("l").only(Side::Client),
    text("remoteaddr", "vps:29900", "the server, host:port or host:min-max").short("r").only(Side::Client),
    text("listen", ":29900", "where to accept sessions, host:port or host:min-max").short("l").only(Side::Server),
    text("target", "127.0.0.1:12948", "where to connect to; without a port, a unix socket").short("t").only(Side::Server),
    text("key", DEFAULT_KEY, "secret shared with the peer; also from KCPTUN_KEY"),
    text("crypt", "aes", "cipher: aes-128-gcm aes aes-128 aes-192 salsa20 blowfish twofish cast5 3des tea xtea sm4 xor none null"),
    text("mode", "fast", "tuning: normal, fast, fast2, fast3, manual"),
    switch("QPP", "permute every stream's bytes").json("qpp"),
    integer("QPPCount", 61, "permutations for QPP, an odd number").json("qpp-count"),
    integer("conn", 1, "KCP sessions to spread connections over").only(Side::Client),
    integer("autoexpire", 0, "replace a session after so many seconds; 0: never").only(Side::Client),
    integer("scavengettl", 600, "seconds that a replaced session may live on").only(Side::Client),
    integer("mtu", 1_350, "most bytes in a datagram, without IP and UDP headers"),
    integer("ratelimit", 0, "bytes per second that a session sends at most; 0: no limit"),
    varying("sndwnd", 128, Some(1_024), None, "send window in segments"),
    varying("rcvwnd", 512, Some(1_024), None, "receive window in segments"),
    integer("datashard", 10, "data packets in a group of forward error correction; 0: off").short("ds"),
    integer("parityshard", 3, "parity packets in a group; 0: off").short("ps"),
    integer("dscp", 0, "DSCP of the datagrams, 0 to 63"),
    switch("nocomp", "do not compress"),
    switch("acknodelay", "acknowledge every packet at once").hidden(),
    integer("nodelay", 0, "1: resend earlier, with mode manual").hidden(),
    integer("interval", 50, "milliseconds between flushes, with mode manual").hidden(),
    integer("resend", 0, "later acks that resend a segment, with mode manual").hidden(),
    integer("nc", 0, "1: no congestion control, with mode manual").hidden(),
    integer("sockbuf", 4_194_304, "bytes of socket buffer in each direction"),
    varying("smuxver", 2, None, Some(1), "version of smux, 1 or 2; must be the peer's"),
    integer("smuxbuf", 4_194_304, "received bytes that may wait for readers, per session"),
    varying("framesize", 8_192, None, Some(32_768), "most bytes in a frame of smux"),
    integer("streambuf", 2_097_152, "received bytes that may wait per stream, with smuxver 2"),
    integer("keepalive", 10, "seconds of silence until a keepalive, at most 30"),
    varying("closewait", 0, Some(30), Some(0), "seconds from the end of one direction to closing both"),
    text("snmplog", "", "file for statistics; its name is a Go time layout, as ./snmp-20060102.log"),
    integer("snmpperiod", 60, "seconds between its lines; 0: none"),
    text("log", "", "file to append the log to"),
    switch("quiet", "do not log the opening and closing of streams"),
    text("status", "", "local port or unix socket for 'kcp-tunnel stats'"),
    text("metrics", "", "where to serve metrics to Prometheus over HTTP, host:port"),
    integer("drain", 10, "seconds that connections have to end when the program is told to stop"),
    switch("tcp", "not built").hidden(),
    switch("pprof", "not built").hidden(),
    text("c", "", "JSON file with these settings, which override the command line"),
    text("compat", "", "2021 or 2026: defaults and unknown ciphers as in kcptun of that year"),
];

/// The key that is used without any. Everybody knows it.
pub(crate) const DEFAULT_KEY: &str = "it's a secrect";

#[cfg(test)]
mod tests {
    use super::*;

    fn given(side: Side, args: &[&str]) -> Vec<(&'static str, Value)> {
        match parse(side, args.iter().map(|&arg| arg.to_owned())).unwrap() {
            Invocation::Run(given) => given
                .into_iter()
                .map(|(flag, value)| (flag.name, value))
                .collect(),
            Invocation::Help | Invocation::Version => panic!("{args:?} is to run"),
        }
    }

    fn error(args: &[&str]) -> String {
        let args = args.iter().map(|&arg| arg.to_owned());
        parse(Side::Client, args).unwrap_err().to_string()
    }

    fn text_value(text: &'static str) -> Value {
        Value::Text(text.into())
    }

    #[test]
    fn flags_take_one_dash_or_two_and_values_in_two_ways() {
        let args = [
            "-localaddr",
            ":1",
            "--remoteaddr=h:2",
            "-mtu=1200",
            "--conn",
            "3",
        ];
        let expected = [
            ("localaddr", text_value(":1")),
            ("remoteaddr", text_value("h:2")),
            ("mtu", Value::Integer(1_200)),
            ("conn", Value::Integer(3)),
        ];
        assert_eq!(given(Side::Client, &args), expected);
    }

    #[test]
    fn short_names_mean_what_they_mean_on_each_side() {
        let client = given(
            Side::Client,
            &["-l", ":1", "-r", "h:2", "-ds", "5", "--ps", "2"],
        );
        let names: Vec<_> = client.iter().map(|(name, _)| *name).collect();
        assert_eq!(
            names,
            ["localaddr", "remoteaddr", "datashard", "parityshard"]
        );
        let server = given(Side::Server, &["-l", ":1", "-t", "h:2"]);
        let names: Vec<_> = server.iter().map(|(name, _)| *name).collect();
        assert_eq!(names, ["listen", "target"]);
    }

    #[test]
    fn switches_stand_alone_or_take_a_value_behind_an_equals_sign() {
        let args = ["-nocomp", "--quiet=false", "-QPP=T", "-key", "-nocomp"];
        let expected = [
            ("nocomp", Value::Switch(true)),
            ("quiet", Value::Switch(false)),
            ("QPP", Value::Switch(true)),
            ("key", text_value("-nocomp")),
        ];
        assert_eq!(given(Side::Client, &args), expected);
    }

    #[test]
    fn what_is_not_a_flag_is_named() {
        assert_eq!(
            error(&["--sndwindow", "1"]),
            "no flag is called \"sndwindow\""
        );
        assert_eq!(error(&["-t", "h:1"]), "no flag is called \"t\"");
        assert_eq!(
            error(&["-nocomp", "false"]),
            "unexpected argument \"false\""
        );
        assert_eq!(error(&["--", "x"]), "unexpected argument \"x\"");
        assert_eq!(error(&["--mtu"]), "mtu needs a value");
        assert_eq!(error(&["--mtu", "big"]), "mtu takes a whole number");
        assert_eq!(error(&["--quiet=maybe"]), "quiet takes true or false");
        assert_eq!(given(Side::Client, &["--"]), []);
    }

    #[test]
    fn help_and_version_are_answered_in_all_spellings() {
        let ask = |arg: &str| parse(Side::Server, [arg.to_owned()]).unwrap();
        for arg in ["-h", "--help", "-help"] {
            assert!(matches!(ask(arg), Invocation::Help));
        }
        for arg in ["-v", "--version"] {
            assert!(matches!(ask(arg), Invocation::Version));
        }
    }

    #[test]
    fn usage_shows_each_sides_flags_with_its_defaults() {
        let client = usage(Side::Client, Generation::Y2026);
        assert!(client.contains("--localaddr, -l") && !client.contains("--target"));
        assert!(client.contains("--sndwnd               send window in segments (default 128)"));
        assert!(!client.contains("acknodelay"));
        let server = usage(Side::Server, Generation::Y2021);
        assert!(server.contains("--target, -t") && !server.contains("--conn"));
        assert!(server.contains("(default 1024)") && server.contains("(default 32768)"));
    }

    #[test]
    fn no_name_means_two_flags() {
        for side in [Side::Client, Side::Server] {
            let mut names: Vec<&str> = flags(side)
                .flat_map(|flag| [flag.name, flag.short])
                .filter(|name| !name.is_empty())
                .collect();
            names.extend(["h", "help", "v", "version"]);
            let count = names.len();
            names.sort_unstable();
            names.dedup();
            assert_eq!(names.len(), count);
        }
    }

    #[test]
    fn the_readme_names_every_flag_and_key() {
        let readme = include_str!("../README.md");
        for flag in FLAGS {
            for name in [flag.name, flag.short, flag.json] {
                let named = name.is_empty() || readme.contains(&format!("`{name}`"));
                assert!(named, "{name}");
            }
        }
    }
}
