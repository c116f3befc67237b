//! Plots as SVG inside a page: lines over a logarithmic or linear axis, and bars.

use std::fmt::Write;

use super::html::escape;
use super::table::figure;

/// A named line.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Series {
    pub(super) name: String,
    /// Rising in the first coordinate.
    pub(super) points: Vec<(f64, f64)>,
}

/// How an axis runs, and what is on it.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Axis {
    pub(super) title: &'static str,
    pub(super) logarithmic: bool,
}

/// Lines with a legend; nothing without points.
pub(super) fn lines(x: Axis, y: Axis, series: &[Series]) -> String {
    let points = || series.iter().flat_map(|series| &series.points).copied();
    let across = Scale::of(x, points().map(|point| point.0), LEFT, WIDTH - LEGEND);
    let up = Scale::of(y, points().map(|point| point.1), HEIGHT - BOTTOM, TOP);
    let (Some(across), Some(up)) = (across, up) else {
        return String::new();
    };
    let mut svg = open();
    frame(&mut svg, &across, &up);
    for (series, number) in series.iter().zip(0..) {
        let colour = colour(number);
        let mut path = String::new();
        for &(x, y) in &series.points {
            let command = if path.is_empty() { 'M' } else { 'L' };
            put(
                &mut path,
                format_args!("{command}{:.1} {:.1}", across.at(x), up.at(y)),
            );
        }
        put(
            &mut svg,
            format_args!(r#"<path d="{path}" fill="none" stroke="{colour}" stroke-width="1.8"/>"#),
        );
        if series.points.len() <= DOTS {
            for &(x, y) in &series.points {
                let (x, y) = (across.at(x), up.at(y));
                put(
                    &mut svg,
                    format_args!(r#"<circle cx="{x:.1}" cy="{y:.1}" r="3" fill="{colour}"/>"#),
                );
            }
        }
        let (x, y) = (WIDTH - LEGEND + 14.0, TOP + 8.0 + 17.0 * f64::from(number));
        put(
            &mut svg,
            format_args!(
                r#"<rect x="{x}" y="{:.1}" width="12" height="4" fill="{colour}"/><text x="{:.1}" y="{:.1}">{}</text>"#,
                y - 4.0,
                x + 18.0,
                y + 2.0,
                escape(&series.name)
            ),
        );
    }
    svg + "</svg>"
}

/// A bar for each name; nothing without any.
pub(super) fn bars(title: &str, values: &[(String, f64)]) -> String {
    let most = values.iter().map(|value| value.1).fold(0.0, f64::max);
    if most <= 0.0 {
        return String::new();
    }
    let height = 30.0 + 20.0 * values.len() as f64;
    let mut svg = format!(
        r#"<svg viewBox="0 0 {WIDTH} {height}" width="{WIDTH}" height="{height}" role="img"><text x="{BAR_LEFT}" y="14">{}</text>"#,
        escape(title)
    );
    for (number, (name, value)) in (0..).zip(values) {
        let y = 24.0 + 20.0 * f64::from(number);
        let width = (value / most * (WIDTH - BAR_LEFT - 80.0)).max(1.0);
        put(
            &mut svg,
            format_args!(
                r#"<text x="{:.1}" y="{:.1}" text-anchor="end">{}</text><rect x="{BAR_LEFT}" y="{y:.1}" width="{width:.1}" height="14" fill="{}"/><text x="{:.1}" y="{:.1}">{}</text>"#,
                BAR_LEFT - 8.0,
                y + 11.0,
                escape(name),
                colour(number),
                BAR_LEFT + width + 6.0,
                y + 11.0,
                figure(*value)
            ),
        );
    }
    svg + "</svg>"
}

/// From values to places.
struct Scale {
    axis: Axis,
    low: f64,
    high: f64,
    from: f64,
    to: f64,
}

impl Scale {
    /// Spans all values; a linear one begins at zero.
    fn of(axis: Axis, values: impl Iterator<Item = f64>, from: f64, to: f64) -> Option<Self> {
        let values =
            values.filter(|value| value.is_finite() && (!axis.logarithmic || *value > 0.0));
        let (low, high) = values.fold((f64::INFINITY, f64::NEG_INFINITY), |(low, high), value| {
            (low.min(value), high.max(value))
        });
        if low > high {
            return None;
        }
        let (low, high) = if axis.logarithmic {
            (
                10_f64.powf(low.log10().floor()),
                10_f64.powf(high.log10().ceil()),
            )
        } else {
            (0.0, high.max(f64::MIN_POSITIVE))
        };
        // An axis has a length.
        let high = if high > low { high } else { low * 10.0 };
        Some(Self {
            axis,
            low,
            high,
            from,
            to,
        })
    }

    fn at(&self, value: f64) -> f64 {
        let share = if self.axis.logarithmic {
            (value.max(self.low) / self.low).log10() / (self.high / self.low).log10()
        } else {
            (value - self.low) / (self.high - self.low)
        };
        self.from + share.clamp(0.0, 1.0) * (self.to - self.from)
    }

    /// Values worth a mark.
    fn marks(&self) -> Vec<f64> {
        if self.axis.logarithmic {
            let (low, high) = (
                self.low.log10().round() as i32,
                self.high.log10().round() as i32,
            );
            return (low..=high).map(|power| 10_f64.powi(power)).collect();
        }
        let step = nice(self.high / 5.0);
        (0..=10)
            .map(|number| f64::from(number) * step)
            .take_while(|&mark| mark <= self.high * 1.001)
            .collect()
    }
}

/// The round number at or above a value.
fn nice(value: f64) -> f64 {
    let power = 10_f64.powf(value.log10().floor());
    let steps = [1.0, 2.0, 5.0, 10.0].map(|step| step * power);
    steps
        .into_iter()
        .find(|&step| step >= value * 0.999)
        .unwrap_or(10.0 * power)
}

fn open() -> String {
    format!(r#"<svg viewBox="0 0 {WIDTH} {HEIGHT}" width="{WIDTH}" height="{HEIGHT}" role="img">"#)
}

fn frame(svg: &mut String, across: &Scale, up: &Scale) {
    let (right, bottom) = (WIDTH - LEGEND, HEIGHT - BOTTOM);
    for mark in across.marks() {
        let x = across.at(mark);
        put(
            svg,
            format_args!(
                r#"<path d="M{x:.1} {TOP}V{bottom}" class="grid"/><text x="{x:.1}" y="{:.1}" text-anchor="middle">{}</text>"#,
                bottom + 16.0,
                short(mark)
            ),
        );
    }
    for mark in up.marks() {
        let y = up.at(mark);
        put(
            svg,
            format_args!(
                r#"<path d="M{LEFT} {y:.1}H{right}" class="grid"/><text x="{:.1}" y="{:.1}" text-anchor="end">{}</text>"#,
                LEFT - 6.0,
                y + 4.0,
                short(mark)
            ),
        );
    }
    put(
        svg,
        format_args!(
            r#"<text x="{:.1}" y="{:.1}" text-anchor="middle">{}</text><text x="4" y="12">{}</text>"#,
            f64::midpoint(LEFT, right),
            HEIGHT - 4.0,
            escape(across.axis.title),
            escape(up.axis.title)
        ),
    );
}

/// A mark without needless zeros.
fn short(value: f64) -> String {
    let text = format!("{value:.4}");
    text.trim_end_matches('0').trim_end_matches('.').to_owned()
}

fn colour(number: u32) -> &'static str {
    COLOURS[number as usize % COLOURS.len()]
}

fn put(text: &mut String, what: std::fmt::Arguments<'_>) {
    text.write_fmt(what).expect("a string takes everything");
}

const WIDTH: f64 = 860.0;
const HEIGHT: f64 = 340.0;
const LEFT: f64 = 60.0;
const TOP: f64 = 24.0;
const BOTTOM: f64 = 40.0;
const LEGEND: f64 = 190.0;
const BAR_LEFT: f64 = 170.0;

/// Lines of at most so many points have dots.
const DOTS: usize = 12;

const COLOURS: [&str; 12] = [
    "#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00", "#56b4e9", "#7f3c8d", "#11a579",
    "#b4464b", "#666666", "#a6761d", "#3969ac",
];

#[cfg(test)]
mod tests {
    use super::*;

    const LINEAR: Axis = Axis {
        title: "a",
        logarithmic: false,
    };
    const LOGARITHMIC: Axis = Axis {
        title: "b",
        logarithmic: true,
    };

    fn series(points: &[(f64, f64)]) -> Series {
        Series {
            name: "x < y".to_owned(),
            points: points.to_vec(),
        }
    }

    #[test]
    fn a_line_goes_through_its_points() {
        let svg = lines(LINEAR, LINEAR, &[series(&[(0.0, 0.0), (10.0, 5.0)])]);
        assert!(svg.contains("M60.0 300.0L670.0 24.0"), "{svg}");
        assert!(svg.contains("x &lt; y"));
        assert!(svg.starts_with("<svg") && svg.ends_with("</svg>"));
    }

    #[test]
    fn a_logarithmic_axis_ends_at_powers_of_ten() {
        let scale = Scale::of(LOGARITHMIC, [0.3, 70.0].into_iter(), 0.0, 300.0).unwrap();
        assert_eq!(scale.marks(), [0.1, 1.0, 10.0, 100.0]);
        assert!((scale.at(1.0) - 100.0).abs() < 1e-9);
        assert_eq!(scale.at(0.0), 0.0);
    }

    #[test]
    fn what_has_no_points_has_no_plot() {
        assert_eq!(lines(LINEAR, LINEAR, &[]), "");
        assert_eq!(lines(LOGARITHMIC, LINEAR, &[series(&[(0.0, 1.0)])]), "");
        assert_eq!(bars("t", &[]), "");
    }

    #[test]
    fn one_point_and_odd_values_do_no_harm() {
        for point in [(1.0, 0.0), (f64::NAN, 1.0), (5.0, f64::INFINITY)] {
            let svg = lines(LOGARITHMIC, LINEAR, &[series(&[point, (2.0, 3.0)])]);
            assert!(svg.ends_with("</svg>"));
        }
    }
}
