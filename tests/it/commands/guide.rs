//! Whoever types what the guide says, in its order, gets where it says.

use rosterd::emulator::{Fault, FaultRule};

use super::bed::{Bed, JOB, repository, small_world};

/// The commands in the blocks of a chapter, for a shell, in their order.
fn typed(chapter: &str) -> Vec<String> {
    let path = repository().join("src/guide").join(chapter);
    let text = std::fs::read_to_string(path.with_extension("md")).unwrap();
    let mut is_shell = false;
    let mut lines = Vec::new();
    for line in text.replace("\\\n", " ").lines() {
        if let Some(language) = line.trim_start().strip_prefix("```") {
            is_shell = language == "sh";
        } else if is_shell {
            lines.push(line.trim().to_owned());
        }
    }
    assert!(!lines.is_empty(), "{chapter} shows no command");
    lines
}

fn begin_of_newest_run(bed: &Bed) -> String {
    let history = bed.line("history --format json").json(&["runs"]);
    history["runs"][0]["started"].as_str().unwrap().to_owned()
}

/// Types the commands of a chapter that need no root and no minutes, each of which has to end well.
fn play(bed: &Bed, chapter: &str) -> usize {
    let mut played = 0;
    for line in typed(chapter) {
        let words: Vec<&str> = line.split(' ').collect();
        if !["rosterd", "mkdir"].contains(&words[0]) || words[1] == "demo" {
            continue;
        }
        // The guide shows the id of some run.
        let line = match words.get(1) {
            Some(&"undo") => line.replace(words[2], &bed.newest_run()),
            // Nothing here is three days old.
            Some(&"members") => line.replace("3 days ago", &begin_of_newest_run(bed)),
            _ => line.clone(),
        };
        let line = match line.strip_prefix("rosterd ") {
            Some(rest) => format!("$ROSTERD {rest}"),
            None => line,
        };
        let ended = bed.end(&mut bed.shell(&line));
        assert_eq!(
            ended.code,
            Some(0),
            "{chapter}: {line}\n{}{}",
            ended.out,
            ended.err
        );
        played += 1;
    }
    played
}

#[test]
fn the_commands_of_the_guide_work_in_their_order() {
    let bed = Bed::over(small_world());
    assert!(play(&bed, "install") >= 4);
    bed.assert_whole();
    for made in ["rosterd.bash", "man/rosterd.1"] {
        assert!(bed.path(made).is_file(), "{made}");
    }

    bed.account("crm", |crm| {
        let donors = crm.find_group("Donors").unwrap();
        let newcomer = crm.add_person("newcomer@example.org", "New", "Comer");
        crm.join(donors, newcomer);
    });
    assert!(play(&bed, "daily") >= 6);
    assert_eq!(bed.size("mail", "Donors"), 11, "the saved plan was applied");
    assert!(bed.read("plan.html").contains("newcomer@example.org"));

    // The run that is taken back is that of the saved plan.
    assert!(play(&bed, "mistakes") >= 5);
    assert_eq!(bed.size("mail", "Donors"), 10, "and taken back");
    let status = bed.line("status --format json").json(&["jobs"]);
    assert_eq!(status["jobs"][0]["state"], "paused", "{status}");
    bed.run(&["resume", JOB]).assert(0);
}

#[test]
fn a_broken_login_shows_as_the_guide_says_and_mends_itself() {
    let bed = Bed::over(small_world());
    bed.sync();
    bed.line("status --check").assert(0);

    let rule = FaultRule::every(Fault::ExpiredToken).at("mail");
    bed.emulator.add_fault(rule);
    let ended = bed.run(&["sync", JOB]);
    ended.assert(1);
    assert!(ended.err.contains("token was refused"), "{}", ended.err);
    bed.line("status --check").assert(1);

    bed.emulator.clear_faults();
    bed.sync();
    bed.line("status --check").assert(0);
    bed.assert_whole();
}
