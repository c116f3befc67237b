//! `bench`: the same work over several transports, side by side in one run.
//!
//! - `names`, `work`, `settings`: what can be asked for.
//! - `transport`: the transports behind one trait; `client` and `server`: what travels over their streams.
//! - `caller`: does a work and counts; `ends`: server and caller as processes; `go`: those of kcp-go.
//! - `plan`, `lab`, `run`: which samples are taken, one sample, all of them.
//! - `model`, `histogram`: what was measured; `report`: how it is shown; `gate`: what must hold.

mod caller;
mod cli;
mod client;
mod clock;
mod ends;
mod events;
mod gate;
mod go;
mod histogram;
mod lab;
mod model;
mod names;
mod plan;
mod report;
mod run;
mod server;
mod settings;
mod transport;
mod work;

use std::process::ExitCode;

use clap::Parser;

use cli::Cli;

fn main() -> ExitCode {
    // 10,000 connections of a peer with a socket each need as many descriptors; children inherit the limit.
    raise_descriptor_limit();
    match Cli::parse().run() {
        Ok(code) => code,
        Err(error) => {
            eprintln!("bench: {error}");
            ExitCode::FAILURE
        }
    }
}

/// As far as we may. Works that need more fail and say so.
fn raise_descriptor_limit() {
    use nix::sys::resource::{Resource, getrlimit, setrlimit};
    if let Ok((soft, hard)) = getrlimit(Resource::RLIMIT_NOFILE)
        && soft < hard
    {
        let _ = setrlimit(Resource::RLIMIT_NOFILE, hard, hard);
    }
}
