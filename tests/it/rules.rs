//! The table of rules names tests that exist.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

/// Collects the names of all functions that stand below a test attribute, in any file of a folder.
fn tests_below(folder: &Path, found: &mut BTreeSet<String>) {
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            tests_below(&path, found);
            continue;
        }
        if path.extension().is_none_or(|extension| extension != "rs") {
            continue;
        }
        let text = fs::read_to_string(&path).unwrap();
        for (at, _) in text
            .match_indices("test")
            .filter(|(at, _)| text[..*at].ends_with("#[") || text[..*at].ends_with("tokio::"))
        {
            // Further attributes may stand between the mark and the function.
            if let Some((_, function)) = text[at..].split_once("fn ") {
                found.insert(
                    function
                        .chars()
                        .take_while(|letter| letter.is_alphanumeric() || *letter == '_')
                        .collect(),
                );
            }
        }
    }
}

#[test]
fn every_rule_is_in_the_table_with_tests_that_exist() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut tests = BTreeSet::new();
    tests_below(&root.join("src"), &mut tests);
    tests_below(&root.join("tests"), &mut tests);
    assert!(
        tests.len() > 300 && tests.contains("every_rule_is_in_the_table_with_tests_that_exist"),
        "{} tests",
        tests.len()
    );

    let table = fs::read_to_string(root.join("src/rules.rs")).unwrap();
    let rows: Vec<Vec<&str>> = table
        .lines()
        .filter(|line| line.starts_with("//! | "))
        .map(|line| line.split(" | ").collect())
        .collect();
    for number in 1..=12 {
        let row = rows
            .iter()
            .find(|row| row[1].starts_with(&format!("{number}. ")))
            .unwrap_or_else(|| panic!("rule {number}"));
        let named: Vec<&str> = row[3].split('`').skip(1).step_by(2).collect();
        assert!(!named.is_empty(), "rule {number} has tests");
        for name in named {
            let property =
                name == "no_plan_oversteps" || name == "after_each_run_the_next_plan_is_empty";
            let written = fs::read_to_string(root.join("src/plan/tests/properties.rs")).unwrap();
            let exists =
                tests.contains(name) || property && written.contains(&format!("fn {name}("));
            assert!(exists, "rule {number}: there is no test {name}");
        }
    }
    assert_eq!(rows.len(), 13, "a head and twelve rules");
}
