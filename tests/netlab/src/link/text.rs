//! The text form of a `LinkConfig`: `key=value` words, the same words on the command line.

use std::fmt;
use std::ops::Range;
use std::str::FromStr;
use std::time::Duration;

use super::{
    BurstLength, ConfigError, Damage, DropMask, JitterShape, LinkConfig, Loss, Probability, Rate,
};

/// A parameter in the text form.
#[derive(Clone, Copy, Debug)]
pub struct Key {
    /// Its name, left of `=`.
    pub name: &'static str,
    /// What its value looks like.
    pub value: &'static str,
    /// What it does, in one sentence.
    pub help: &'static str,
}

/// Every parameter of the text form. The word `clean` takes back all that stands before it.
pub const KEYS: &[Key] = &[
    key("loss", "SHARE", "Share of packets lost, like 5% or 0.05"),
    key(
        "burst",
        "LENGTH",
        "Mean length of loss bursts, in packets (5) or time (20ms); without it losses are independent",
    ),
    key(
        "mask",
        "INDICES",
        "Packets to drop by index, like 0,3,10-20",
    ),
    key("delay", "TIME", "One-way delay, like 25ms"),
    key("jitter", "TIME", "Spread of the delay around its value"),
    key(
        "jitter-shape",
        "SHAPE",
        "uniform: anything within the spread; normal: the spread is the standard deviation",
    ),
    key(
        "jitter-order",
        "ORDER",
        "keep: packets stay in order; mix: a fast packet overtakes a slow one",
    ),
    key("reorder", "SHARE", "Share of packets held back"),
    key(
        "reorder-by",
        "TIME",
        "How long they are held back [default: 10ms]",
    ),
    key("duplicate", "SHARE", "Share of packets that arrive twice"),
    key("corrupt", "SHARE", "Share of packets that arrive damaged"),
    key(
        "damage",
        "KIND",
        "bit: one bit flips; a number: so many bytes in a row change",
    ),
    key("rate", "RATE", "Bits per second, like 100mbit"),
    key(
        "queue",
        "SIZE",
        "Bytes that may wait for transmission, like 1250kB [default: 100 ms of the rate]",
    ),
    key("mtu", "SIZE", "Longest packet that passes, in bytes"),
];

const fn key(name: &'static str, value: &'static str, help: &'static str) -> Key {
    Key { name, value, help }
}

impl FromStr for LinkConfig {
    type Err = ConfigError;

    /// Words apart by white space; of two words for one parameter the later one counts.
    fn from_str(text: &str) -> Result<Self, ConfigError> {
        let mut config = Self::new();
        let mut share = Probability::ZERO;
        let mut burst = None;
        for word in text.split_whitespace() {
            if word == "clean" {
                (config, share, burst) = (Self::new(), Probability::ZERO, None);
                continue;
            }
            let (key, value) = word.split_once('=').unwrap_or((word, ""));
            let bad = || ConfigError::BadValue {
                key: key.to_owned(),
                value: value.to_owned(),
            };
            let probability = || probability(value).ok_or_else(bad);
            let time = || duration(value).ok_or_else(bad);
            let size = || bytes(value).ok_or_else(bad);
            match key {
                "loss" => share = probability()?,
                "burst" => burst = Some(burst_length(value).ok_or_else(bad)?),
                "mask" => config.mask = drop_mask(value).ok_or_else(bad)?,
                "delay" => config.delay = time()?,
                "jitter" => config.jitter.spread = time()?,
                "jitter-shape" => config.jitter.shape = jitter_shape(value).ok_or_else(bad)?,
                "jitter-order" => config.jitter.reorders = mixes(value).ok_or_else(bad)?,
                "reorder" => config.reorder = probability()?,
                "reorder-by" => config.reorder_by = time()?,
                "duplicate" => config.duplicate = probability()?,
                "corrupt" => config.corrupt = probability()?,
                "damage" => config.damage = damage(value).ok_or_else(bad)?,
                "rate" => config.rate = Some(rate(value).ok_or_else(bad)?),
                "queue" => config.queue = Some(size()?),
                "mtu" => config.mtu = Some(usize::try_from(size()?).map_err(|_| bad())?),
                unknown => return Err(ConfigError::UnknownKey(unknown.to_owned())),
            }
        }
        config.loss = match burst {
            _ if share == Probability::ZERO => Loss::None,
            None => Loss::Independent(share),
            Some(mean) => Loss::bursts(share, mean)?,
        };
        Ok(config)
    }
}

/// One line that parses back to the same configuration; `clean` for a perfect link.
impl fmt::Display for LinkConfig {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let default = Self::new();
        let mut words = Words { f, any: false };
        match self.loss {
            Loss::None => {}
            Loss::Independent(share) => words.put("loss", share)?,
            Loss::Bursts(bursts) => {
                words.put("loss", bursts.share)?;
                words.put("burst", bursts.mean)?;
            }
        }
        if !self.mask.is_empty() {
            words.put("mask", &self.mask)?;
        }
        if self.delay != default.delay {
            words.put("delay", format_args!("{:?}", self.delay))?;
        }
        if self.jitter != default.jitter {
            words.put("jitter", format_args!("{:?}", self.jitter.spread))?;
        }
        match self.jitter.shape {
            JitterShape::Uniform => {}
            JitterShape::Normal => words.put("jitter-shape", "normal")?,
        }
        if self.jitter.reorders {
            words.put("jitter-order", "mix")?;
        }
        if self.reorder != default.reorder {
            words.put("reorder", self.reorder)?;
        }
        if self.reorder_by != default.reorder_by {
            words.put("reorder-by", format_args!("{:?}", self.reorder_by))?;
        }
        if self.duplicate != default.duplicate {
            words.put("duplicate", self.duplicate)?;
        }
        if self.corrupt != default.corrupt {
            words.put("corrupt", self.corrupt)?;
        }
        match self.damage {
            Damage::Bit => {}
            Damage::Bytes(count) => words.put("damage", count)?,
        }
        if let Some(rate) = self.rate {
            words.put("rate", rate)?;
        }
        if let Some(queue) = self.queue {
            words.put("queue", queue)?;
        }
        if let Some(mtu) = self.mtu {
            words.put("mtu", mtu)?;
        }
        words.finish()
    }
}

struct Words<'a, 'b> {
    f: &'a mut fmt::Formatter<'b>,
    any: bool,
}

impl Words<'_, '_> {
    fn put(&mut self, key: &str, value: impl fmt::Display) -> fmt::Result {
        let separator = if self.any { " " } else { "" };
        self.any = true;
        write!(self.f, "{separator}{key}={value}")
    }

    fn finish(self) -> fmt::Result {
        if self.any {
            Ok(())
        } else {
            self.f.write_str("clean")
        }
    }
}

fn probability(text: &str) -> Option<Probability> {
    match text.strip_suffix('%') {
        Some(percent) => Probability::percent(percent.parse().ok()?).ok(),
        None => Probability::new(text.parse().ok()?).ok(),
    }
}

fn burst_length(text: &str) -> Option<BurstLength> {
    match text.parse() {
        Ok(packets) => Some(BurstLength::Packets(packets)),
        Err(_) => duration(text).map(BurstLength::Time),
    }
}

fn drop_mask(text: &str) -> Option<DropMask> {
    let range = |part: &str| -> Option<Range<u64>> {
        let (first, last) = part.split_once('-').unwrap_or((part, part));
        Some(first.parse().ok()?..last.parse::<u64>().ok()?.checked_add(1)?)
    };
    let ranges: Option<Vec<_>> = text.split(',').map(range).collect();
    ranges.map(DropMask::ranges)
}

fn jitter_shape(text: &str) -> Option<JitterShape> {
    match text {
        "uniform" => Some(JitterShape::Uniform),
        "normal" => Some(JitterShape::Normal),
        _ => None,
    }
}

fn mixes(text: &str) -> Option<bool> {
    match text {
        "keep" => Some(false),
        "mix" => Some(true),
        _ => None,
    }
}

fn damage(text: &str) -> Option<Damage> {
    match text {
        "bit" => Some(Damage::Bit),
        count => count.parse().ok().map(Damage::Bytes),
    }
}

fn duration(text: &str) -> Option<Duration> {
    let units = &[
        ("ns", 1.0),
        ("us", 1e3),
        ("µs", 1e3),
        ("ms", 1e6),
        ("s", 1e9),
        ("min", 6e10),
    ];
    scaled(text, units).map(Duration::from_nanos)
}

fn rate(text: &str) -> Option<Rate> {
    let units = &[("bit", 1.0), ("kbit", 1e3), ("mbit", 1e6), ("gbit", 1e9)];
    Rate::bits_per_second(scaled(&text.to_lowercase(), units)?).ok()
}

fn bytes(text: &str) -> Option<u64> {
    let units = &[
        ("", 1.0),
        ("B", 1.0),
        ("kB", 1e3),
        ("MB", 1e6),
        ("KiB", 1024.0),
        ("MiB", 1024.0 * 1024.0),
    ];
    scaled(text, units)
}

/// A number with a unit, in the smallest unit. Exact below 2⁵³.
fn scaled(text: &str, units: &[(&str, f64)]) -> Option<u64> {
    let split = text
        .find(|c: char| !c.is_ascii_digit() && c != '.')
        .unwrap_or(text.len());
    let (number, unit) = text.split_at(split);
    let (_, factor) = units.iter().find(|(name, _)| *name == unit)?;
    let value = number.parse::<f64>().ok()? * factor;
    (value < u64::MAX as f64).then(|| value.round() as u64)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_config_reads_back_from_its_own_line() {
        for line in [
            "clean",
            "loss=5% delay=25ms",
            "loss=7% burst=5 mask=0,3,10-20 delay=1.5s jitter=2ms jitter-shape=normal \
             jitter-order=mix reorder=5% reorder-by=3ms duplicate=1% corrupt=0.001% damage=4 \
             rate=100mbit queue=1250000 mtu=1400",
            "loss=20% burst=20ms delay=250µs rate=1500bit",
        ] {
            let config: LinkConfig = line.parse().unwrap();
            assert_eq!(config.to_string(), line);
        }
    }

    #[test]
    fn units_mean_what_they_say() {
        let config: LinkConfig = "loss=0.05 delay=0.2min rate=1.5Mbit queue=64KiB mtu=1.2kB"
            .parse()
            .unwrap();
        assert_eq!(
            config.to_string(),
            "loss=5% delay=12s rate=1500kbit queue=65536 mtu=1200"
        );
    }

    #[test]
    fn later_words_count_and_clean_takes_all_back() {
        let config: LinkConfig = "loss=5% burst=5 delay=1ms clean loss=1% loss=2%"
            .parse()
            .unwrap();
        assert_eq!(config.to_string(), "loss=2%");
    }

    #[test]
    fn nonsense_is_refused_with_its_name() {
        for bad in [
            "loss=120%",
            "loss=NaN",
            "delay=25",
            "rate=0bit",
            "burst=",
            "mask=3-x",
            "mtu=-1",
        ] {
            let (key, value) = bad.split_once('=').unwrap();
            let error = ConfigError::BadValue {
                key: key.into(),
                value: value.into(),
            };
            assert_eq!(bad.parse::<LinkConfig>(), Err(error));
        }
        assert_eq!(
            "delai=25ms".parse::<LinkConfig>(),
            Err(ConfigError::UnknownKey("delai".into()))
        );
        assert!(matches!(
            "loss=60% burst=1".parse::<LinkConfig>(),
            Err(ConfigError::Bursts { .. })
        ));
    }

    #[test]
    fn every_listed_key_is_understood() {
        for key in KEYS {
            let error = format!("{}=?", key.name).parse::<LinkConfig>().unwrap_err();
            assert!(
                matches!(error, ConfigError::BadValue { .. }),
                "{}: {error}",
                key.name
            );
        }
    }
}
