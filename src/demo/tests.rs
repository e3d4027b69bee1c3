use std::cell::Cell;
use std::collections::BTreeSet;
use std::rc::Rc;
use std::time::Duration;

use super::stage::{self, Stage};
use super::*;
use crate::config;
use crate::emulator::{Emulator, World};

const SMALL: Seed = Seed {
    seed: 3,
    groups: 12,
    members: 300,
};

/// The demo as it is shown; nobody waits in it, but every wait of its runs is counted.
async fn told(size: &Seed, pause: Option<Pause>) -> (Stage, String, Duration) {
    let stage = Stage::build(IN_PROCESS, size).unwrap();
    let mut out = Vec::new();
    let begun = tokio::time::Instant::now();
    let told = story::tell(&stage, pause, &mut out).await;
    told.unwrap_or_else(|error| panic!("{error:#}\n{}", String::from_utf8_lossy(&out)));
    let text = String::from_utf8(out).unwrap();
    let text = anstream::adapter::strip_str(&text).to_string();
    (stage, text, begun.elapsed())
}

/// Returns the numbers of a text.
fn numbers(text: &str) -> Vec<u64> {
    let digits = text.split(|letter: char| !letter.is_ascii_digit());
    digits.filter_map(|word| word.parse().ok()).collect()
}

#[tokio::test(start_paused = true)]
async fn whoever_watches_waits_for_no_pace_and_no_second_look() {
    let (_, text, waited) = told(&SIZE, None).await;
    assert!(waited < Duration::from_secs(5), "{waited:?}\n{text}");
}

#[tokio::test(start_paused = true)]
async fn the_contents_name_the_chapters_and_each_waits_for_enter() {
    let waits = Rc::new(Cell::new(0));
    let seen = Rc::clone(&waits);
    let pause: Pause = Box::new(move || {
        seen.set(seen.get() + 1);
        Ok(())
    });
    let (_, text, _) = told(&SMALL, Some(pause)).await;
    let is_chapter = |line: &&str| {
        let (number, title) = line.split_once(". ").unwrap_or_default();
        number.len() == 1 && number.parse::<u8>().is_ok() && !title.is_empty()
    };
    let contents: Vec<&str> = text
        .lines()
        .filter_map(|line| line.strip_prefix("  "))
        .filter(is_chapter)
        .collect();
    let headings: Vec<&str> = text.lines().filter(is_chapter).collect();
    assert_eq!(contents, headings, "{text}");
    assert_eq!((contents.len(), waits.get()), (9, 9), "{text}");
    for title in contents {
        assert!(
            text.contains(&format!("\n[Enter: {title}]")),
            "{title}\n{text}"
        );
    }
}

#[tokio::test(start_paused = true)]
async fn the_figures_of_the_chapters_add_up() {
    let (_, text, _) = told(&SMALL, None).await;
    let line = |part: &str| {
        let mut lines = text.lines().filter(|line| line.contains(part));
        let line = lines.next().unwrap_or_else(|| panic!("{part}\n{text}"));
        numbers(line)
    };
    let chapters = text
        .lines()
        .filter(|line| line.contains("Requests of this chapter"));
    let (reads, writes) = chapters.map(numbers).fold((0, 0), |(reads, writes), of| {
        (reads + of[0], writes + of[1])
    });
    assert_eq!(
        line("✓ The accounts saw"),
        [reads + writes, reads, writes],
        "{text}"
    );
    let plan = line("opt-outs to carry, ");
    let [opt_outs, all, some, created, join, only, ..] = line("opt-outs = ")[..] else {
        panic!("{text}")
    };
    assert_eq!((opt_outs, created), (all + some, join + only), "{text}");
    assert!(
        plan.contains(&opt_outs) && plan.contains(&created),
        "{text}"
    );
    let listed = line("memberships at the source");
    let rest = line("refuse it, ");
    assert_eq!(listed[1], listed[2] + rest.iter().sum::<u64>(), "{text}");
    // What is counted of the source is what the first chapter says of it.
    assert!(line("  crm ").contains(&listed[1]), "{text}");
}

#[tokio::test(start_paused = true)]
async fn the_story_holds_and_tells_no_secret() {
    let (stage, text, _) = told(&SMALL, None).await;
    for words in [
        "$ rosterd plan crm-to-mail --out plan.json",
        "$ rosterd apply plan.json",
        "a page that fails is not an empty list",
        "--approve",
        "$ rosterd explain ",
        "$ rosterd undo ",
        "the opt-outs stay",
        "and none broke a provider's rules",
    ] {
        let told = text.to_lowercase();
        assert!(told.contains(&words.to_lowercase()), "{words}\n{text}");
    }
    let secrets = stage.emulator.with_world(|world| {
        world
            .accounts
            .iter()
            .flat_map(|account| [account.credentials().token, account.credentials().password])
            .collect::<BTreeSet<_>>()
    });
    assert!(
        secrets.iter().all(|secret| !text.contains(secret)),
        "a secret is printed"
    );
}

#[test]
fn the_config_file_is_one_like_any_other() {
    let directory = tempfile::tempdir().unwrap();
    let emulator = Emulator::new(World::seeded_all(
        "crm",
        &Seed {
            groups: 1,
            members: 1,
            ..Seed::default()
        },
    ));
    let path = stage::write_config(&emulator, "http://127.0.0.1:8099", directory.path()).unwrap();
    let (config, warnings) = config::load(&path).unwrap();
    let pace =
        |warning: &config::diagnostics::Warning| warning.message.contains("requests_per_minute");
    assert!(
        warnings.iter().all(pace),
        "only the pace is out of the ordinary: {warnings:?}"
    );
    assert_eq!(
        config.jobs.keys().map(String::as_str).collect::<Vec<_>>(),
        [stage::BACK, stage::ONWARD, stage::LISTS]
    );
    for (place, secret) in config.secrets() {
        secret.fetch(&place).unwrap();
    }
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt as _;
        let mode = std::fs::metadata(directory.path().join("mail.secret"))
            .unwrap()
            .permissions()
            .mode();
        assert_eq!(mode & 0o777, 0o600);
    }
}
