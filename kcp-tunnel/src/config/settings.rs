//! What was set where: the JSON file above the command line above the defaults.

use core::fmt;
use core::ops::RangeInclusive;
use std::collections::BTreeMap;

use serde::Deserializer as _;
use serde::de::{MapAccess, Visitor};
use serde_json::Value as Json;

use super::error::{ConfigError, Warning};
use super::names::Generation;
use crate::cli::{Flag, Side, Value, flags};

/// What was given so far, by flag.
#[derive(Debug)]
pub(super) struct Given {
    side: Side,
    values: BTreeMap<&'static str, Value>,
}

/// The value of every flag.
#[derive(Debug)]
pub(super) struct Settings {
    values: BTreeMap<&'static str, Value>,
    generation: Generation,
    exact: bool,
}

impl Given {
    pub(super) fn new(side: Side) -> Self {
        Self {
            side,
            values: BTreeMap::new(),
        }
    }

    /// Sets the value of `flag`, whatever was set before.
    pub(super) fn set(&mut self, flag: &'static Flag, value: Value) {
        self.values.insert(flag.name, value);
    }

    /// Sets the key to one that is known before the command line is.
    pub(super) fn set_key(&mut self, key: String) {
        self.values.insert("key", Value::Text(key));
    }

    /// Sets what a JSON object gives. Its keys may be written in any case, the last of several
    /// counts, `null` sets nothing. What is unknown is reported.
    pub(super) fn set_json(&mut self, text: &str) -> Result<Vec<Warning>, ConfigError> {
        let json = |error: serde_json::Error| ConfigError::Json(error.to_string());
        let mut reader = serde_json::Deserializer::from_str(text);
        let pairs = reader.deserialize_map(PairsVisitor).map_err(json)?;
        reader.end().map_err(json)?;
        let mut warnings = Vec::new();
        for (key, value) in pairs {
            let mut known = flags(self.side).filter(|flag| flag.name != CONFIG_FILE);
            match known.find(|flag| flag.json.eq_ignore_ascii_case(&key)) {
                Some(_) if value.is_null() => {}
                Some(flag) => {
                    let expected = flag.takes();
                    let wrong = ConfigError::WrongType {
                        name: flag.json,
                        expected,
                    };
                    self.set(flag, flag_value(flag, value).ok_or(wrong)?);
                }
                None => warnings.push(Warning::UnknownKey(key)),
            }
        }
        Ok(warnings)
    }

    /// The text given for `name`, empty if there is none.
    pub(super) fn text(&self, name: &str) -> &str {
        match self.values.get(name) {
            Some(Value::Text(text)) => text,
            Some(Value::Integer(_) | Value::Switch(_)) | None => "",
        }
    }

    /// Nothing more will be given: what is missing gets its default.
    pub(super) fn settle(mut self) -> Result<Settings, ConfigError> {
        let (generation, exact) = match self.text("compat") {
            "" => (Generation::Y2026, false),
            year => match Generation::named(year) {
                Some(generation) => (generation, true),
                None => return Err(ConfigError::UnknownGeneration(year.to_owned())),
            },
        };
        for flag in flags(self.side) {
            let default = || flag.default(self.side, generation);
            self.values.entry(flag.name).or_insert_with(default);
        }
        Ok(Settings {
            values: self.values,
            generation,
            exact,
        })
    }
}

impl Settings {
    /// The year whose defaults are used.
    pub(super) const fn generation(&self) -> Generation {
        self.generation
    }

    /// Whether kcptun of that year is to be imitated in what it does wrong, too.
    pub(super) const fn exact(&self) -> bool {
        self.exact
    }

    pub(super) fn text(&self, name: &str) -> &str {
        match self.get(name) {
            Value::Text(text) => text,
            Value::Integer(_) | Value::Switch(_) => unreachable!("{name} takes text"),
        }
    }

    pub(super) fn switch(&self, name: &str) -> bool {
        match self.get(name) {
            Value::Switch(on) => *on,
            Value::Text(_) | Value::Integer(_) => unreachable!("{name} is a switch"),
        }
    }

    pub(super) fn integer(&self, name: &str) -> i64 {
        match self.get(name) {
            Value::Integer(number) => *number,
            Value::Text(_) | Value::Switch(_) => unreachable!("{name} takes a number"),
        }
    }

    /// A number of type `T` within `range`.
    pub(super) fn number<T>(
        &self,
        name: &'static str,
        range: RangeInclusive<T>,
    ) -> Result<T, ConfigError>
    where
        T: TryFrom<i64> + PartialOrd + fmt::Display,
    {
        let actual = self.integer(name);
        let number = T::try_from(actual)
            .ok()
            .filter(|number| range.contains(number));
        number.ok_or_else(|| {
            let allowed = format!("from {} to {}", range.start(), range.end());
            ConfigError::OutOfRange {
                name,
                allowed,
                actual,
            }
        })
    }

    fn get(&self, name: &str) -> &Value {
        self.values
            .get(name)
            .expect("each side is asked for its own flags only")
    }
}

/// The value that JSON has for `flag`, if it is of the flag's type.
pub(super) fn flag_value(flag: &Flag, json: Json) -> Option<Value> {
    match (flag.default(Side::Client, Generation::Y2026), json) {
        (Value::Text(_), Json::String(text)) => Some(Value::Text(text)),
        (Value::Integer(_), Json::Number(number)) => number.as_i64().map(Value::Integer),
        (Value::Switch(_), Json::Bool(on)) => Some(Value::Switch(on)),
        (Value::Text(_) | Value::Integer(_) | Value::Switch(_), _) => None,
    }
}

/// Reads an object's members in the order in which they are written, repeated ones, too.
struct PairsVisitor;

impl<'de> Visitor<'de> for PairsVisitor {
    type Value = Vec<(String, Json)>;

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

/// The flag that names the file, which the file itself cannot set.
pub(super) const CONFIG_FILE: &str = "c";
