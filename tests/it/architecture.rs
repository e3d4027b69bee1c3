//! Who may know whom: read from the `crate::` paths of the sources, so that a wrong turn fails a
//! test and not a review.

use std::fs;
use std::path::{Path, PathBuf};

/// A module, and the other modules of the crate that it may name outside its tests.
const MAY_KNOW: &[(&str, &[&str])] = &[
    ("model", &[]),
    ("mapping", &["model"]),
    ("plan", &["model"]),
    ("http", &["model", "spool"]),
    ("schedule", &[]),
    ("provider", &["http", "model", "spool"]),
    ("spool", &[]),
    ("state", &["model", "notify::decide", "plan::base", "spool"]),
    ("emulator", &["spool"]),
    ("config", &["mapping", "model", "provider", "schedule"]),
    (
        "web",
        &[
            "config", "http", "model", "plan", "program", "provider", "report", "run", "state",
        ],
    ),
];

/// A word, where it may stand, and why nowhere else. Tests may say what they like.
const ONLY_IN: &[(&str, &[&str], &str)] = &[
    (
        "rusqlite",
        &["state"],
        "a second store will stand beside this one",
    ),
    (
        "reqwest",
        &["http"],
        "pacing, redaction and retries are in one place",
    ),
    (
        "own.recall(",
        &["state"],
        "only what is remembered proves that a removal was rosterd's own",
    ),
    (
        "SystemTime::now",
        &[],
        "the time of day is given from outside",
    ),
];

/// Words that no deciding module may say: they wait, tell the time, roll dice or touch the world.
const NOT_IN_DECIDING: &[&str] = &[
    "tokio",
    "async fn",
    ".await",
    "Instant::now",
    "SystemTime",
    "Timestamp::now",
    "std::fs",
    "std::env",
    "std::net",
    "rand::",
    "println!",
];

const DECIDING: &[&str] = &["model", "mapping", "plan"];

/// A source line outside comments and tests, with where it stands.
struct Line {
    module: String,
    place: String,
    text: String,
}

fn sources() -> Vec<Line> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let mut files = Vec::new();
    collect(&root, &mut files);
    files.sort();
    let mut lines = Vec::new();
    for file in files {
        let path = file
            .strip_prefix(&root)
            .expect("it is below")
            .with_extension("");
        let parts: Vec<String> = path
            .iter()
            .map(|part| part.to_string_lossy().into_owned())
            .collect();
        if parts
            .iter()
            .any(|part| part == "tests" || part == "testing")
        {
            continue;
        }
        let text = fs::read_to_string(&file).expect("sources are readable");
        // Unit tests stand at the end of their file.
        let shipped = text
            .find("#[cfg(test)]\nmod tests {")
            .map_or(text.as_str(), |end| &text[..end]);
        for (number, line) in shipped
            .lines()
            .enumerate()
            .filter(|(_, line)| !line.trim_start().starts_with("//"))
        {
            let place = format!(
                "src/{}:{}",
                file.strip_prefix(&root).expect("it is below").display(),
                number + 1
            );
            lines.push(Line {
                module: parts[0].clone(),
                place,
                text: line.to_owned(),
            });
        }
    }
    lines
}

fn collect(folder: &Path, files: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(folder).expect("the sources are there") {
        let path = entry.expect("the sources are there").path();
        if path.is_dir() {
            collect(&path, files);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            files.push(path);
        }
    }
}

/// The paths below `crate::` that a line names; those of a braced list one by one.
fn named(line: &str) -> Vec<String> {
    let mut found = Vec::new();
    for (at, start) in line.match_indices("crate::") {
        let rest = &line[at + start.len()..];
        match rest.strip_prefix('{') {
            Some(list) => {
                let list = list.split('}').next().unwrap_or(list);
                found.extend(
                    list.split(',')
                        .map(|path| path.trim().to_owned())
                        .filter(|path| !path.is_empty()),
                );
            }
            None => found.push(
                rest.chars()
                    .take_while(|letter| letter.is_alphanumeric() || "_:".contains(*letter))
                    .collect(),
            ),
        }
    }
    found
}

#[test]
fn modules_know_only_what_lies_below_them() {
    let mut wrong = Vec::new();
    for line in sources() {
        let Some((_, allowed)) = MAY_KNOW.iter().find(|(module, _)| *module == line.module) else {
            continue;
        };
        for path in named(&line.text) {
            let itself = path.split("::").next() == Some(line.module.as_str());
            let below = allowed
                .iter()
                .any(|known| path == *known || path.starts_with(&format!("{known}::")));
            if !itself && !below {
                wrong.push(format!(
                    "{}: {} must not know {path}",
                    line.place, line.module
                ));
            }
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
}

#[test]
fn some_words_have_one_home() {
    let mut wrong = Vec::new();
    for line in sources() {
        for (word, homes, why) in ONLY_IN {
            if line.text.contains(word) && !homes.contains(&line.module.as_str()) {
                wrong.push(format!(
                    "{}: {word} belongs to {homes:?}: {why}",
                    line.place
                ));
            }
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
}

#[test]
fn deciding_modules_neither_wait_nor_look_outside() {
    let mut wrong = Vec::new();
    for line in sources()
        .iter()
        .filter(|line| DECIDING.contains(&line.module.as_str()))
    {
        wrong.extend(
            NOT_IN_DECIDING
                .iter()
                .filter(|word| line.text.contains(**word))
                .map(|word| format!("{}: {word}", line.place)),
        );
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
}

#[test]
fn the_reader_of_paths_sees_through_braces_and_ignores_tests() {
    assert_eq!(
        named("use crate::{model, http::Call};"),
        ["model", "http::Call"]
    );
    assert_eq!(
        named("    crate::state::Store::open(crate::model::Names::new())"),
        ["state::Store::open", "model::Names::new"]
    );
    let lines = sources();
    assert!(
        lines
            .iter()
            .any(|line| line.module == "plan" && line.text.contains("crate::model")),
        "the sources are read"
    );
    assert!(
        lines.iter().all(|line| !line.text.contains("#[test]")),
        "tests are left out"
    );
}

#[test]
fn every_file_of_this_folder_takes_part() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/it");
    let main = fs::read_to_string(folder.join("main.rs")).expect("the runner is readable");
    for entry in fs::read_dir(folder).expect("the folder is there") {
        let path = entry.expect("the folder is there").path();
        let module = path
            .file_stem()
            .expect("files have names")
            .to_string_lossy()
            .into_owned();
        assert!(
            module == "main" || main.contains(&format!("mod {module};")),
            "tests/it/main.rs forgets {module}"
        );
    }
}
