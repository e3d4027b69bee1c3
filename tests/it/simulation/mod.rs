//! Random worlds, random jobs, random trouble: whatever happens, no rule is broken, and once the
//! trouble is over, all is well.
//!
//! Everything derives from a seed. `ROSTERD_SIM_SEEDS=N cargo test simulation` tries N of them
//! (`A..B` those from A to below B), `ROSTERD_SIM_SEED=K` only one. A failing seed prints the
//! shortest story that was found to fail in the same way. Before a change to what is written or
//! concluded is called done, 10,000 seeds are played once by hand.

mod dice;
mod edits;
mod hands;
mod humans;
mod job;
mod judge;
mod logs;
mod rules;
mod settle;
mod sim;
mod staff;
mod stories;
mod truth;
mod wild;
mod wire;
mod world;

use std::collections::BTreeMap;
use std::ops::Range;
use std::panic::{AssertUnwindSafe, catch_unwind};

use sim::{Sim, Step, is_wild, script};

/// How many seeds are tried where nobody says a number.
const SEEDS: u64 = 300;

/// In how many parts the seeds are tried side by side.
const PARTS: u64 = 4;

/// How many shorter stories are tried of one that fails.
const PATIENCE: usize = 80;

/// Plays a story, and returns it with what went wrong.
fn play(seed: u64, steps: &[Step]) -> (Vec<String>, Vec<String>) {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .start_paused(true)
        .build()
        .unwrap();
    let mut story = Vec::new();
    let played = catch_unwind(AssertUnwindSafe(|| {
        runtime.block_on(async {
            let mut sim = Sim::new(seed);
            for step in steps {
                sim.step(*step).await;
                if !sim.complaints().is_empty() {
                    break;
                }
            }
            if sim.complaints().is_empty() {
                sim.settle().await;
            }
            story = std::mem::take(&mut sim.story);
            sim.complaints()
        })
    }));
    let complaints = played.unwrap_or_else(|panic| {
        let words = panic
            .downcast_ref::<String>()
            .cloned()
            .or_else(|| panic.downcast_ref::<&str>().map(|text| (*text).to_owned()));
        vec![format!("panic: {}", words.unwrap_or_default())]
    });
    (story, complaints)
}

/// The kind of a complaint: what stands before the colon.
fn kind(complaints: &[String]) -> String {
    complaints
        .first()
        .and_then(|complaint| complaint.split(':').next())
        .unwrap_or_default()
        .to_owned()
}

/// Tries a seed; tells the shortest story that fails in the same way, if it fails.
fn attempt(seed: u64) -> Result<(), String> {
    let mut steps = script(seed);
    let (mut story, mut complaints) = play(seed, &steps);
    if complaints.is_empty() {
        return Ok(());
    }
    let wanted = kind(&complaints);
    let mut tries = 0;
    let mut at = 0;
    while at < steps.len() && tries < PATIENCE {
        let mut shorter = steps.clone();
        shorter.remove(at);
        tries += 1;
        let (told, wrong) = play(seed, &shorter);
        if kind(&wrong) == wanted {
            (steps, story, complaints) = (shorter, told, wrong);
        } else {
            at += 1;
        }
    }
    Err(format!(
        "seed {seed}:\n  {}\nbroken:\n  {}",
        story.join("\n  "),
        complaints.join("\n  ")
    ))
}

/// The seeds that the environment asks for.
fn seeds() -> Range<u64> {
    let number = |text: &str| text.parse::<u64>().expect("a number");
    if let Ok(one) = std::env::var("ROSTERD_SIM_SEED") {
        return number(&one)..number(&one) + 1;
    }
    match std::env::var("ROSTERD_SIM_SEEDS") {
        Err(_) => 0..SEEDS,
        Ok(text) => match text.split_once("..") {
            Some((from, to)) => number(from)..number(to),
            None => 0..number(&text),
        },
    }
}

/// Tries one part of the seeds.
fn part(number_of_part: u64) {
    let mut failed = Vec::new();
    for seed in seeds().filter(|seed| seed % PARTS == number_of_part) {
        if let Err(story) = attempt(seed) {
            failed.push(story);
            if failed.len() == 3 {
                break;
            }
        }
    }
    assert!(failed.is_empty(), "{}", failed.join("\n\n"));
}

#[test]
fn simulation_first_part() {
    part(0);
}

#[test]
fn simulation_second_part() {
    part(1);
}

#[test]
fn simulation_third_part() {
    part(2);
}

#[test]
fn simulation_fourth_part() {
    part(3);
}

/// Writes which kinds of faults the seeds show in which who is who is turned over, into
/// the file that `ROSTERD_SIM_SURVEY` names: how often each is met, and of a few the shortest
/// story.
#[test]
#[ignore = "looks through many seeds and writes a file about them"]
fn simulation_survey() {
    let Ok(path) = std::env::var("ROSTERD_SIM_SURVEY") else {
        return;
    };
    let mut met: BTreeMap<String, (Vec<u64>, String)> = BTreeMap::new();
    for seed in seeds().filter(|seed| is_wild(*seed)) {
        let (_, complaints) = play(seed, &script(seed));
        if complaints.is_empty() {
            continue;
        }
        let entry = met.entry(kind(&complaints)).or_default();
        entry.0.push(seed);
        if entry.0.len() <= 2
            && let Err(story) = attempt(seed)
            && (entry.1.is_empty() || story.len() < entry.1.len())
        {
            entry.1 = story;
        }
        #[expect(clippy::format_collect, reason = "a file for a person, written once")]
        let text: String = met
            .iter()
            .map(|(kind, (seeds, story))| {
                format!("== {kind}: {} seeds {seeds:?}\n{story}\n\n", seeds.len())
            })
            .collect();
        std::fs::write(&path, format!("up to seed {seed}\n{text}")).unwrap();
    }
}
