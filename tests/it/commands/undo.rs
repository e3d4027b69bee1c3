//! A run is taken back from the command line.

use serde_json::Value;

use super::bed::Bed;

/// Saves the plan that takes a run back, and applies it with the approval that it may take.
fn take_back(bed: &Bed, run: &str) -> Value {
    let ended = bed.run(&["undo", run, "--out", "undo.json", "--format", "json"]);
    ended.assert(0);
    let plan = ended.json(&["undo", "did", "undone", "not_undone", "operations"]);
    let saved: Value = serde_json::from_str(&bed.read("undo.json")).unwrap();
    assert_eq!(saved, plan, "what is shown is what is saved");
    match plan["refusals"][0]["approval"].as_str() {
        None => bed.line("apply undo.json").assert(0),
        Some(approval) => {
            assert!(bed.line("apply undo.json").complaint(3).contains(approval));
            bed.run(&["apply", "undo.json", "--approve", approval])
                .assert(0);
        }
    }
    plan
}

#[test]
fn a_run_is_taken_back_and_its_job_paused() {
    let bed = Bed::new();
    bed.sync();
    let first = bed.newest_run();
    let text = bed.run(&["undo", &first]);
    text.assert(0);
    for said in ["Not undone", "person_stays", "rosterd apply FILE"] {
        assert!(text.out.contains(said), "{said}: {}", text.out);
    }
    let writes = bed.writes().len();
    let plan = take_back(&bed, &first);
    assert!(bed.writes().len() > writes);
    let count = |key: &str| plan[key].as_u64().unwrap();
    let left = plan["not_undone"].as_array().unwrap();
    assert_eq!(count("did"), count("undone") + left.len() as u64);
    assert!(left.iter().all(|left| left["reason"] == "person_stays"));
    let status = bed.line("status --format json").json(&["jobs"]);
    assert_eq!(status["jobs"][0]["state"], "paused");
    // By hand it runs all the same, and does again what the source asks for.
    let again = bed.newest_run();
    assert_ne!(again, first);
    let shown = bed
        .run(&["show", &again, "--format", "json"])
        .json(&["items"]);
    let items = shown["items"].as_array().unwrap();
    let of_groups = ["archive_group", "lift_protection"];
    assert!(
        items
            .iter()
            .all(|item| of_groups.contains(&item["op"].as_str().unwrap()))
    );
    bed.line("apply undo.json").assert(3);
    bed.run(&["undo", "nonsense"]).assert(2);
}

#[test]
fn a_part_of_an_undo_is_shown_and_the_whole_saved() {
    let bed = Bed::new();
    bed.sync();
    let run = bed.newest_run();
    let whole = bed
        .run(&["undo", &run, "--format", "json"])
        .json(&["operations", "not_undone"]);
    let of = |key: &str, plan: &Value| plan[key].as_array().unwrap().len();
    let words = ["undo", &run, "--only", "donor3@example.org"];
    let ended = bed.run(&[&words[..], &["--out", "undo.json", "--format", "json"]].concat());
    ended.assert(0);
    let part = ended.json(&["only", "unconcerned", "whole", "not_undone"]);
    let left = part["not_undone"].as_array().unwrap();
    assert!(left.len() == 1 && left[0]["member"] == "donor3@example.org");
    assert_eq!(part["whole"]["not_undone"], of("not_undone", &whole));
    let saved: Value = serde_json::from_str(&bed.read("undo.json")).unwrap();
    assert_eq!(of("operations", &saved), of("operations", &whole));

    let text = bed.run(&words);
    text.assert(0);
    let said = format!(
        "1 of {} things that are not undone",
        of("not_undone", &whole)
    );
    assert!(text.out.contains(&said), "{said}: {}", text.out);
    assert!(!text.out.contains("donor4@"), "{}", text.out);
    let text = bed.run(&["undo", &run, "--only", "Donors"]);
    text.assert(0);
    assert!(text.out.contains("\"Donors\"") && !text.out.contains("Press"));
    bed.run(&["undo", &run, "--only", "Nonesuch"]).complaint(2);
    let page = [&words[..], &["--format", "html"]].concat();
    assert!(bed.run(&page).complaint(2).contains("--only"));
}

#[test]
fn the_run_of_a_pair_without_a_job_is_taken_back() {
    let bed = Bed::new();
    let config = bed.config("");
    let providers = config.split("[jobs.").next().unwrap();
    bed.write("rosterd.toml", providers);
    bed.line("migrate --from crm --to mail --yes").assert(0);
    let first = bed.newest_run();
    take_back(&bed, &first);
    let mailed: Vec<String> = bed.account("mail", |mail| {
        let all = mail.find_group("All");
        let groups = mail.groups.keys().copied().filter(|id| Some(*id) != all);
        groups
            .filter(|id| {
                mail.group(*id).unwrap().status != rosterd::emulator::GroupStatus::Archived
            })
            .flat_map(|id| mail.mailed_by(id))
            .collect()
    });
    assert!(mailed.is_empty(), "{mailed:?}");
    // What is left alone adds up with what is counted.
    let undoing = bed.newest_run();
    let shown = bed.run(&["show", &undoing, "--format", "json"]);
    let shown = shown.json(&["summary", "items", "uncounted"]);
    let sum = |counts: &Value| -> u64 {
        let counts = counts.as_object().unwrap().values();
        counts.filter_map(Value::as_u64).sum()
    };
    let tables = ["groups", "members", "memberships", "opt_outs"];
    let counted: u64 = tables
        .iter()
        .map(|table| sum(&shown["summary"][table]))
        .sum();
    let lifted = shown["uncounted"]["lift_protection"].as_u64().unwrap();
    assert_eq!(lifted, sum(&shown["uncounted"]));
    let items = shown["items"].as_array().unwrap();
    assert_eq!(items.len() as u64, counted + lifted, "{shown}");
    let text = bed.run(&["show", &undoing]).out;
    let said = format!("not in the counts above: {lifted} protection lifted.");
    assert!(text.contains(&said), "{text}");
    let resumed = bed.line("resume");
    resumed.assert(0);
    assert!(
        resumed.out.contains("it has no schedule") && resumed.out.contains("rosterd sync"),
        "{}",
        resumed.out
    );
}

#[test]
fn each_pair_that_was_migrated_is_seen() {
    let bed = Bed::new();
    let config = bed.config("");
    let providers = config.split("[jobs.").next().unwrap();
    let mail = providers.find("[providers.mail]").unwrap();
    let again = providers[mail..].split("\n[providers.crm]").next().unwrap();
    let again = again.replace("providers.mail", "providers.post");
    bed.write("rosterd.toml", &format!("{providers}\n{again}"));
    for pair in ["--from crm --to mail", "--from crm --to post"] {
        bed.line(&format!("migrate {pair} --yes")).assert(0);
    }
    let status = bed.run(&["status", "--format", "json"]);
    let status = status.json(&["jobs"]);
    let jobs = status["jobs"].as_array().unwrap().iter();
    let names: Vec<&str> = jobs.map(|job| job["job"].as_str().unwrap()).collect();
    assert_eq!(names, ["crm-to-mail", "crm-to-post"]);
    // Which of them is meant has to be said.
    let unnamed = bed.line("sync");
    let said = unnamed.complaint(2);
    assert!(
        said.contains("crm-to-post") && said.contains("crm-to-mail"),
        "{said}"
    );
    bed.line("sync crm-to-mail").assert(0);
}

#[test]
fn a_refused_undo_is_saved_before_it_is_approved() {
    let bed = Bed::new();
    bed.sync();
    let run = bed.newest_run();
    bed.configure("[jobs.crm-to-mail.guards]\nmax_membership_removals = 1\n");
    let text = bed.run(&["undo", &run]);
    let plan = bed.run(&["undo", &run, "--format", "json"]);
    let plan = plan.json(&["refusals"]);
    let approval = plan["refusals"][0]["approval"].as_str().unwrap();
    let save =
        format!("rosterd undo {run} --out FILE\n      rosterd apply FILE --approve {approval}");
    assert!(text.out.contains(&save), "{}", text.out);
    let page = bed.run(&["undo", &run, "--format", "html"]);
    let save = format!(
        "<pre>rosterd undo {run} --out undo.json\nrosterd apply undo.json --approve {approval}</pre>"
    );
    assert!(page.out.contains(&save), "{}", page.out);

    let saved = bed.run(&["undo", &run, "--out", "my undo.json"]);
    let apply = format!("rosterd apply 'my undo.json' --approve {approval}");
    assert!(saved.out.contains(&apply), "{}", saved.out);
    assert!(saved.err.contains(&apply), "{}", saved.err);
    assert!(!saved.out.contains("--out FILE"), "{}", saved.out);
    bed.run(&["apply", "my undo.json", "--approve", approval])
        .assert(0);
}
