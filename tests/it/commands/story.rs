//! The way of a newcomer, from `init` to a settled job, and every command that looks at it
//! afterwards.

use super::bed::{Bed, JOB, assert_keys, with_secrets};

const PLAN_KEYS: [&str; 10] = [
    "version",
    "job",
    "fingerprint",
    "summary",
    "operations",
    "withheld",
    "blocked",
    "refusals",
    "losses",
    "warnings",
];
const RUN_KEYS: [&str; 12] = [
    "version",
    "run",
    "job",
    "started",
    "finished",
    "outcome",
    "exit_code",
    "summary",
    "withheld",
    "blocked",
    "failures",
    "refusals",
];

#[test]
fn from_nothing_to_a_checked_config() {
    let bed = Bed::new();
    std::fs::remove_file(bed.path("rosterd.toml")).unwrap();
    let ended = bed.line("init");
    ended.assert(0);
    insta::assert_snapshot!(ended.out, @"
    Wrote rosterd.toml.
    Next: fill in your accounts, then `rosterd check --online`, then `rosterd plan JOB`.
    ");
    let written = bed.read("rosterd.toml");
    insta::assert_snapshot!(bed.line("init").complaint(2), @"
    error: rosterd.toml exists already, and is left as it is
    hint: name another file with `--path`, or check this one with `rosterd check`
    ");
    assert_eq!(bed.read("rosterd.toml"), written);
    let ended = bed.line("check");
    ended.assert(2);
    assert!(
        ended.out.contains("`GREENROPE_PASSWORD` is not set"),
        "{}",
        ended.out
    );
    let ended = bed.end(&mut with_secrets(&bed, bed.command(&["check"]), &written));
    ended.assert(0);
    insta::assert_snapshot!(ended.out, @"
    ok rosterd.toml: 2 providers, 1 job
    ok no state database yet; the first run makes one

    Next fires:
    crm-to-mail: by hand only
    ");
    assert!(!bed.path("rosterd.db").exists());
}

#[test]
fn from_a_config_to_a_settled_job() {
    let bed = Bed::new();
    let ended = bed.line("check --online");
    ended.assert(0);
    assert!(
        ended.out.contains("ok mail: logged in, 1 group\n"),
        "{}",
        ended.out
    );
    bed.line("check --online --format json").json(&[
        "ok",
        "findings",
        "state",
        "jobs",
        "providers",
    ]);

    bed.run(&["plan", JOB, "--detailed-exitcode"]).assert(10);
    let ended = bed.run(&["plan", JOB, "--format", "json", "--out", "plan.json"]);
    ended.assert(0);
    let plan = ended.json(&PLAN_KEYS);
    assert_keys(
        &plan["summary"],
        &[
            "groups",
            "members",
            "memberships",
            "opt_outs",
            "withheld",
            "blocked",
            "losses",
            "requests",
            "reads",
            "estimated_seconds",
        ],
    );
    assert_eq!(plan["summary"]["groups"]["create"], 6);
    assert_eq!(plan["summary"]["memberships"]["add"], 60);
    for operation in plan["operations"].as_array().unwrap() {
        assert_keys(operation, &["seq", "op"]);
    }
    assert_eq!(
        ended.out,
        bed.read("plan.json"),
        "what is saved is what was shown"
    );
    let page = bed.run(&["plan", JOB, "--format", "html"]);
    page.assert(0);
    assert_well_formed(&page.out);
    bed.assert_unwritten();

    let ended = bed.line("apply plan.json --format json");
    ended.assert(0);
    let run = ended.json(&RUN_KEYS);
    assert_eq!(
        (&run["outcome"], &run["summary"]["memberships"]["add"]),
        (&"done".into(), &60.into())
    );
    bed.assert_settled();
    bed.emulator.clear_log();
    bed.sync();
    bed.assert_unwritten();

    looks_back(&bed, run["run"].as_str().unwrap());
}

fn looks_back(bed: &Bed, run: &str) {
    let history = bed.line("history --format json").json(&["runs"]);
    let runs = history["runs"].as_array().unwrap();
    assert_eq!(runs.len(), 2);
    assert_keys(
        &runs[0],
        &[
            "run",
            "job",
            "started",
            "finished",
            "outcome",
            "exit_code",
            "summary",
        ],
    );
    assert_eq!(runs[1]["run"], run, "newest first");
    assert!(bed.line("history crm-to-mail").out.contains(run));
    let shown = bed.run(&["show", run]);
    shown.assert(0);
    assert!(shown.out.contains("donor0@example.org"), "{}", shown.out);
    bed.run(&["show", run, "--format", "json"]).json(&["run"]);
    assert!(
        bed.line("show 19990101T000000Z-000000")
            .complaint(2)
            .contains("no run")
    );
    let status = bed.line("status --format json").json(&["jobs"]);
    assert_keys(&status["jobs"][0], &["job", "state", "next", "last_run"]);
    assert_eq!(status["jobs"][0]["state"], "ok");
    assert_eq!(
        bed.line("failures --format json").json(&["failures"])["failures"],
        serde_json::json!([])
    );
    insta::assert_snapshot!(bed.line("failures").out, @"No failures.");
    assert_keys(
        &bed.line("schedule --format json").json(&["jobs"])["jobs"][0],
        &["job", "schedule", "next"],
    );
}

#[test]
fn pausing_keeps_a_job_out_of_all() {
    let bed = Bed::new();
    bed.run(&["pause", JOB, "--reason", "moving house"])
        .assert(0);
    let status = bed.line("status --format json").json(&["jobs"]);
    assert_eq!(
        (
            &status["jobs"][0]["state"],
            &status["jobs"][0]["paused_reason"]
        ),
        (&"paused".into(), &"moving house".into())
    );
    let ended = bed.line("sync --all");
    ended.assert(0);
    assert_eq!(bed.emulator.requests(), []);
    insta::assert_snapshot!(ended.err, @"Every job is paused or disabled: nothing was run.");
    assert_eq!(
        bed.line("sync --all --format json").json(&["runs"])["runs"],
        serde_json::json!([])
    );
    bed.run(&["resume", JOB]).assert(0);
    let ended = bed.line("sync --all --format json");
    ended.assert(0);
    assert_keys(&ended.json(&["runs"])["runs"][0], &RUN_KEYS[1..]);
    bed.assert_settled();
}

#[test]
fn groups_are_linked_by_hand() {
    let bed = Bed::new();
    bed.configure("[jobs.crm-to-mail.groups]\nadopt = \"never\"\n");
    let target = bed
        .account("mail", |mail| mail.add_group("Patrons"))
        .to_string();
    let source = bed
        .account("crm", |crm| crm.find_group("Donors"))
        .unwrap()
        .to_string();
    let refused = bed.run(&["link", JOB, &source, "999"]);
    let said = refused.complaint(2);
    assert!(
        said.contains("shows no group with the id or the name \"999\""),
        "{said}"
    );
    let refused = bed.run(&["link", JOB, "999", &target]);
    let said = refused.complaint(2);
    assert!(said.contains("\"crm\" shows no group"), "{said}");
    bed.run(&["link", JOB, "donors", "Patrons"]).assert(0);
    let again = bed.run(&["link", JOB, &source, &target]);
    again.assert(0);
    assert!(again.out.contains("linked already"), "{}", again.out);
    let other = bed.account("mail", |mail| mail.add_group("Others"));
    assert!(
        bed.run(&["link", JOB, &source, &other.to_string()])
            .complaint(2)
            .contains(&format!("rosterd unlink crm-to-mail {source}"))
    );
    bed.sync();
    let members = bed.account("mail", |mail| {
        mail.members_of(target.parse().unwrap()).len()
    });
    assert_eq!(members, 10, "the people of the linked group came into it");
    bed.run(&["unlink", JOB, &source]).assert(0);
    bed.run(&["unlink", JOB, &source]).complaint(2);
}

#[test]
fn what_needs_a_person_is_listed_and_tried_again() {
    let bed = Bed::new();
    let nobody = bed.account("crm", |crm| {
        let contact = crm.add_person("nemo(at)example.org", "Nemo", "Example");
        let donors = crm.find_group("Donors").unwrap();
        crm.join(donors, contact);
        contact
    });
    bed.run(&["sync", JOB]).assert(4);
    let failures = bed
        .line("failures crm-to-mail --format json")
        .json(&["failures"]);
    let failure = &failures["failures"][0];
    assert_keys(
        failure,
        &[
            "item",
            "job",
            "accepted",
            "what",
            "group",
            "member",
            "reason",
            "code",
            "message",
            "first_seen",
            "attempts",
            "next_try",
            "remedy",
        ],
    );
    assert_eq!(failure["reason"], "bad_address");
    bed.run(&["retry", JOB]).assert(4);
    // What is accepted stays listed, and nobody is needed until that is taken back.
    bed.run(&["accept", JOB, "nothing"]).complaint(2);
    let item = failure["item"].as_str().unwrap();
    bed.run(&["accept", JOB, item, "--reason", "an old mailbox"])
        .assert(0);
    bed.run(&["sync", JOB]).assert(0);
    let listed = bed.line("failures --format json").json(&["failures"]);
    assert_eq!(listed["failures"][0]["accepted"], true);
    let list = bed.run(&["accept", JOB, "--list"]);
    list.assert(0);
    assert!(list.out.contains(item) && list.out.contains("an old mailbox"));
    bed.run(&["accept", JOB, "--all-blocked", "bad_address", "--revoke"])
        .assert(0);
    bed.run(&["sync", JOB]).assert(4);
    bed.account("crm", |crm| crm.change_address(nobody, "nemo@example.org"));
    bed.run(&["retry", JOB]).assert(0);
    assert_eq!(
        bed.line("failures --format json").json(&["failures"])["failures"],
        serde_json::json!([])
    );
    assert_eq!(bed.size("mail", "Donors"), 11);
}

#[test]
fn what_needs_no_config() {
    let bed = Bed::new();
    std::fs::remove_file(bed.path("rosterd.toml")).unwrap();
    let schema: serde_json::Value = serde_json::from_str(&bed.line("schema").out).unwrap();
    assert_keys(&schema, &["$schema", "properties"]);
    let fields = bed.line("schema fields --format json").json(&["fields"]);
    assert_keys(
        &fields["fields"][0],
        &[
            "kind",
            "object",
            "wire",
            "canonical",
            "type",
            "readable",
            "writable",
            "source",
        ],
    );
    assert!(bed.line("schema fields").out.contains("groupName"));
    for shell in ["bash", "elvish", "fish", "powershell", "zsh"] {
        let ended = bed.run(&["completions", shell]);
        ended.assert(0);
        assert!(
            ended.out.contains("rosterd") && ended.out.contains("detailed-exitcode"),
            "{shell}"
        );
    }
    let page = bed.line("man");
    page.assert(0);
    assert!(page.out.contains(".TH rosterd"), "{}", page.out);
    let empty = bed.line("status");
    assert!(empty.complaint(2).contains("rosterd init"), "{}", empty.err);
}

/// Fails unless the elements of a page nest and end.
fn assert_well_formed(page: &str) {
    assert!(
        page.to_ascii_lowercase().starts_with("<!doctype html>"),
        "{page}"
    );
    let void = ["meta", "link", "br", "hr", "img", "input", "col"];
    let mut open: Vec<&str> = Vec::new();
    for piece in page.split('<').skip(2) {
        let (tag, _) = piece.split_once('>').expect("a tag ends");
        if let Some(name) = tag.strip_prefix('/') {
            assert_eq!(open.pop(), Some(name.trim()), "</{tag}>");
        } else {
            let name = tag.split([' ', '/', '\n']).next().unwrap();
            if !void.contains(&name) && !tag.ends_with('/') {
                open.push(name);
            }
        }
    }
    assert_eq!(open, Vec::<&str>::new(), "every element ends");
}
