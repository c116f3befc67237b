//! The figures of a case as rows of text, which the other forms share.

use crate::model::{Cell, Spread};
use crate::work::Work;

/// Titles and rows of the cells of one case.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Table {
    pub(crate) titles: Vec<&'static str>,
    pub(crate) rows: Vec<Vec<String>>,
}

impl Table {
    /// The figures that matter for the work of these cells.
    pub(crate) fn of(cells: &[&Cell]) -> Self {
        let Some(first) = cells.first() else {
            return Self {
                titles: Vec::new(),
                rows: Vec::new(),
            };
        };
        let titles = titles(first.work);
        let rows = cells.iter().map(|cell| row(cell, titles.len())).collect();
        Self { titles, rows }
    }
}

/// The table of a case for a terminal, with a heading.
pub(crate) fn of_case(cells: &[Cell]) -> String {
    let Some(first) = cells.first() else {
        return String::new();
    };
    let table = Table::of(&cells.iter().collect::<Vec<_>>());
    let mut widths: Vec<_> = table.titles.iter().map(|title| title.len()).collect();
    for row in &table.rows {
        for (width, field) in widths.iter_mut().zip(row) {
            *width = field.chars().count().max(*width);
        }
    }
    let line = |fields: &mut dyn Iterator<Item = &str>| {
        let mut line = String::new();
        for (column, (field, width)) in fields.zip(&widths).enumerate() {
            // Names to the left, figures to the right.
            line += &match column {
                0 => format!("{field:<width$}"),
                _ => format!("  {field:>width$}"),
            };
        }
        line.trim_end().to_owned()
    };
    let mut text = format!("{} ({}), {}\n", first.work.title(), first.work, first.link);
    text += &line(&mut table.titles.iter().copied());
    for row in &table.rows {
        text.push('\n');
        text += &line(&mut row.iter().map(String::as_str));
    }
    text.push('\n');
    text
}

fn titles(work: Work) -> Vec<&'static str> {
    let mut titles = vec!["transport"];
    if work.is_throughput() {
        titles.extend(["MB/s", "min..max", "CPU s/GB", "memory MB"]);
    } else if work.is_sessions() {
        titles.extend(["% of a core", "min..max", "memory MB", "p99 ms", "lost"]);
    } else {
        titles.extend([
            "calls/s",
            "min..max",
            "p50 ms",
            "p99 ms",
            "p99.9 ms",
            "CPU us/call",
            "lost",
        ]);
        if matches!(work, Work::Mixed(_)) {
            titles.push("bulk MB/s");
        }
    }
    titles
}

fn row(cell: &Cell, columns: usize) -> Vec<String> {
    let name = cell.transport.to_string();
    if let (Some(error), true) = (cell.error(), cell.rates().is_empty()) {
        let mut row = vec![name, format!("failed: {error}")];
        row.resize(columns, String::new());
        return row;
    }
    let middle = |figures: Vec<f64>| median(&figures);
    let millis = |share| cell.millis(share).map_or_else(none, figure);
    let mut row = vec![name];
    if cell.work.is_throughput() {
        let rates = cell.rates();
        row.extend([median(&rates), range(&rates)]);
        row.extend([middle(cell.cpu_per_gb()), middle(cell.memory())]);
    } else if cell.work.is_sessions() {
        let loads: Vec<_> = cell.load().iter().map(|load| load * 100.0).collect();
        row.extend([median(&loads), range(&loads), middle(cell.memory())]);
        row.extend([millis(0.99), cell.lost().to_string()]);
    } else {
        let rates = cell.call_rates();
        row.extend([median(&rates), range(&rates)]);
        row.extend([0.5, 0.99, 0.999].map(millis));
        row.extend([middle(cell.cpu_per_call()), cell.lost().to_string()]);
        if matches!(cell.work, Work::Mixed(_)) {
            row.push(middle(cell.rates()));
        }
    }
    row
}

fn none() -> String {
    "–".to_owned()
}

fn median(figures: &[f64]) -> String {
    Spread::of(figures).map_or_else(none, |spread| figure(spread.median))
}

fn range(figures: &[f64]) -> String {
    let text = |spread: Spread| format!("{}..{}", figure(spread.min), figure(spread.max));
    Spread::of(figures).map_or_else(none, text)
}

/// A figure with three digits that count.
pub(crate) fn figure(value: f64) -> String {
    let digits = match value.abs() {
        value if value >= 100.0 => 0,
        value if value >= 10.0 => 1,
        value if value >= 1.0 => 2,
        _ => 3,
    };
    format!("{value:.digits$}")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::tests::sample_run;

    #[test]
    fn a_bulk_row_has_rate_range_time_and_memory() {
        let run = sample_run();
        let table = Table::of(&[&run.cells[0]]);
        assert_eq!(
            table.titles,
            ["transport", "MB/s", "min..max", "CPU s/GB", "memory MB"]
        );
        assert_eq!(
            table.rows,
            [["kcp-aes-fec", "800", "400..1200", "0.938", "1.88"]]
        );
    }

    #[test]
    fn every_row_has_a_field_for_every_title() {
        let run = sample_run();
        for cell in &run.cells {
            let table = Table::of(&[cell]);
            assert_eq!(table.rows[0].len(), table.titles.len(), "{}", cell.work);
        }
    }

    #[test]
    fn a_cell_that_failed_says_why() {
        let mut cell = sample_run().cells[1].clone();
        cell.samples.truncate(1);
        let text = of_case(&[cell]);
        assert!(text.contains("kcpgo-aes-fec  failed: refused"), "{text}");
    }

    #[test]
    fn figures_have_three_digits_that_count() {
        let texts = [1234.5, 99.94, 9.994, 0.5, 0.0].map(figure);
        assert_eq!(texts, ["1234", "99.9", "9.99", "0.500", "0.000"]);
    }
}
