//! The README and the examples say what is so.

use std::collections::BTreeSet;

use super::bed::{Bed, repository, with_secrets};

/// Reads a file of the repository.
fn text(name: &str) -> String {
    std::fs::read_to_string(repository().join(name)).unwrap()
}

/// The content of fenced blocks of a language, without their indentation.
fn blocks(text: &str, language: &str) -> Vec<String> {
    let mut blocks = Vec::new();
    let mut open: Option<(usize, String)> = None;
    for line in text.lines() {
        let indentation = line.len() - line.trim_start().len();
        match open.take() {
            Some((_, block)) if line.trim() == "```" => blocks.push(block),
            Some((deep, block)) => {
                open = Some((
                    deep,
                    block + line.get(deep.min(indentation)..).unwrap_or_default() + "\n",
                ));
            }
            None if line.trim() == format!("```{language}") => {
                open = Some((indentation, String::new()));
            }
            None => {}
        }
    }
    blocks
}

#[test]
fn every_toml_block_of_the_readme_loads() {
    let blocks = blocks(&text("README.md"), "toml");
    assert!(!blocks.is_empty());
    for block in blocks {
        let bed = Bed::new();
        bed.write("rosterd.toml", &block);
        let ended = bed.end(&mut with_secrets(&bed, bed.command(&["check"]), &block));
        assert_eq!(
            (ended.code, ended.err.as_str()),
            (Some(0), ""),
            "{block}\n{}",
            ended.out
        );
        assert!(!ended.out.contains("warning"), "{}", ended.out);
    }
}

#[test]
fn every_example_config_loads() {
    let mut seen = 0;
    for file in std::fs::read_dir(repository().join("config")).unwrap() {
        let path = file.unwrap().path();
        if path
            .extension()
            .is_some_and(|extension| extension == "toml")
        {
            let bed = Bed::new();
            let config = std::fs::read_to_string(&path).unwrap();
            bed.write("rosterd.toml", &config);
            let ended = bed.end(&mut with_secrets(&bed, bed.command(&["check"]), &config));
            assert_eq!(ended.code, Some(0), "{}: {}", path.display(), ended.out);
            seen += 1;
        }
    }
    assert!(seen >= 5);
}

#[test]
fn there_is_an_example_for_every_ordered_pair_of_kinds() {
    let kinds = ["emfluence", "greenrope", "activecampaign"];
    for source in kinds {
        for target in kinds {
            let name = format!("config/{source}-to-{target}.toml");
            let config: toml::Table = text(&name).parse().unwrap();
            let kind_of = |side: &str| {
                let (_, job) = config["jobs"].as_table().unwrap().iter().next().unwrap();
                let provider = job[side].as_str().unwrap();
                config["providers"][provider]["kind"].as_str().unwrap()
            };
            assert_eq!((kind_of("source"), kind_of("target")), (source, target));
            let bed = Bed::new();
            bed.write("rosterd.toml", &text(&name));
            let ended = bed.end(&mut with_secrets(
                &bed,
                bed.command(&["check"]),
                &text(&name),
            ));
            ended.assert(0);
            for output in [&ended.out, &ended.err] {
                assert!(
                    !output.contains("warning") && !output.contains("error"),
                    "{name}: {output}"
                );
            }
        }
    }
}

#[test]
fn every_command_of_the_readme_exists() {
    let readme = text("README.md");
    let mut commands: BTreeSet<&str> = BTreeSet::new();
    for piece in readme.split('`').skip(1).step_by(2).chain(readme.lines()) {
        for (at, word) in piece.match_indices("rosterd ") {
            let before = piece[..at].chars().next_back();
            let rest = &piece[at + word.len()..];
            let command = rest
                .split(|letter: char| !letter.is_ascii_lowercase())
                .next()
                .unwrap_or_default();
            // In running text the name is followed by other words; in code it begins the span.
            if before.is_none() && piece.len() < 80 && !command.is_empty() {
                commands.insert(command);
            }
        }
    }
    commands.remove("keeps");
    assert!(commands.len() >= 8, "{commands:?}");
    let bed = Bed::new();
    for command in commands
        .iter()
        .copied()
        .filter(|command| *command != "help")
    {
        bed.run(&["help", command]).assert(0);
    }
    for option in [
        "demo --serve",
        "check --online",
        "plan --out",
        "plan --detailed-exitcode",
    ] {
        let (command, option) = option.split_once(' ').unwrap();
        assert!(
            bed.run(&[command, "--help"]).out.contains(option),
            "{command} {option}"
        );
    }
}
