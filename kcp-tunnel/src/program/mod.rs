//! The command line: which program is meant, and how it runs until it is told to stop.

mod check;
mod logging;
mod signals;
mod startup;
mod stats;

use core::time::Duration;
use std::ffi::OsString;
use std::io::{self, Write as _};
use std::path::Path;
use std::process::ExitCode;

use jiff::Zoned;
use kcp_transport::Listener;
use tokio::task::JoinSet;
use tracing::{error, info, warn};

use crate::client::Client;
use crate::config::{
    self, ClientConfig, Command, ConfigError, Endpoint, KEY_VARIABLE, ServerConfig, TunnelConfig,
    Warning,
};
use crate::link::{UdpDialer, transport_config};
use crate::monitor;
use crate::server::Server;
use crate::snmp;
use crate::sockets::{Acceptor, local_addrs};
use crate::status::Tunnel;
use signals::{Signal, Signals};

/// Runs the program whose name and arguments these are.
///
/// The first argument is `client` or `server`, unless the name says so already: `kcptun-client` and
/// `kcptun-server` take kcptun's arguments as they are.
pub fn run(args: impl IntoIterator<Item = OsString>) -> ExitCode {
    let mut args = args
        .into_iter()
        .map(|arg| arg.to_string_lossy().into_owned());
    let name = args.next().unwrap_or_default();
    let result = match kcptun_role(&name) {
        Some(word) => run_command(word, args),
        None => match args.next() {
            Some(word) => run_command(&word, args),
            None => Err(Failure::Usage("say client or server".to_owned())),
        },
    };
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(Failure::Usage(text)) => {
            eprintln!("{name}: {text}\nTry '--help'.");
            ExitCode::from(2)
        }
        Err(Failure::Run(text)) => {
            eprintln!("{name}: {text}");
            ExitCode::FAILURE
        }
    }
}

/// Why the program ends with an error.
#[derive(Debug)]
enum Failure {
    /// It was called in a way that means nothing.
    Usage(String),
    /// It cannot do what it was told.
    Run(String),
}

impl From<ConfigError> for Failure {
    fn from(error: ConfigError) -> Self {
        Self::Usage(error.to_string())
    }
}

/// The command that kcptun's names for its programs stand for.
fn kcptun_role(program: &str) -> Option<&'static str> {
    let name = Path::new(program).file_name()?.to_str()?;
    match name.strip_suffix(".exe").unwrap_or(name) {
        "kcptun-client" => Some("client"),
        "kcptun-server" => Some("server"),
        _ => None,
    }
}

fn run_command(word: &str, args: impl Iterator<Item = String>) -> Result<(), Failure> {
    let key = std::env::var(KEY_VARIABLE).ok();
    let read = |path: &str| std::fs::read_to_string(path);
    match word {
        "client" => match config::client(args, key, read)? {
            Command::Run { config, warnings } => run_client(*config, warnings),
            Command::Help(flags) => print(&client_help(&flags)),
            Command::Version => print(VERSION),
        },
        "server" => match config::server(args, key, read)? {
            Command::Run { config, warnings } => run_server(*config, warnings),
            Command::Help(flags) => print(&server_help(&flags)),
            Command::Version => print(VERSION),
        },
        "check-config" => check::run(args),
        "stats" => stats::run(args),
        "help" | "-h" | "-help" | "--help" => print(HELP),
        "version" | "-v" | "-version" | "--version" => print(VERSION),
        word => Err(Failure::Usage(format!("no command is called {word:?}"))),
    }
}

fn run_client(config: ClientConfig, warnings: Vec<Warning>) -> Result<(), Failure> {
    prepare(&config.tunnel)?;
    block_on(async move {
        let signals = Signals::new().map_err(|error| error.to_string())?;
        let transport = transport_config(&config.tunnel).map_err(|error| error.to_string())?;
        let acceptor = Acceptor::bind(&config.local)
            .await
            .map_err(|error| format!("cannot listen on {}: {error}", config.local))?;
        let local = acceptor.local().map_err(|error| error.to_string())?;
        startup::client(&config, &local, &warnings);
        let dialer = UdpDialer::new(config.remote.clone(), transport);
        let client = Client::new(config.clone(), dialer);
        client.open_sessions();
        let serving = client.clone();
        tokio::spawn(async move { serving.serve(acceptor).await });
        run_tunnel(&client, &config.tunnel, signals, core::future::pending()).await
    })
}

fn run_server(config: ServerConfig, warnings: Vec<Warning>) -> Result<(), Failure> {
    prepare(&config.tunnel)?;
    block_on(async move {
        let signals = Signals::new().map_err(|error| error.to_string())?;
        let transport = transport_config(&config.tunnel).map_err(|error| error.to_string())?;
        let server = Server::new(config.clone(), config.target.clone());
        let mut serving = JoinSet::new();
        let mut bound = Vec::new();
        for port in config.listen.ports.clone() {
            let bind = async {
                let addrs = local_addrs(&config.listen.host, port).await?;
                Listener::bind(&addrs[..], transport.clone()).await
            };
            let listener = bind
                .await
                .map_err(|error| format!("cannot listen on UDP port {port}: {error}"))?;
            bound.push(listener.local_addr());
            let server = server.clone();
            serving.spawn(async move { server.serve(listener).await });
        }
        startup::server(&config, &bound, &warnings);
        let failed = async {
            loop {
                match serving.join_next().await {
                    Some(Ok(Err(error))) => return format!("a listener failed: {error}"),
                    Some(_) => {}
                    None => core::future::pending().await,
                }
            }
        };
        run_tunnel(&server, &config.tunnel, signals, failed).await
    })
}

/// Serves signals and statistics until it is told to stop or `failed` says why it cannot go on.
async fn run_tunnel<T: Tunnel>(
    tunnel: &T,
    config: &TunnelConfig,
    mut signals: Signals,
    failed: impl Future<Output = String>,
) -> Result<(), String> {
    serve_monitors(tunnel, config).await?;
    let generation = config.generation;
    if let Some(log) = config.snmp.clone() {
        let (path, tunnel) = (log.path.clone(), tunnel.clone());
        tokio::spawn(async move {
            let error = snmp::write_log(log, generation, tunnel, Zoned::now).await;
            warn!("statistics are not written any more: {path}: {error}");
        });
    }
    tokio::pin!(failed);
    loop {
        let signal = tokio::select! {
            signal = signals.next() => signal,
            error = &mut failed => {
                error!("{error}");
                return Err(error);
            }
        };
        match signal {
            Signal::Stop => break,
            Signal::Statistics => {
                info!(
                    "{}",
                    snmp::signal_line(generation, &tunnel.counters().await)
                );
            }
        }
    }
    let running = tunnel.status().connections;
    let drain = config.drain;
    info!("stopping; {running} connections have {drain:?} to end");
    tokio::select! {
        all = tunnel.stop(drain) => match all {
            true => info!("stopped"),
            false => warn!("stopped; connections were broken off"),
        },
        () = async { while signals.next().await != Signal::Stop {} } => {
            warn!("stopped at once; connections were broken off");
        }
    }
    Ok(())
}

/// Lets others see what the tunnel does, where that is wanted.
async fn serve_monitors<T: Tunnel>(tunnel: &T, config: &TunnelConfig) -> Result<(), String> {
    let bind = async |endpoint: &Endpoint| {
        let acceptor = Acceptor::bind(endpoint)
            .await
            .map_err(|error| format!("cannot listen on {endpoint}: {error}"))?;
        let local = acceptor.local().map_err(|error| error.to_string())?;
        Ok::<_, String>((acceptor, local))
    };
    if let Some(endpoint) = &config.status {
        let (acceptor, local) = bind(endpoint).await?;
        info!("status at: {local}");
        tokio::spawn(monitor::serve_status(tunnel.clone(), acceptor));
    }
    if let Some(endpoint) = &config.metrics {
        let (acceptor, local) = bind(endpoint).await?;
        info!("metrics at: {local}");
        tokio::spawn(monitor::serve_metrics(tunnel.clone(), acceptor));
    }
    Ok(())
}

fn prepare(config: &TunnelConfig) -> Result<(), Failure> {
    logging::start(config.log.as_deref()).map_err(|error| {
        let path = config.log.as_deref().unwrap_or(Path::new("standard error"));
        Failure::Run(format!("cannot log to {}: {error}", path.display()))
    })
}

fn block_on(future: impl Future<Output = Result<(), String>>) -> Result<(), Failure> {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()
        .map_err(|error| Failure::Run(error.to_string()))?;
    let result = runtime.block_on(future).map_err(Failure::Run);
    runtime.shutdown_timeout(Duration::from_millis(100));
    result
}

fn print(text: &str) -> Result<(), Failure> {
    match writeln!(io::stdout(), "{}", text.trim_end()) {
        Err(error) if error.kind() != io::ErrorKind::BrokenPipe => {
            Err(Failure::Run(error.to_string()))
        }
        Ok(()) | Err(_) => Ok(()),
    }
}

fn client_help(flags: &str) -> String {
    format!(
        "Carries TCP connections to the server of a tunnel, over KCP. Takes kcptun's flags.\n\n\
         Usage: kcp-tunnel client [flags], or kcptun-client [flags]\n\n\
         {flags}\n{FLAG_NOTES}"
    )
}

fn server_help(flags: &str) -> String {
    format!(
        "Takes connections from the clients of a tunnel and carries them to a target. Takes kcptun's \
         flags.\n\n\
         Usage: kcp-tunnel server [flags], or kcptun-server [flags]\n\n\
         {flags}\n{FLAG_NOTES}"
    )
}

const FLAG_NOTES: &str = "\
Flags take one dash or two, and their value behind a space or '='. The names in a JSON file (-c) are
those of the flags; what the file sets counts before the command line. The key may also come from the
environment: KCPTUN_KEY.

Both ends need the same key, crypt, nocomp, smuxver and, if used, QPP and QPPCount.

Signals: SIGTERM and SIGINT stop the program once its connections have ended, after the seconds of
'drain' at the latest, the second one at once. SIGUSR1 logs statistics.";

const HELP: &str = "\
A TCP tunnel over KCP (reliable UDP with forward error correction), compatible with kcptun.

Usage: kcp-tunnel COMMAND [flags]

Commands:
  client    take TCP connections and carry them to a server
  server    take them from clients and connect to a target
  check-config FILE
            explain a JSON file of settings, line by line
  stats ADDRESS
            show what a running tunnel does, whose flag 'status' has this address
  version   show the version

'kcp-tunnel COMMAND --help' shows the flags. Called as kcptun-client or kcptun-server, the program
takes kcptun's command line as it is.";

const VERSION: &str = concat!("kcp-tunnel ", env!("CARGO_PKG_VERSION"));

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn kcptuns_names_choose_the_program() {
        assert_eq!(kcptun_role("/usr/bin/kcptun-client"), Some("client"));
        assert_eq!(kcptun_role("kcptun-server"), Some("server"));
        assert_eq!(kcptun_role("kcptun-server.exe"), Some("server"));
        assert_eq!(kcptun_role("/opt/kcp-tunnel"), None);
        assert_eq!(kcptun_role("/kcptun-client/kcp-tunnel"), None);
    }
}
