//! The diffs of the README are what it takes to move a program from TCP to KCP: both sides of each compile.

mod after;
mod before;

const README: &str = include_str!("../../../README.md");

/// Each diff of the README: what it leads from, and what it leads to.
fn diffs() -> impl Iterator<Item = (String, String)> {
    README.split("```diff\n").skip(1).map(|diff| {
        let lines = diff.lines().take_while(|line| *line != "```");
        let side = |other: char| {
            let kept = lines.clone().filter(move |line| !line.starts_with(other));
            kept.map(|line| squeezed(line.get(1..).unwrap_or_default()))
                .collect::<String>()
        };
        (side('+'), side('-'))
    })
}

/// Without white space, which may be otherwise.
fn squeezed(code: &str) -> String {
    code.split_whitespace().collect()
}

#[test]
fn the_diffs_of_the_readme_lead_from_code_that_compiles_to_code_that_compiles() {
    let before = squeezed(include_str!("before.rs"));
    let after = squeezed(include_str!("after.rs"));
    let mut count = 0;
    for (old, new) in diffs() {
        assert!(before.contains(&old), "not in before.rs: {old}");
        assert!(after.contains(&new), "not in after.rs: {new}");
        assert_ne!(old, new);
        count += 1;
    }
    assert_eq!(count, 5, "tonic, hyper and axum");
}

#[test]
fn one_line_changes_on_each_side() {
    for diff in README.split("```diff\n").skip(1) {
        let lines = || diff.lines().take_while(|line| *line != "```");
        let changed = |sign| lines().filter(|line| line.starts_with(sign)).count();
        assert_eq!((changed('-'), changed('+')), (1, 1), "{diff}");
    }
}
