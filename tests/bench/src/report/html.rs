//! A page that needs nothing else: tables, and plots of latencies, of goodput over loss and of CPU per gigabyte.

use std::collections::BTreeMap;

use super::markdown::cases;
use super::plot::{Axis, Series, bars, lines};
use super::table::Table;
use crate::gate::Verdict;
use crate::model::{Cell, Link, Run, Spread};
use crate::names::Transport;
use crate::work::Work;

/// The page of a run, with what the gate says of it.
pub(crate) fn render(run: &Run, verdicts: &[Verdict]) -> String {
    let machine = &run.machine;
    let mut body = format!(
        "<h1>bench {}</h1><p>{} processors ({}), {}. Medians of the rounds; percentiles over all rounds. CPU and \
         memory are those of both ends.</p>",
        escape(&run.preset),
        machine.processors,
        escape(&machine.processor),
        escape(&machine.kernel)
    );
    for note in &run.notes {
        body += &format!("<p>Not measured: {}.</p>", escape(note));
    }
    body += &judged(verdicts);
    body += &over_loss(run);
    for (work, link, cells) in cases(run) {
        body += &section(work, link, &cells);
    }
    format!(
        "<!doctype html><html lang=\"en\"><meta charset=\"utf-8\"><title>bench {}</title><style>{STYLE}</style>\
         <body>{body}</body></html>\n",
        escape(&run.preset)
    )
}

fn judged(verdicts: &[Verdict]) -> String {
    let mut judged = verdicts
        .iter()
        .filter(|verdict| verdict.measured())
        .peekable();
    if judged.peek().is_none() {
        return String::new();
    }
    let mut text = "<h2>What must hold</h2><table>".to_owned();
    for verdict in judged {
        let (class, word) = match verdict.passes() {
            true => ("pass", "PASS"),
            false => ("fail", "FAIL"),
        };
        text += &format!(
            "<tr><td class={class}>{word}<td>{}<td>{}",
            escape(&verdict.claim),
            escape(&verdict.figures)
        );
    }
    text + "</table>"
}

/// How works fare as more is lost.
fn over_loss(run: &Run) -> String {
    /// Cells by percent lost.
    type ByLoss<'a> = Vec<(f64, &'a Cell)>;
    let mut works: BTreeMap<(Work, bool), BTreeMap<Transport, ByLoss<'_>>> = BTreeMap::new();
    for cell in &run.cells {
        if let Link::Emulated { loss, tun } = cell.link {
            let of_work = works.entry((cell.work, tun)).or_default();
            of_work
                .entry(cell.transport)
                .or_default()
                .push((loss.into(), cell));
        }
    }
    let loss = linear("percent lost each way");
    let mut text = String::new();
    for ((work, _), transports) in works {
        let over = |figure: &dyn Fn(&Cell) -> Option<f64>| -> Vec<Series> {
            let series = transports.iter().map(|(transport, cells)| {
                let point = |&(loss, cell): &(f64, &Cell)| Some((loss, figure(cell)?));
                let mut points: Vec<_> = cells.iter().filter_map(point).collect();
                points.sort_by(|a, b| a.0.total_cmp(&b.0));
                Series {
                    name: transport.to_string(),
                    points,
                }
            });
            series.collect()
        };
        text += &format!("<h2>{} over loss</h2>", escape(&work.title()));
        if work.is_throughput() {
            let goodput = over(&|cell| Spread::of(&cell.rates()).map(|spread| spread.median * 8.0));
            text += &lines(loss, linear("goodput, Mbit/s"), &goodput);
        } else {
            for (title, share) in [("p50, ms", 0.5), ("p99, ms", 0.99), ("p99.9, ms", 0.999)] {
                text += &lines(loss, logarithmic(title), &over(&|cell| cell.millis(share)));
            }
        }
    }
    text
}

fn section(work: Work, link: Link, cells: &[&Cell]) -> String {
    let mut text = format!("<h2>{}, {link}</h2><table><tr>", escape(&work.title()));
    let table = Table::of(cells);
    for title in &table.titles {
        text += &format!("<th>{title}");
    }
    for row in &table.rows {
        text += "<tr>";
        for field in row {
            text += &format!("<td>{}", escape(field));
        }
    }
    text += "</table>";
    if work.is_throughput() {
        let bar = |cell: &&Cell| {
            let time = Spread::of(&cell.cpu_per_gb())?.median;
            Some((cell.transport.to_string(), time))
        };
        let values: Vec<_> = cells.iter().filter_map(bar).collect();
        text += &bars("CPU seconds per gigabyte, both ends", &values);
    }
    text + &latencies(cells)
}

/// The share of calls answered by each time.
fn latencies(cells: &[&Cell]) -> String {
    let series = |cell: &&Cell| {
        let latencies = cell.latencies();
        let point =
            |(latency, share): (std::time::Duration, f64)| (latency.as_secs_f64() * 1e3, share);
        let points = thin(latencies.cdf().into_iter().map(point).collect());
        (!latencies.is_empty()).then(|| Series {
            name: cell.transport.to_string(),
            points,
        })
    };
    let all: Vec<_> = cells.iter().filter_map(series).collect();
    lines(logarithmic("latency, ms"), linear("share of calls"), &all)
}

/// At most some hundred points, the last among them.
fn thin(points: Vec<(f64, f64)>) -> Vec<(f64, f64)> {
    let step = points.len().div_ceil(MOST_POINTS).max(1);
    let last = points.last().copied();
    let mut thinned: Vec<_> = points.into_iter().step_by(step).collect();
    if let Some(last) = last
        && thinned.last() != Some(&last)
    {
        thinned.push(last);
    }
    thinned
}

fn linear(title: &'static str) -> Axis {
    Axis {
        title,
        logarithmic: false,
    }
}

fn logarithmic(title: &'static str) -> Axis {
    Axis {
        title,
        logarithmic: true,
    }
}

/// Text that a page shows as it is.
pub(super) fn escape(text: &str) -> String {
    text.replace('&', "&amp;")
        .replace('<', "&lt;")
        .replace('>', "&gt;")
        .replace('"', "&quot;")
}

const MOST_POINTS: usize = 300;

const STYLE: &str = "body{font:15px/1.5 system-ui,sans-serif;max-width:62em;margin:2em auto;padding:0 1em;color:#222}\
    h2{margin-top:2em;font-size:1.15em}table{border-collapse:collapse}td,th{padding:.15em .8em;text-align:right;\
    border-bottom:1px solid #ddd}td:first-child,th:first-child{text-align:left}svg{display:block;margin:1em 0;\
    max-width:100%;height:auto}svg text{font:12px system-ui,sans-serif;fill:#333}.grid{stroke:#e4e4e4;fill:none}\
    .pass{color:#00795a}.fail{color:#c22;font-weight:bold}";

#[cfg(test)]
mod tests {
    use super::*;
    use crate::gate;
    use crate::model::tests::sample_run;

    #[test]
    fn the_page_has_every_kind_of_plot_and_asks_nobody_for_anything() {
        let run = sample_run();
        let page = render(&run, &gate::judge(&run));
        for text in [
            "goodput, Mbit/s",
            "CPU seconds per gigabyte",
            "share of calls",
            "p99.9, ms",
            "What must hold",
            "one &amp; only &lt;fast&gt;",
        ] {
            assert!(page.contains(text), "no {text}");
        }
        assert_eq!(page.matches("<svg").count(), page.matches("</svg>").count());
        assert!(!page.contains("NaN") && !page.contains("inf"));
        for foreign in ["http:", "https:", "src=", "href="] {
            assert!(!page.contains(foreign), "{foreign}");
        }
    }

    #[test]
    fn thinning_keeps_the_end() {
        let points: Vec<_> = (0..10_001).map(|n| (f64::from(n), 0.0)).collect();
        let thinned = thin(points);
        assert!(thinned.len() <= MOST_POINTS + 1);
        assert_eq!(thinned.last(), Some(&(10_000.0, 0.0)));
        assert!(thin(Vec::new()).is_empty());
    }
}
