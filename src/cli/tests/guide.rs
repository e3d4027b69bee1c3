//! What the guide and the README tell people to type exists.

use std::collections::BTreeSet;
use std::path::Path;

use clap::error::ErrorKind;
use serde_json::{Value, json};

use super::*;
use crate::config;
use crate::emulator::FaultRule;
use crate::guide::{self, CHAPTERS};

/// The texts that tell people what to type, each under its name: every chapter, and the pages of the repository.
fn texts() -> Vec<(String, String)> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let pages = ["README.md", "CONTRIBUTING.md", "CHANGELOG.md"];
    let pages = pages.iter().filter_map(|name| {
        let text = std::fs::read_to_string(root.join(name)).ok()?;
        Some(((*name).to_owned(), text))
    });
    // As they are on the disk, so that a changed sentence is tried without building anything.
    let chapters = std::fs::read_dir(root.join("src/guide")).unwrap();
    let chapters = chapters.map(|file| {
        let path = file.unwrap().path();
        let name = path.file_stem().unwrap().to_string_lossy().into_owned();
        (name, std::fs::read_to_string(&path).unwrap())
    });
    pages.chain(chapters).collect()
}

/// What of a text is code.
#[derive(Default)]
struct Code {
    /// Between single backticks, each on one line.
    spans: Vec<String>,
    /// The blocks, each with its language.
    blocks: Vec<(String, String)>,
}

fn code_of(text: &str) -> Code {
    let mut code = Code::default();
    let mut prose = String::new();
    let mut block: Option<(String, String)> = None;
    for line in text.lines() {
        match (&mut block, line.trim_start().strip_prefix("```")) {
            (None, Some(language)) => block = Some((language.to_owned(), String::new())),
            (Some(_), Some(_)) => code.blocks.extend(block.take()),
            (Some((_, body)), None) => {
                body.push_str(line.trim_start());
                body.push('\n');
            }
            (None, None) => {
                prose.push_str(line.trim());
                prose.push(' ');
            }
        }
    }
    assert!(block.is_none(), "a block of code does not end");
    let spans = prose.split('`').skip(1).step_by(2);
    code.spans = spans.map(str::to_owned).collect();
    code
}

/// Cuts a line into words as a shell does; what comes after a pipe, a redirection or a remark is left out.
fn words(line: &str) -> Vec<String> {
    let mut words = vec![String::new()];
    let mut quote = None;
    for letter in line.chars() {
        match quote {
            Some(open) if letter == open => quote = None,
            None if letter == '\'' || letter == '"' => quote = Some(letter),
            None if letter == ' ' => words.push(String::new()),
            _ => words.last_mut().unwrap().push(letter),
        }
    }
    words.retain(|word| !word.is_empty());
    let ends = ["|", ">", "&&", "&", ";", "#"];
    let end = words.iter().position(|word| ends.contains(&word.as_str()));
    words.truncate(end.unwrap_or(words.len()));
    words
}

/// Returns the command of rosterd in a line of a shell, if there is one.
fn command_in(line: &str) -> Option<Vec<String>> {
    let words = words(line);
    if words
        .first()
        .is_some_and(|word| word == "systemctl" || word == "journalctl")
    {
        return None;
    }
    let cargo = words.starts_with(&["cargo".to_owned(), "run".to_owned()]);
    let at = words.iter().rposition(|word| {
        word == "rosterd"
            || word == "/usr/bin/rosterd"
            || word.ends_with("debug/rosterd")
            || (cargo && word == "--")
    })?;
    let rest = &words[at + 1..];
    (!rest.is_empty()).then(|| {
        std::iter::once("rosterd".to_owned())
            .chain(rest.iter().cloned())
            .collect()
    })
}

/// Says what is wrong with a command, if anything is. What names a command in running text may leave its arguments out.
fn wrong(command: &[String], in_prose: bool) -> Option<String> {
    if let [_, help, topic] = command
        && help == "help"
        && topic.chars().all(|letter| letter.is_ascii_lowercase())
    {
        let known = guide::chapter(topic).is_some()
            || definition()
                .get_subcommands()
                .any(|it| it.get_name() == topic);
        return (!known).then(|| "no such chapter".to_owned());
    }
    let error = definition().try_get_matches_from(command).err()?;
    let allowed = match error.kind() {
        ErrorKind::DisplayHelp | ErrorKind::DisplayVersion => true,
        ErrorKind::MissingRequiredArgument | ErrorKind::MissingSubcommand => in_prose,
        _ => false,
    };
    (!allowed).then(|| error.to_string())
}

#[test]
fn every_command_that_is_shown_can_be_typed() {
    let names: BTreeSet<String> = definition()
        .get_subcommands()
        .map(|command| command.get_name().to_owned())
        .collect();
    let mut found = 0;
    let mut problems = Vec::new();
    for (name, text) in texts() {
        let code = code_of(&text);
        let shells = code
            .blocks
            .iter()
            .filter(|(language, _)| ["", "sh", "text", "console"].contains(&language.as_str()));
        let typed = shells
            .flat_map(|(_, block)| block.lines())
            .filter_map(command_in)
            .map(|command| (command, false));
        let named = code.spans.iter().filter_map(|span| {
            let all = words(span);
            let first = all.first()?;
            if first == "rosterd" {
                return (all.len() > 1).then_some((all, true));
            }
            // A command that is named without the program, such as `demo --serve`.
            let is_command =
                names.contains(first) && all.get(1).is_some_and(|word| word.starts_with("--"));
            is_command.then(|| {
                let whole = std::iter::once("rosterd".to_owned()).chain(all);
                (whole.collect(), true)
            })
        });
        for (command, in_prose) in typed.chain(named) {
            found += 1;
            if let Some(problem) = wrong(&command, in_prose) {
                problems.push(format!("{name}: {}\n{problem}", command.join(" ")));
            }
        }
    }
    assert!(problems.is_empty(), "{}", problems.join("\n"));
    assert!(found >= 150, "{found} commands were found");
}

#[test]
fn a_mistyped_command_of_a_text_is_found() {
    let command = |line: &str| command_in(line).unwrap();
    for line in [
        "rosterd plan crm-to-mail",
        "sudo -u rosterd rosterd --config /etc/rosterd/rosterd.toml status --check",
        "0 3 * * * rosterd backup /var/backups/rosterd.db",
        "cargo run --release -- demo --pause",
        "rosterd plan --format html > plan.html",
    ] {
        assert_eq!(wrong(&command(line), false), None, "{line}");
    }
    for line in [
        "rosterd paln crm-to-mail",
        "rosterd sync crm-to-mail --force",
        "rosterd accept --all-blocked",
        "rosterd help no-such-chapter",
        "rosterd backup",
    ] {
        assert!(
            wrong(&command(line), false).is_some() || line.ends_with("chapter"),
            "{line}"
        );
    }
    assert!(wrong(&command("rosterd help nosuchchapter"), true).is_some());
    assert!(command_in("systemctl reload rosterd").is_none());
}

#[test]
fn every_option_that_is_named_is_one() {
    fn options(command: &clap::Command, into: &mut BTreeSet<String>) {
        into.extend(
            command
                .get_arguments()
                .filter_map(Arg::get_long)
                .map(|long| format!("--{long}")),
        );
        command
            .get_subcommands()
            .for_each(|deeper| options(deeper, into));
    }
    let mut known = BTreeSet::from(["--help".to_owned()]);
    options(&definition(), &mut known);
    for (name, text) in texts() {
        for span in code_of(&text).spans {
            let option = span.split([' ', '=']).next().unwrap_or_default();
            // To say that there is none of them is the point.
            if option.starts_with("--") && option != "--force" && option != "--" {
                assert!(known.contains(option), "{name}: {span}");
            }
        }
    }
}

/// Every name that a table of the config may hold.
fn keys(schema: &Value, into: &mut BTreeSet<String>) {
    match schema {
        Value::Object(parts) => {
            for (name, part) in parts {
                if name == "properties" {
                    into.extend(
                        part.as_object()
                            .into_iter()
                            .flatten()
                            .map(|(key, _)| key.clone()),
                    );
                }
                keys(part, into);
            }
        }
        Value::Array(parts) => parts.iter().for_each(|part| keys(part, into)),
        _ => {}
    }
}

#[test]
fn every_key_of_the_config_that_is_named_is_one() {
    let mut known = BTreeSet::new();
    keys(&config::json_schema(), &mut known);
    let mut found = 0;
    let fields: BTreeSet<&str> = config::fields_table().iter().map(|row| row.wire).collect();
    for (name, text) in texts() {
        for span in code_of(&text).spans {
            let keys: Vec<&str> = if let Some((table, rest)) =
                span.strip_prefix('[').and_then(|rest| rest.split_once(']'))
                && table
                    .chars()
                    .all(|it| it.is_ascii_alphanumeric() || "._-".contains(it))
                && table.starts_with(|it: char| it.is_ascii_lowercase())
            {
                // The second part is a name of the reader's choice.
                let has_names = ["jobs", "providers"].iter().any(|it| table.starts_with(it));
                let parts = table.split('.').enumerate();
                let parts = parts.filter(|(at, _)| !(has_names && *at == 1));
                let parts = parts.map(|(_, part)| part);
                parts
                    .chain([rest.trim()])
                    .filter(|part| !part.is_empty())
                    .collect()
            } else if let Some((key, _)) = span.split_once(" = ") {
                vec![key.trim_start_matches("{ ")]
            } else {
                continue;
            };
            for key in keys {
                found += 1;
                assert!(
                    known.contains(key) || fields.contains(key),
                    "{name}: {span}"
                );
            }
        }
    }
    assert!(found >= 40, "{found} keys were found");
}

/// What a piece of a config stands in, where the piece does not say it.
const AROUND: &str = r#"
[providers.crm]
kind = "greenrope"
account_id = "45429"
email = "ops@example.org"
password = { env = "GREENROPE_PASSWORD" }

[providers.mail]
kind = "emfluence"
access_token = { env = "EMFLUENCE_TOKEN" }

[jobs.crm-to-mail]
source = "crm"
target = "mail"
"#;

#[test]
fn every_piece_of_a_config_is_taken_by_the_reader() {
    fn lay_over(under: &mut toml::Table, over: toml::Table) {
        for (key, value) in over {
            match (under.get_mut(&key), value) {
                (Some(toml::Value::Table(under)), toml::Value::Table(over)) => {
                    lay_over(under, over);
                }
                (_, value) => {
                    under.insert(key, value);
                }
            }
        }
    }
    let mut found = 0;
    for (name, text) in texts() {
        for (language, block) in code_of(&text).blocks {
            if language != "toml" {
                continue;
            }
            found += 1;
            let piece: toml::Table = block.parse().unwrap_or_else(|error| {
                panic!("{name}: {error}\n{block}");
            });
            // What is whole stands for itself; anything else is a piece of the one above.
            let whole = piece.contains_key("jobs") && piece.contains_key("providers");
            let mut all = toml::Table::new();
            if !whole {
                all = AROUND.parse().unwrap();
            }
            lay_over(&mut all, piece);
            let all = toml::to_string(&all).unwrap();
            match config::parse(&all, Path::new("rosterd.toml")) {
                Ok((_, warnings)) => assert!(
                    warnings.is_empty(),
                    "{name}: {block}\n{}",
                    config::diagnostics::Diagnostics::new(warnings).render(false)
                ),
                Err(found) => panic!("{name}: {block}\n{}", found.render(false)),
            }
        }
    }
    assert!(found >= 7, "{found} pieces were found");
}

#[test]
fn every_fault_that_is_shown_is_taken_by_the_emulator() {
    let chapter = texts().into_iter().find(|(name, _)| name == "emulator");
    let text = chapter.unwrap().1;
    let mut found = 0;
    for (language, block) in code_of(&text).blocks {
        if language == "json" {
            let rules: Vec<FaultRule> = serde_json::from_str(&block).unwrap();
            found += rules.len();
        }
    }
    assert!(found >= 3, "{found} rules were found");
    let (_, list) = text.split_once("Faults without a value: ").unwrap();
    let (without, with) = list.split_once(". With one: ").unwrap();
    let with = with.split("\n\n").next().unwrap();
    for (faults, has_value) in [(without, false), (with, true)] {
        for fault in faults.split('`').skip(1).step_by(2) {
            let rule = serde_json::from_value::<FaultRule>(json!({"fault": fault}));
            // What takes a value is known by its name, and misses it.
            let problem = rule
                .err()
                .map(|error| error.to_string())
                .unwrap_or_default();
            assert_eq!(problem.is_empty(), !has_value, "{fault}: {problem}");
            assert!(!problem.contains("unknown variant"), "{fault}: {problem}");
        }
    }
}

#[test]
fn every_exit_code_that_is_named_is_one() {
    for (name, text) in texts() {
        let text = text.split_whitespace().collect::<Vec<_>>().join(" ");
        for before in ["ends with ", "end with ", "exit code ", "Exit code "] {
            for (at, _) in text.match_indices(before) {
                let rest = &text[at + before.len()..];
                let digits: String = rest.chars().take_while(char::is_ascii_digit).collect();
                if let Ok(code) = digits.parse::<u8>() {
                    // A shell says 137 of what was killed by signal 9.
                    assert!(
                        [0, 1, 2, 3, 4, 5, 10, 137].contains(&code),
                        "{name}: {before}{code}"
                    );
                }
            }
        }
    }
}

#[test]
fn every_file_of_the_guide_is_a_chapter() {
    for (name, _) in texts() {
        assert!(
            name.contains(".md") || guide::chapter(&name).is_some(),
            "src/guide/{name}.md is in no list"
        );
    }
}

#[test]
fn no_chapter_hides_the_help_of_a_command() {
    let files: BTreeSet<String> = texts().into_iter().map(|(name, _)| name).collect();
    for chapter in CHAPTERS {
        assert!(files.contains(chapter.name));
        assert!(
            definition().find_subcommand(chapter.name).is_none(),
            "`rosterd help {}` is the command's",
            chapter.name
        );
    }
}
