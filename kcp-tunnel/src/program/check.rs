//! `check-config`: what a file of settings means, before anything runs.

use super::{Failure, VERSION, print, startup};
use crate::cli::Side;
use crate::config::explain::{Explained, explain, side_of};
use crate::config::{self, Command, ConfigError, Warning};

/// Explains the file that the arguments name.
pub(super) fn run(args: impl Iterator<Item = String>) -> Result<(), Failure> {
    let mut side = None;
    let mut file = None;
    for arg in args {
        match arg.as_str() {
            "-h" | "-help" | "--help" => return print(HELP),
            "-client" | "--client" => side = Some(Side::Client),
            "-server" | "--server" => side = Some(Side::Server),
            _ if arg.starts_with('-') || file.is_some() => {
                return Err(ConfigError::UnexpectedArgument(arg).into());
            }
            _ => file = Some(arg),
        }
    }
    let Some(file) = file else {
        return Err(Failure::Usage("check-config needs a file".to_owned()));
    };
    let text = std::fs::read_to_string(&file)
        .map_err(|error| Failure::Run(format!("cannot read {file:?}: {error}")))?;
    let usable = |error: ConfigError| Failure::Run(format!("{file} cannot be used: {error}"));
    let side = match side {
        Some(side) => side,
        None => side_of(&text).map_err(usable)?.ok_or_else(|| {
            let both = "nothing in the file says whether it is a client's or a server's";
            Failure::Usage(format!("{both}: say --client or --server"))
        })?,
    };
    let mut out = String::new();
    for member in explain(side, &text).map_err(usable)? {
        out.push_str(&paragraph(&member));
    }
    let (lines, warnings) = match effective(side, text) {
        Ok(effective) => effective,
        Err(error) => {
            print(&out)?;
            return Err(usable(error));
        }
    };
    out.push_str("\nIn effect, with the defaults:\n");
    for line in lines {
        out.push_str(&format!("  {line}\n"));
    }
    for warning in warnings {
        out.push_str(&format!("WARNING: {warning}\n"));
    }
    out.push_str(&format!("\n{file} can be used ({VERSION}).\n"));
    print(&out)
}

fn paragraph(member: &Explained) -> String {
    let Explained {
        line,
        key,
        value,
        meaning,
    } = member;
    format!("line {line:<3} {key}: {value}\n         {meaning}\n")
}

/// What a program would do with the file.
fn effective(side: Side, text: String) -> Result<(Vec<String>, Vec<Warning>), ConfigError> {
    let args = ["-c".to_owned(), "file".to_owned()];
    let nothing = (Vec::new(), Vec::new());
    Ok(match side {
        Side::Client => match config::client(args, None, |_| Ok(text))? {
            Command::Run { config, warnings } => {
                (startup::client_lines(&config, &config.local), warnings)
            }
            Command::Help(_) | Command::Version => nothing,
        },
        Side::Server => match config::server(args, None, |_| Ok(text))? {
            Command::Run { config, warnings } => {
                let mut lines = vec![
                    format!("listening on: {}", config.listen),
                    format!("target: {}", config.target),
                ];
                lines.extend(startup::tunnel_lines(&config.tunnel));
                (lines, warnings)
            }
            Command::Help(_) | Command::Version => nothing,
        },
    })
}

const HELP: &str = "\
Explains a JSON file of settings line by line, and says whether it can be used.

Usage: kcp-tunnel check-config [--client | --server] FILE

Whose file it is shows in what it sets; where it does not, say so.";
