//! What the documents say of tests is true.

use std::fs;
use std::path::Path;

/// Every source file below `folder`, in one text.
fn sources(folder: &Path, text: &mut String) {
    for entry in fs::read_dir(folder).expect("a folder of the workspace") {
        let path = entry.expect("readable").path();
        if path.is_dir() && !path.ends_with("target") {
            sources(&path, text);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            text.push_str(&fs::read_to_string(&path).expect("a source file is text"));
        }
    }
}

#[test]
fn every_trap_of_the_wire_format_names_tests_that_exist() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    let document = fs::read_to_string(root.join("docs/wire.md")).expect("it is there");
    let (_, traps) = document
        .split_once("\n## 8 ")
        .expect("the section is there");
    let mut text = String::new();
    for folder in ["kcp-transport", "kcp-tunnel", "tests"] {
        sources(&root.join(folder), &mut text);
    }
    let mut rows = 0;
    for row in traps.lines().filter(|line| line.starts_with("| ")).skip(1) {
        let names = row.rsplit('|').nth(1).expect("a row has two columns");
        let names: Vec<_> = names.split('`').skip(1).step_by(2).collect();
        assert!(!names.is_empty(), "no test: {row}");
        for name in names {
            assert!(
                text.contains(&format!("fn {name}(")),
                "no test named {name}"
            );
        }
        rows += 1;
    }
    assert_eq!(rows, 31);
}
