//! A JSON file of settings, explained line by line.

use core::fmt;

use serde::Deserializer as _;
use serde::de::{MapAccess, Visitor};
use serde_json::value::RawValue;

use super::error::ConfigError;
use super::names::{Generation, Mode};
use super::settings::{CONFIG_FILE, flag_value};
use crate::cli::{Flag, Side, Value, flags};

/// A member of the file's object.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Explained {
    /// The line of its value, from 1.
    pub(crate) line: usize,
    /// Its name, as written.
    pub(crate) key: String,
    /// Its value, unless that is secret.
    pub(crate) value: String,
    /// What that means.
    pub(crate) meaning: String,
}

/// Which program the file is for, by what only one of them has.
pub(crate) fn side_of(text: &str) -> Result<Option<Side>, ConfigError> {
    let members = members(text)?;
    let has = |side: Side| {
        let own = |key: &str| {
            let only = flags(side).find(|flag| flag.json.eq_ignore_ascii_case(key));
            only.is_some_and(|flag| flag.is_of_one_side())
        };
        members.iter().any(|member| own(&member.key))
    };
    Ok(match (has(Side::Client), has(Side::Server)) {
        (true, false) => Some(Side::Client),
        (false, true) => Some(Side::Server),
        (true, true) | (false, false) => None,
    })
}

/// Explains every member, in the order of the file.
pub(crate) fn explain(side: Side, text: &str) -> Result<Vec<Explained>, ConfigError> {
    let members = members(text)?;
    let flag_of = |key: &str| {
        let mut known = flags(side).filter(|flag| flag.name != CONFIG_FILE);
        known.find(|flag| flag.json.eq_ignore_ascii_case(key))
    };
    let text_of = |name: &str| {
        let last = members
            .iter()
            .rev()
            .find(|member| member.key.eq_ignore_ascii_case(name));
        last.and_then(|member| serde_json::from_str::<String>(member.value.get()).ok())
    };
    let mode = text_of("mode").unwrap_or_else(|| "fast".to_owned());
    let generation = text_of("compat")
        .and_then(|year| Generation::named(&year))
        .unwrap_or(Generation::Y2026);
    let explain = |(at, member): (usize, &Member<'_>)| {
        let flag = flag_of(&member.key);
        let later = members[at + 1..]
            .iter()
            .find(|later| later.key.eq_ignore_ascii_case(&member.key));
        let meaning = match (flag, later) {
            (None, _) => "not known: ignored, as kcptun does".to_owned(),
            (Some(_), Some(later)) => format!("overridden in line {}", later.line),
            (Some(flag), None) => meaning(flag, member.value, side, generation, &mode),
        };
        let secret = flag.is_some_and(|flag| flag.name == "key");
        let value = if secret {
            "(not shown)"
        } else {
            member.value.get()
        };
        Explained {
            line: member.line,
            key: member.key.clone(),
            value: value.to_owned(),
            meaning,
        }
    };
    Ok(members.iter().enumerate().map(explain).collect())
}

fn meaning(flag: &Flag, raw: &RawValue, side: Side, generation: Generation, mode: &str) -> String {
    let json: serde_json::Value = serde_json::from_str(raw.get()).unwrap_or_default();
    if json.is_null() {
        return "null sets nothing".to_owned();
    }
    let Some(value) = flag_value(flag, json) else {
        return format!("WRONG: must be {}", flag.takes());
    };
    let mut meaning = flag.help.to_owned();
    let tuned = matches!(flag.name, "nodelay" | "interval" | "resend" | "nc");
    let overruled = tuned && !matches!(Mode::named(mode), None | Some(Mode::Manual));
    let default = flag.default(side, generation);
    if matches!(flag.name, "tcp" | "pprof") {
        return match value {
            Value::Switch(true) => "WRONG: not built here".to_owned(),
            Value::Switch(false) | Value::Text(_) | Value::Integer(_) => {
                "off, as it must be".to_owned()
            }
        };
    }
    if overruled {
        meaning.push_str(&format!("; NO EFFECT: mode {mode} sets it"));
    } else if value == default {
        meaning.push_str("; as by default");
    } else if flag.name != "key" {
        meaning.push_str(&match default {
            Value::Text(text) if text.is_empty() => "; by default none".to_owned(),
            Value::Text(text) => format!("; by default {text}"),
            Value::Integer(number) => format!("; by default {number}"),
            Value::Switch(_) => "; by default off".to_owned(),
        });
    }
    if MUST_AGREE.contains(&flag.name) {
        meaning.push_str("; MUST be the same at both ends");
    }
    meaning
}

/// Settings without whose agreement nothing gets through.
const MUST_AGREE: [&str; 6] = ["key", "crypt", "nocomp", "smuxver", "QPP", "QPPCount"];

struct Member<'a> {
    line: usize,
    key: String,
    value: &'a RawValue,
}

fn members(text: &str) -> Result<Vec<Member<'_>>, ConfigError> {
    let json = |error: serde_json::Error| ConfigError::Json(error.to_string());
    let mut reader = serde_json::Deserializer::from_str(text);
    let pairs = reader.deserialize_map(RawPairs).map_err(json)?;
    reader.end().map_err(json)?;
    let line_of = |value: &RawValue| {
        let at = value.get().as_ptr().addr() - text.as_ptr().addr();
        text[..at].matches('\n').count() + 1
    };
    let member = |(key, value): (String, _)| Member {
        line: line_of(value),
        key,
        value,
    };
    Ok(pairs.into_iter().map(member).collect())
}

/// Reads an object's members as they are written.
struct RawPairs;

impl<'de> Visitor<'de> for RawPairs {
    type Value = Vec<(String, &'de RawValue)>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
        let mut pairs = Vec::new();
        while let Some(pair) = map.next_entry()? {
            pairs.push(pair);
        }
        Ok(pairs)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const FILE: &str = r#"{
  "localaddr": ":12948",
  "Key": "tops3cret",

  "crypt": "salsa20", "mtu": "big",
  "interval": 5,
  "tcp": true,
  "quiet": null,
  "speed": {"a":
     1},
  "nocomp": false,
  "nocomp": true
}"#;

    fn explained(key: &str) -> Explained {
        let all = explain(Side::Client, FILE).unwrap();
        all.into_iter().find(|member| member.key == key).unwrap()
    }

    #[test]
    fn every_member_is_explained_with_its_line() {
        let all = explain(Side::Client, FILE).unwrap();
        let lines: Vec<_> = all.iter().map(|member| member.line).collect();
        assert_eq!(lines, [2, 3, 5, 5, 6, 7, 8, 9, 11, 12]);
        for (key, words) in [
            (
                "localaddr",
                "where to accept connections; without a port, a unix socket; as by default",
            ),
            ("crypt", "by default aes; MUST be the same"),
            ("mtu", "WRONG: must be a whole number"),
            ("interval", "NO EFFECT: mode fast sets it"),
            ("tcp", "WRONG: not built"),
            ("quiet", "null sets nothing"),
            ("speed", "not known"),
            ("nocomp", "overridden in line 12"),
        ] {
            let meaning = explained(key).meaning;
            assert!(meaning.contains(words), "{key}: {meaning}");
        }
    }

    #[test]
    fn the_key_is_not_shown() {
        assert!(!format!("{:?}", explain(Side::Client, FILE)).contains("tops3cret"));
        assert!(explained("Key").meaning.contains("MUST be the same"));
    }

    #[test]
    fn the_side_is_known_by_what_only_one_has() {
        assert_eq!(side_of(FILE).unwrap(), Some(Side::Client));
        assert_eq!(side_of(r#"{"target": "a:1"}"#).unwrap(), Some(Side::Server));
        assert_eq!(side_of(r#"{"mtu": 1}"#).unwrap(), None);
        assert!(side_of("[]").is_err() && side_of("{} x").is_err());
    }
}
