//! The parameters of both links as flags: every key of the text form, for both directions or one.

use clap::builder::Str;
use clap::error::ErrorKind;
use clap::{Arg, ArgMatches, Args, Command, Error, FromArgMatches};
use netlab::link::{KEYS, LinkConfig};

/// The links as the flags describe them.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Links {
    pub(super) up: LinkConfig,
    pub(super) down: LinkConfig,
}

impl Args for Links {
    fn augment_args(command: Command) -> Command {
        let both = KEYS.iter().map(|key| {
            Arg::new(key.name)
                .long(key.name)
                .value_name(key.value)
                .help(key.help)
                .help_heading("Link")
        });
        let one = DIRECTIONS.iter().flat_map(|direction| {
            let all = Arg::new(*direction)
                .long(*direction)
                .value_name("WORDS")
                .help(format!(
                    "Parameters of {direction} alone, like \"loss=5% delay=25ms\""
                ))
                .help_heading("Link, one direction");
            let single = KEYS.iter().map(move |key| {
                let name = Str::from(format!("{direction}-{}", key.name));
                Arg::new(name.clone())
                    .long(name)
                    .value_name(key.value)
                    .hide(true)
            });
            single.chain([all])
        });
        command.args(both).args(one)
    }

    fn augment_args_for_update(command: Command) -> Command {
        Self::augment_args(command)
    }
}

impl FromArgMatches for Links {
    fn from_arg_matches(matches: &ArgMatches) -> Result<Self, Error> {
        let [up, down] = DIRECTIONS.map(|direction| {
            let mut words: Vec<String> = words(matches, "");
            words.extend(matches.get_one::<String>(direction).cloned());
            words.extend(self::words(matches, &format!("{direction}-")));
            let text = words.join(" ");
            text.parse::<LinkConfig>()
                .map_err(|error| Error::raw(ErrorKind::ValueValidation, format!("{error}\n")))
        });
        Ok(Self {
            up: up?,
            down: down?,
        })
    }

    fn update_from_arg_matches(&mut self, matches: &ArgMatches) -> Result<(), Error> {
        *self = Self::from_arg_matches(matches)?;
        Ok(())
    }
}

/// The flags whose names begin with `prefix`, as words of the text form.
fn words(matches: &ArgMatches, prefix: &str) -> Vec<String> {
    let word = |name: &str| {
        let value = matches.get_one::<String>(&format!("{prefix}{name}"))?;
        Some(format!("{name}={value}"))
    };
    KEYS.iter().filter_map(|key| word(key.name)).collect()
}

const DIRECTIONS: [&str; 2] = ["up", "down"];

#[cfg(test)]
mod tests {
    use super::*;

    fn links(line: &[&str]) -> Result<Links, Error> {
        let command = Links::augment_args(Command::new("test").no_binary_name(true));
        Links::from_arg_matches(&command.try_get_matches_from(line)?)
    }

    #[test]
    fn flags_hold_for_both_directions_unless_one_has_its_own() {
        let links = links(&[
            "--loss",
            "5%",
            "--delay",
            "25ms",
            "--down-loss",
            "1%",
            "--up",
            "rate=10mbit loss=2%",
        ])
        .unwrap();
        assert_eq!(links.up, "loss=2% delay=25ms rate=10mbit".parse().unwrap());
        assert_eq!(links.down, "loss=1% delay=25ms".parse().unwrap());
    }

    #[test]
    fn a_wrong_value_is_named() {
        let error = links(&["--delay", "25"]).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::ValueValidation);
        assert!(
            error.to_string().contains("`25` is no value for `delay`"),
            "{error}"
        );
    }
}
