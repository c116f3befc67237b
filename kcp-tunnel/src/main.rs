//! The program `kcp-tunnel`, also under kcptun's names.

use std::process::ExitCode;

fn main() -> ExitCode {
    kcp_tunnel::program::run(std::env::args_os())
}
