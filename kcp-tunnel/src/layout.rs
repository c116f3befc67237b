//! Go's time layouts: a text in which the parts of one reference time stand for those of any other.
//!
//! The reference is Mon Jan 2 15:04:05 2006, seven hours behind UTC. Source: the documentation of
//! Go's package `time`.

use core::fmt::{self, Write as _};

use jiff::Zoned;

/// Writes `time` the way that `layout` writes the reference time.
pub(crate) fn format(layout: &str, time: &Zoned) -> String {
    let mut out = String::new();
    let mut rest = layout;
    while let Some(first) = rest.chars().next() {
        if let Some((part, len)) = fraction(rest).or_else(|| named_part(rest)) {
            part.write(time, &mut out).expect("a string takes anything");
            rest = &rest[len..];
        } else {
            out.push(first);
            rest = &rest[first.len_utf8()..];
        }
    }
    out
}

/// A part of a layout that stands for a part of the time.
#[derive(Clone, Copy, Debug)]
enum Part {
    /// What this conversion of `strftime` gives.
    Strftime(&'static str),
    /// The offset from UTC, down to this unit, and whether UTC itself is written `Z`.
    Offset {
        separator: &'static str,
        unit: Unit,
        zulu: bool,
    },
    /// Digits of the second's fraction behind a point, without zeros at the end if trimmed.
    Fraction {
        point: char,
        digits: usize,
        trim: bool,
    },
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Unit {
    Hour,
    Minute,
    Second,
}

impl Part {
    fn write(self, time: &Zoned, out: &mut String) -> fmt::Result {
        match self {
            Self::Strftime(conversion) => write!(out, "{}", time.strftime(conversion)),
            Self::Offset {
                separator,
                unit,
                zulu,
            } => {
                let seconds = time.offset().seconds();
                if zulu && seconds == 0 {
                    return out.write_char('Z');
                }
                let (sign, seconds) = (if seconds < 0 { '-' } else { '+' }, seconds.abs());
                write!(out, "{sign}{:02}", seconds / 3_600)?;
                if unit >= Unit::Minute {
                    write!(out, "{separator}{:02}", seconds / 60 % 60)?;
                }
                if unit >= Unit::Second {
                    write!(out, "{separator}{:02}", seconds % 60)?;
                }
                Ok(())
            }
            Self::Fraction {
                point,
                digits,
                trim,
            } => {
                let nanos = format!("{:09}", time.subsec_nanosecond());
                let padded = format!("{nanos:0<digits$}");
                let shown = &padded[..digits];
                match if trim {
                    shown.trim_end_matches('0')
                } else {
                    shown
                } {
                    "" => Ok(()),
                    shown => write!(out, "{point}{shown}"),
                }
            }
        }
    }
}

/// The part at the start of `layout` that has a name of its own, and the name's length.
fn named_part(layout: &str) -> Option<(Part, usize)> {
    let (name, part) = NAMED_PARTS
        .iter()
        .find(|(name, _)| layout.starts_with(name))?;
    let next = layout[name.len()..].chars().next();
    let word_goes_on =
        matches!(*name, "Jan" | "Mon") && next.is_some_and(|next| next.is_ascii_lowercase());
    let only_an_underscore = layout.starts_with("_2006");
    (!word_goes_on && !only_an_underscore).then_some((*part, name.len()))
}

/// A point or comma and a run of zeros or nines, with no other digit behind.
fn fraction(layout: &str) -> Option<(Part, usize)> {
    let mut chars = layout.chars();
    let point = chars.next().filter(|point| matches!(point, '.' | ','))?;
    let digit = chars.next().filter(|digit| matches!(digit, '0' | '9'))?;
    let digits = layout[1..]
        .chars()
        .take_while(|&next| next == digit)
        .count();
    let next = layout[1 + digits..].chars().next();
    let whole = !next.is_some_and(|next| next.is_ascii_digit());
    whole.then_some((
        Part::Fraction {
            point,
            digits,
            trim: digit == '9',
        },
        1 + digits,
    ))
}

const fn offset(separator: &'static str, unit: Unit, zulu: bool) -> Part {
    Part::Offset {
        separator,
        unit,
        zulu,
    }
}

/// Names of parts; those that start others stand behind them.
const NAMED_PARTS: &[(&str, Part)] = &[
    ("January", Part::Strftime("%B")),
    ("Jan", Part::Strftime("%b")),
    ("Monday", Part::Strftime("%A")),
    ("Mon", Part::Strftime("%a")),
    ("MST", Part::Strftime("%Z")),
    ("002", Part::Strftime("%j")),
    ("01", Part::Strftime("%m")),
    ("02", Part::Strftime("%d")),
    ("03", Part::Strftime("%I")),
    ("04", Part::Strftime("%M")),
    ("05", Part::Strftime("%S")),
    ("06", Part::Strftime("%y")),
    ("15", Part::Strftime("%H")),
    ("1", Part::Strftime("%-m")),
    ("2006", Part::Strftime("%Y")),
    ("2", Part::Strftime("%-d")),
    ("__2", Part::Strftime("%_j")),
    ("_2", Part::Strftime("%e")),
    ("3", Part::Strftime("%-I")),
    ("4", Part::Strftime("%-M")),
    ("5", Part::Strftime("%-S")),
    ("PM", Part::Strftime("%p")),
    ("pm", Part::Strftime("%P")),
    ("-070000", offset("", Unit::Second, false)),
    ("-07:00:00", offset(":", Unit::Second, false)),
    ("-0700", offset("", Unit::Minute, false)),
    ("-07:00", offset(":", Unit::Minute, false)),
    ("-07", offset("", Unit::Hour, false)),
    ("Z070000", offset("", Unit::Second, true)),
    ("Z07:00:00", offset(":", Unit::Second, true)),
    ("Z0700", offset("", Unit::Minute, true)),
    ("Z07:00", offset(":", Unit::Minute, true)),
    ("Z07", offset("", Unit::Hour, true)),
];

#[cfg(test)]
mod tests {
    use jiff::Timestamp;
    use jiff::tz::{Offset, TimeZone};
    use proptest::prelude::*;

    use super::*;

    fn at(civil: &str, offset_seconds: i32) -> Zoned {
        let offset = Offset::from_seconds(offset_seconds).unwrap();
        let civil: jiff::civil::DateTime = civil.parse().unwrap();
        civil.to_zoned(TimeZone::fixed(offset)).unwrap()
    }

    #[test]
    fn the_reference_time_gives_the_layout_back() {
        let reference = at("2006-01-02T15:04:05", -7 * 3_600);
        for layout in [
            "Mon Jan _2 15:04:05 2006",
            "Monday, 02-January-06 15:04:05 -0700",
            "02 Jan 06 15:04 -07:00",
            "3:04PM 03:04pm",
            "2006-01-02T15:04:05Z07:00 Z0700 Z07",
            "snmp-20060102.log",
            "1/2/2006 002 __2",
            "-070000 -07:00:00 -07",
        ] {
            let expected = layout.replace('Z', "-").replace("__2", "  2");
            assert_eq!(format(layout, &reference), expected.replace("_2", " 2"));
        }
    }

    #[test]
    fn another_time_has_all_its_parts_in_place() {
        let time = at("2031-11-25T00:09:08.070605", 5 * 3_600 + 30 * 60);
        for (layout, expected) in [
            ("20060102-150405", "20311125-000908"),
            (
                "Monday Mon January Jan 1 _2 02 06",
                "Tuesday Tue November Nov 11 25 25 31",
            ),
            ("3 03 4 04 5 05 PM pm", "12 12 9 09 8 08 AM am"),
            ("__2 002", "329 329"),
            ("-0700 -07:00 -07 Z07:00", "+0530 +05:30 +05 +05:30"),
            (
                "05.000 05,000000 05.999 05.999999999",
                "08.070 08,070605 08.07 08.070605",
            ),
            ("_2006 .000x .0007", "_2031 .070x .0007"),
        ] {
            assert_eq!(format(layout, &time), expected, "{layout}");
        }
    }

    #[test]
    fn utc_is_written_z_only_where_the_layout_says_so() {
        let time = at("2031-11-25T00:00:00", 0);
        assert_eq!(format("Z07:00 -07:00 .999", &time), "Z +00:00 ");
    }

    #[test]
    fn words_that_only_start_like_a_part_are_left_alone() {
        let time = at("2031-11-25T10:00:00", 0);
        assert_eq!(
            format("Monitor Janus ümlaut %Y", &time),
            "Monitor Janus ümlaut %Y"
        );
        assert_eq!(format("Month", &time), "Month");
        assert_eq!(format("Mon/Jan", &time), "Tue/Nov");
    }

    proptest! {
        #[test]
        fn no_layout_panics(layout in "[-_.,0-9a-zA-Z: %ü]{0,40}", seconds in -10_000_000_000_i64..10_000_000_000) {
            let time = Timestamp::from_second(seconds).unwrap().to_zoned(TimeZone::UTC);
            format(&layout, &time);
        }
    }
}
