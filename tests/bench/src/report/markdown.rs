//! Tables for the documentation, put between marks in a file.

use super::table::Table;
use crate::model::{Cell, Link, Run};
use crate::work::Work;

/// The cases of a run: the cells of one work on one link, in the order they ran.
pub(crate) fn cases(run: &Run) -> Vec<(Work, Link, Vec<&Cell>)> {
    let mut cases: Vec<(Work, Link, Vec<&Cell>)> = Vec::new();
    for cell in &run.cells {
        let (work, link) = (cell.work, cell.link);
        match cases
            .iter_mut()
            .find(|case| (case.0, case.1) == (work, link))
        {
            Some(case) => case.2.push(cell),
            None => cases.push((work, link, vec![cell])),
        }
    }
    cases
}

/// The tables of a run.
pub(crate) fn render(run: &Run) -> String {
    let machine = &run.machine;
    let mut text = format!(
        "{} processors ({}), {}. Medians of the rounds; percentiles over all rounds. CPU and memory are those of \
         both ends.\n",
        machine.processors, machine.processor, machine.kernel
    );
    for note in &run.notes {
        text += &format!("\nNot measured: {note}.\n");
    }
    for (work, link, cells) in cases(run) {
        text += &format!("\n**{}** (`{work}`, `{link}`)\n\n", work.title());
        let table = Table::of(&cells);
        text += &row(table.titles.iter().copied());
        text += &row(table.titles.iter().map(|_| "---"));
        for fields in &table.rows {
            text += &row(fields.iter().map(String::as_str));
        }
    }
    text
}

fn row<'a>(fields: impl Iterator<Item = &'a str>) -> String {
    let fields: Vec<_> = fields.map(|field| field.replace('|', "\\|")).collect();
    format!("| {} |\n", fields.join(" | "))
}

/// `file` with `text` between the marks of `name`.
///
/// # Errors
/// If there are no such marks.
pub(crate) fn insert(file: &str, name: &str, text: &str) -> Result<String, String> {
    let (begin, end) = (
        format!("<!-- bench {name} -->"),
        format!("<!-- end of {name} -->"),
    );
    let missing = || format!("no marks `{begin}` and `{end}`");
    let from = file.find(&begin).ok_or_else(missing)? + begin.len();
    let to = from + file[from..].find(&end).ok_or_else(missing)?;
    let (before, after) = (&file[..from], &file[to..]);
    Ok(format!("{before}\n{text}{after}"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::tests::sample_run;

    #[test]
    fn there_is_a_table_for_every_case() {
        let run = sample_run();
        let text = render(&run);
        assert_eq!(cases(&run).len(), 48);
        assert_eq!(text.matches("| transport |").count(), 48);
        assert!(text.contains("**Bulk, one way, one connection** (`bulk`, `tun:5`)"));
        assert!(text.contains("Not measured: tcp-bbr left out"));
        assert!(text.contains("| kcp-aes-fec | 800 | 400..1200 | 0.938 | 1.88 |"));
    }

    #[test]
    fn text_is_put_between_its_marks_as_often_as_wanted() {
        let file = "a\n<!-- bench x -->\nold\n<!-- end of x -->\nb\n";
        let once = insert(file, "x", "new\n").unwrap();
        assert_eq!(once, "a\n<!-- bench x -->\nnew\n<!-- end of x -->\nb\n");
        assert_eq!(insert(&once, "x", "new\n").unwrap(), once);
        assert!(insert(file, "y", "new\n").is_err());
    }
}
