//! What a plan shows, as a shell would ask for it.

use serde_json::{Value, json};

use super::bed::{Bed, JOB, small_world};
use crate::support::group_of;

/// What `plan --format json` prints.
fn plan(bed: &Bed) -> Value {
    let ended = bed.run(&["plan", JOB, "--format", "json"]);
    ended.assert(0);
    ended.json(&["operations", "changed_outside"])
}

/// What a command complains of that ends with a code and no result.
fn complains(bed: &Bed, arguments: &[&str], code: i32) -> String {
    bed.run(arguments).complaint(code).to_owned()
}

/// Hides the day since which losses are known.
fn without_day(text: &str) -> String {
    let Some((before, after)) = text.split_once("known since ") else {
        return text.to_owned();
    };
    format!("{before}known since DAY{}", &after["2026-11-29".len()..])
}

/// What a person wrote at the target into everything that rosterd had written there.
fn change_outside(bed: &Bed) {
    bed.account("mail", |mail| {
        let board = mail.find_group("Board").unwrap();
        mail.rename_group(board, "Evil \u{1b}[31m<b>\u{202e}board");
        let contact = mail.contact_by_email("donor2@example.org").unwrap();
        mail.change_contact(contact, [("last_name", "By \u{1b}]0;hand")], []);
        let press = mail.find_group("Press").unwrap();
        let contact = mail.contact_by_email("press3@example.org").unwrap();
        mail.leave(press, contact);
    });
}

#[test]
fn what_others_changed_at_the_target_is_marked_and_listed() {
    let bed = Bed::new();
    bed.sync();
    change_outside(&bed);
    let ended = bed.run(&["plan", JOB]);
    ended.assert(0);
    insta::assert_snapshot!(without_day(&ended.out), @r#"
    Plan for crm-to-mail: crm → mail

    Groups
      ~ Evil \u{1b}[31m<b>\u{202e}board  change: is renamed to "Board", as it was before somebody renamed it at the target

    Members
      Press  +1
        + press3@example.org  (was taken out there)

    Profiles  1 person
      ~ donor2@example.org
          lastName  "By \u{1b}]0;hand" → "Example"  (changed outside)

    Changed outside  3 values, at mail since the last run
      ! groupName of group "Board": is overwritten
          "Board" after the last run, now "Evil \u{1b}[31m<b>\u{202e}board"
      ! lastName of donor2@example.org: is overwritten
          "Example" after the last run, now "By \u{1b}]0;hand"
      ! press3@example.org was taken out of "Press": is added again

    1 loss known since DAY: `-v` lists it

    Cost: 3 requests to mail and 2 looks at what was written, about 1 s at the provider's pace. Reading took 18 requests of crm and 14 requests of mail.

    Plan: 1 group to change, 1 profile change to make, 1 membership to add. 3 changed outside.

    Next: `rosterd sync crm-to-mail` plans anew and applies; to apply exactly what was reviewed, `rosterd plan crm-to-mail --out FILE`, then `rosterd apply FILE`.
    "#);

    let document = plan(&bed);
    assert_eq!(document["summary"]["changed_outside"], 3);
    let rows = document["changed_outside"].as_array().unwrap();
    assert_eq!(rows.len(), 3);
    assert_eq!(
        rows[1],
        json!({"what": "member", "member": "donor2@example.org", "field": "lastName",
            "base": "Example", "now": "By \u{1b}]0;hand", "wanted": "Example", "fate": "overwrite"})
    );
    let press = bed.account("mail", |mail| mail.find_group("Press").unwrap());
    assert_eq!(
        rows[2],
        json!({"what": "membership", "group": "Press", "id": press.to_string(), "member": "press3@example.org", "fate": "overwrite"})
    );
    let marked = document["operations"].as_array().unwrap().iter();
    let marked: Vec<&Value> = marked
        .map(|operation| &operation["changed_outside"])
        .collect();
    assert_eq!(
        marked,
        [
            &json!(["groupName"]),
            &json!(["lastName"]),
            &json!(["press3@example.org"])
        ]
    );

    // What is shown besides is sealed with the plan and no hindrance to applying it.
    bed.run(&["plan", JOB, "--out", "plan.json"]).assert(0);
    bed.run(&["apply", "plan.json"]).assert(0);
    let ended = bed.run(&["plan", JOB]);
    assert!(ended.out.contains("Nothing to do."), "{}", ended.out);
    assert!(!ended.out.contains("outside"), "{}", ended.out);
    assert_eq!(plan(&bed)["changed_outside"], json!([]));
}

#[test]
fn what_others_changed_is_listed_also_where_it_is_kept_or_stops_the_run() {
    for (drift, code, said) in [
        ("keep", 0, ["is kept", "stays out"]),
        ("stop", 3, ["stops the run", "stops the run"]),
    ] {
        let bed = Bed::new();
        bed.configure(&format!("[jobs.{JOB}.guards]\non_drift = \"{drift}\"\n"));
        bed.sync();
        change_outside(&bed);
        let ended = bed.run(&["plan", JOB, "--detailed-exitcode"]);
        ended.assert(code);
        for said in said {
            assert!(ended.out.contains(said), "{said}: {}", ended.out);
        }
        assert!(ended.out.contains("3 changed outside."), "{}", ended.out);
        let document = plan(&bed);
        let rows = document["changed_outside"].as_array().unwrap();
        assert_eq!(rows.len(), 3, "{rows:#?}");
        assert!(rows.iter().all(|row| row["fate"] == drift), "{rows:#?}");
        if drift == "stop" {
            assert_eq!(document["refusals"][0]["value"], 3);
        } else {
            assert_eq!(document["operations"], json!([]));
        }
    }
}

#[test]
fn a_part_of_a_plan_says_how_much_it_leaves_out() {
    let bed = Bed::new();
    let ended = bed.run(&[
        "plan",
        JOB,
        "--only",
        "press",
        "--only",
        "Donor3@EXAMPLE.org",
        "--only",
        "nobody@example.org",
    ]);
    ended.assert(0);
    insta::assert_snapshot!(ended.out, @r#"
    Plan for crm-to-mail: crm → mail
    Nothing is remembered of this job yet: this is its first run, or its state was lost.
    Only "press", donor3@example.org and nobody@example.org: shows 4 of 13 operations, 0 of 1 loss and 0 of 1 warning. What concerns others as well is cut to what was asked for.
    Nothing in this plan concerns nobody@example.org.

    Groups
      + Press  create
          externalID  "rosterd:crm:134"
          groupName   "Press"
          private     true
          protected   true

    Members  11 people are new to the target (marked *)
      Donors  +1
        + donor3@example.org *
      Press   +10
        + press0@example.org *
        + press1@example.org *
        + press2@example.org *
        + press3@example.org *
        + press4@example.org *
        + press5@example.org *
        + press6@example.org *
        + press7@example.org *
        + press8@example.org *
        + press9@example.org *

    New people  11 people, all with the same fields
      + 11 people with 2 fields, for example donor3@example.org
          firstName  "Ana"
          lastName   "Example"

    Shown, of 13 operations: 1 group to create, 11 people to create, 11 memberships to add.
    The whole plan: 6 groups to create, 60 people to create, 60 memberships to add.
    "#);

    // By the id at the source, which is no group's name.
    let id = bed.account("crm", |crm| crm.find_group("Press").unwrap());
    let of_group = bed.run(&["plan", JOB, "--only", &id.to_string(), "--format", "json"]);
    of_group.assert(0);
    let document = of_group.json(&["only", "whole", "operations"]);
    assert_eq!(document["only"], json!([id.to_string()]));
    assert_eq!(document["unconcerned"], json!([]));
    assert_eq!(document["summary"]["memberships"]["add"], 10);
    assert_eq!(document["whole"]["memberships"]["add"], 60);
    let kinds: Vec<&Value> = document["operations"]
        .as_array()
        .unwrap()
        .iter()
        .map(|one| &one["op"])
        .collect();
    assert_eq!(kinds, ["create_group", "create_members", "add_memberships"]);

    let id = bed.account("crm", |crm| {
        crm.contact_by_email("donor3@example.org").unwrap()
    });
    let ended = bed.run(&["plan", JOB, "--only", &format!("#{id}"), "--format", "json"]);
    let document = ended.json(&["operations"]);
    assert_eq!(document["summary"]["members"]["create"], 1);
    assert_eq!(
        document["operations"][0]["members"],
        json!(["donor3@example.org"])
    );
    bed.assert_unwritten();
}

#[test]
fn a_part_of_a_plan_is_not_applied_and_the_whole_is_what_is_saved() {
    let bed = Bed::new();
    let only = ["plan", JOB, "--only", "Press", "--format", "json"];
    let ended = bed.run(&only);
    ended.assert(0);
    bed.write("part.json", &ended.out);
    let said = complains(&bed, &["apply", "part.json"], 3);
    assert!(said.contains("only a part of a plan"), "{said}");
    // Whoever hides that it is one breaks the seal.
    let hidden = bed.read("part.json").replacen("\"only\":", "\"once\":", 1);
    bed.write("part.json", &hidden);
    let said = complains(&bed, &["apply", "part.json"], 3);
    assert!(said.contains("was edited"), "{said}");
    bed.assert_unwritten();

    let ended = bed.run(&[&only[..], &["--out", "plan.json"]].concat());
    ended.assert(0);
    assert!(ended.err.contains("Saved the whole plan"), "{}", ended.err);
    bed.run(&["apply", "plan.json"]).assert(0);
    let groups = bed.account("mail", |mail| mail.find_group("Donors"));
    assert!(groups.is_some(), "what was not shown was saved as well");
}

#[test]
fn what_is_unknown_and_what_has_nothing_to_do_are_told_apart() {
    let bed = Bed::new();
    bed.sync();
    bed.leave("Donors", 1);
    let said = complains(
        &bed,
        &["plan", JOB, "--only", "Dohnors", "--out", "plan.json"],
        2,
    );
    assert!(
        said.contains("nothing in this plan concerns \"Dohnors\""),
        "{said}"
    );
    assert!(!bed.path("plan.json").exists());
    for (only, said) in [
        ("Press", "Nothing in this plan concerns \"Press\"."),
        (
            "press1@example.org",
            "Nothing in this plan concerns press1@example.org.",
        ),
        (
            "who@example.org",
            "Nothing in this plan concerns who@example.org.",
        ),
        (
            "#no\u{1b}[31m",
            "Nothing in this plan concerns #no\\u{1b}[31m.",
        ),
    ] {
        let ended = bed.run(&["plan", JOB, "--only", only, "--detailed-exitcode"]);
        ended.assert(10);
        assert!(ended.out.contains(said), "{}", ended.out);
        assert!(
            ended.out.contains("shows 0 of 1 operation"),
            "{}",
            ended.out
        );
        assert!(
            ended
                .out
                .contains("The whole plan: 1 membership to remove."),
            "{}",
            ended.out
        );
    }
    let said = complains(
        &bed,
        &["plan", JOB, "--only", "Press", "--format", "html"],
        2,
    );
    assert!(said.contains("--only"), "{said}");
}

#[test]
fn a_loss_that_was_told_is_a_line_until_it_grows() {
    let bed = Bed::new();
    let told = |arguments: &[&str]| {
        let ended = bed.run(arguments);
        ended.assert(0);
        let known = ended.out.lines().find(|line| line.contains("known since"));
        let listed = ended.out.matches("\n  - time_zone (group): ").count();
        (listed, known.map(str::to_owned))
    };
    let json = || {
        let document = bed
            .run(&["plan", JOB, "--format", "json"])
            .json(&["losses"]);
        let losses = document["losses"].as_array().unwrap().clone();
        assert_eq!(document["summary"]["losses"], losses.len());
        losses
    };
    assert_eq!(told(&["plan", JOB]), (1, None));
    assert_eq!(told(&["plan", JOB]), (1, None), "a plan is no run");
    assert!(json().iter().all(|loss| loss.get("known_since").is_none()));
    assert_eq!(told(&["sync", JOB]), (1, None));
    let today = json()[0]["known_since"].as_str().unwrap()[..10].to_owned();
    let line = format!("1 loss known since {today}: `-v` lists it");
    for command in ["plan", "sync"] {
        assert_eq!(told(&[command, JOB]), (0, Some(line.clone())));
        let (listed, known) = told(&["-v", command, JOB]);
        assert_eq!(listed, 1);
        assert!(known.unwrap().ends_with(&format!("; known since {today}")));
    }
    // The assessment of a migration leaves nothing out.
    let ended = bed.run(&["migrate", JOB, "--assess"]);
    assert!(
        ended.out.contains("- time_zone (group): 6 values"),
        "{}",
        ended.out
    );

    bed.account("crm", |crm| {
        group_of(crm, "Another", "other", 1);
    });
    assert_eq!(told(&["plan", JOB]), (1, None), "it has grown");
    assert_eq!(json()[0]["count"], 7);
    bed.sync();
    let (listed, known) = told(&["plan", JOB]);
    assert!(listed == 0 && known.is_some(), "{known:?}");

    // Mended at the source, and there again a run later.
    let zone_all = |zone: &str| {
        bed.account("crm", |crm| {
            let groups: Vec<u64> = crm.groups.keys().copied().collect();
            for group in groups {
                zone.clone_into(&mut crm.group_mut(group).time_zone);
            }
        });
    };
    zone_all("");
    assert_eq!(told(&["sync", JOB]), (0, None));
    zone_all("America/Chicago");
    assert_eq!(told(&["plan", JOB]), (1, None), "it has come back");
}

/// A config of three jobs: one has something to do, one is refused by a guard, and one can't be made.
fn three_jobs(bed: &Bed) {
    let job = |name: &str, target: &str, group: &str, more: &str| {
        format!(
            "[jobs.{name}]\nsource = \"crm\"\ntarget = \"{target}\"\n{more}\n[jobs.{name}.groups]\ninclude = [\"{group}\"]\n"
        )
    };
    let guard = format!("[jobs.{JOB}.groups]\ninclude = [\"Donors\"]\n");
    let mut config = bed.config(&guard);
    config.push_str("\n[providers.dead]\nkind = \"emfluence\"\nbase_url = \"http://127.0.0.1:9/v1\"\naccess_token = { env = \"MAIL_TOKEN\" }\n[providers.dead.http]\nmax_retries = 0\n");
    config.push_str(&job("dead-end", "dead", "Board", ""));
    config.push_str(&job(
        "guarded",
        "mail",
        "Press",
        "[jobs.guarded.guards]\nmax_member_creations = 5",
    ));
    config.push_str(&job("idle", "mail", "Alumni", "enabled = false"));
    bed.write("rosterd.toml", &config);
}

#[test]
fn every_job_is_planned_and_one_that_fails_stops_no_other() {
    let bed = Bed::new();
    three_jobs(&bed);
    let ended = bed.run(&["plan", "--all", "--detailed-exitcode"]);
    ended.assert(1);
    for said in [
        "Plan for crm-to-mail: crm → mail",
        "No plan for dead-end: ",
        "Plan for guarded: crm → mail",
        "All jobs: planned 2 of 3 jobs; 1 paused or disabled.",
    ] {
        assert!(ended.out.contains(said), "{said}: {}", ended.out);
    }
    assert!(!ended.out.contains("idle"), "{}", ended.out);

    let ended = bed.run(&["plan", "--all", "--format", "json"]);
    ended.assert(1);
    let document = ended.json(&["plans"]);
    let plans = document["plans"].as_array().unwrap();
    let jobs: Vec<&Value> = plans.iter().map(|plan| &plan["job"]).collect();
    assert_eq!(jobs, ["crm-to-mail", "dead-end", "guarded"]);
    assert_eq!(plans[1]["outcome"], "failed");
    assert_eq!(plans[1]["exit_code"], 1);
    assert_eq!(plans[2]["refusals"][0]["guard"], "max_member_creations");
    bed.assert_unwritten();

    bed.run(&["pause", "dead-end"]).assert(0);
    bed.run(&["plan", "--all"]).assert(0);
    bed.run(&["plan", "--all", "--detailed-exitcode"]).assert(3);
    bed.run(&["pause", "guarded"]).assert(0);
    bed.run(&["plan", "--all", "--detailed-exitcode"])
        .assert(10);
    let ended = bed.run(&["plan", "--all", "--only", "Press"]);
    ended.assert(0);
    assert!(
        ended
            .out
            .contains("Nothing in this plan concerns \"Press\"."),
        "{}",
        ended.out
    );
    bed.run(&["plan", "--all", "--only", "Presse"]).assert(2);
    bed.run(&["pause", JOB]).assert(0);
    let ended = bed.run(&["plan", "--all", "--format", "json"]);
    ended.assert(0);
    assert_eq!(ended.json(&["plans"])["plans"], json!([]));
}

#[test]
fn a_job_is_named_only_where_there_are_several() {
    let bed = Bed::new();
    let ended = bed.run(&["plan"]);
    ended.assert(0);
    assert!(
        ended.out.starts_with("Plan for crm-to-mail"),
        "{}",
        ended.out
    );
    three_jobs(&bed);
    let said = complains(&bed, &["plan"], 2);
    assert!(
        said.contains("dead-end") && said.contains("--all"),
        "{said}"
    );
    for more in [&["--out", "plans.json"][..], &["--format", "html"]] {
        let said = complains(&bed, &[&["plan", "--all"], more].concat(), 2);
        assert!(said.contains("one job"), "{said}");
    }
    complains(&bed, &["plan", JOB, "--all"], 2);
    assert!(!bed.path("plans.json").exists());
}

/// Fails where a command is shown that would need the config to be named once more.
fn assert_typed_as_it_stands(shown: &str) {
    for line in shown.lines() {
        for begin in ["`rosterd ", "<code>rosterd ", "<pre>rosterd "] {
            for (at, _) in line.match_indices(begin) {
                let command = &line[at + begin.len()..];
                assert!(command.starts_with("--config 'the other.toml' "), "{line}");
            }
        }
        let begins = line.trim_start();
        if let Some(command) = begins.strip_prefix("rosterd ") {
            assert!(command.starts_with("--config 'the other.toml' "), "{line}");
        }
    }
}

#[test]
fn what_is_shown_can_be_typed_as_it_stands() {
    let mut world = small_world();
    let crm = world.account_mut("crm");
    let board = crm.find_group("Board").unwrap();
    let spoilt = crm.add_contact("ana@@example.org");
    crm.join(board, spoilt);
    let bed = Bed::over(world);
    let guard = "[jobs.crm-to-mail.guards]\nmax_member_creations = 5\n";
    let config = format!("{}\n{guard}", bed.read("rosterd.toml"));
    bed.write("the other.toml", &config);
    std::fs::remove_file(bed.path("rosterd.toml")).unwrap();
    let other = |arguments: &[&str]| {
        let typed = ["--config", "the other.toml"];
        bed.run(&[&typed[..], arguments].concat())
    };
    for arguments in [
        &["plan"][..],
        &["plan", "--format", "html"],
        &["plan", "--out", "plan.json"],
        &["plan", "--out", "plan.json", "--format", "html"],
        &["sync", JOB],
        &["migrate", "--assess"],
        &["rehearse"],
        &["apply", "plan.json"],
        &["plan", "no-such-job"],
        &["plan", "--only", "No such group"],
        &["migrate", "--from", "crm", "--to", "mail", "--yes"],
    ] {
        let ended = other(arguments);
        let shown = format!("{}\n{}", ended.out, ended.err);
        assert!(shown.contains("--config 'the other.toml'"), "{shown}");
        assert_typed_as_it_stands(&shown);
    }
    // What a person does about an item names the job.
    let plan = other(&["plan"]);
    let remedy = "`jobs.crm-to-mail.members.where`";
    assert!(plan.out.contains(remedy), "{}", plan.out);
    let json = other(&["plan", "--format", "json"]);
    assert!(!json.out.contains("--config"), "{}", json.out);
    assert!(json.out.contains(remedy), "{}", json.out);

    // Programs are told the same commands as people.
    let rehearsed = other(&["rehearse", "--format", "json"]).json(&["command", "refused"]);
    let mut commands = rehearsed["refused"]["commands"].as_array().unwrap().clone();
    commands.push(rehearsed["command"].clone());
    assert!(commands.len() > 1);
    for command in commands {
        let begin = "rosterd --config 'the other.toml' ";
        assert!(command.as_str().unwrap().starts_with(begin), "{command}");
    }
    let failed = other(&["apply", "plan.json", "--format", "json"]).json(&["error"]);
    let hint = failed["error"]["hints"][0].as_str().unwrap();
    let command = "rosterd --config 'the other.toml' apply plan.json --approve ";
    assert!(hint.contains(command), "{hint}");

    bed.write("the other.toml", &config.replace(guard, ""));
    let saved = other(&["plan", "--out", "my plan.json"]);
    saved.assert(0);
    let next =
        "Next: `rosterd --config 'the other.toml' apply 'my plan.json'` applies exactly this";
    assert!(saved.out.contains(next), "{}", saved.out);
    assert!(!saved.out.contains("--out FILE"), "{}", saved.out);
    other(&["apply", "my plan.json"]).assert(4);
    // The environment is there for the next command as well, and so is nothing.
    bed.write("rosterd.toml", &config);
    let plain = bed.line("status");
    assert!(!plain.out.contains("--config") && !plain.err.contains("--config"));
}

#[test]
fn names_that_look_like_commands_stay_as_they_are() {
    let names = [
        "see: rosterd plan it",
        "`rosterd undo x`",
        "rosterd sync now",
        "a > rosterd groups",
    ];
    let mut world = small_world();
    let crm = world.account_mut("crm");
    let board = crm.find_group("Board").unwrap();
    let (contact, _) = crm.members_of(board)[0];
    for name in names {
        let group = crm.add_group(name);
        crm.join(group, contact);
    }
    let bed = Bed::over(world);
    // A quote in the name would end a text of the page's data.
    let config = "a\"b & c.toml";
    bed.write(config, &bed.read("rosterd.toml"));
    let escaped = "rosterd --config 'a\"b &amp; c.toml' ";
    for arguments in [
        &["plan", JOB, "-v"][..],
        &["plan", JOB, "--format", "html"],
        &["links", JOB],
        &["groups", "crm"],
        &["migrate", JOB, "--assess"],
    ] {
        let plain = bed.run(arguments);
        let typed = bed.run(&[&["--config", config], arguments].concat());
        assert_eq!(typed.code, plain.code);
        if arguments[0] == "plan" {
            let is_page = arguments.contains(&"html");
            let command = "rosterd --config 'a\"b & c.toml' ";
            let command = if is_page { escaped } else { command };
            assert!(typed.out.contains(command), "{}", typed.out);
        }
        // Without what was typed it is the same, and what was typed stands in no name.
        for (typed, plain) in typed.out.lines().zip(plain.out.lines()) {
            let shown = typed.replace(" --config 'a\"b & c.toml'", "");
            let shown = shown.replace(" --config 'a\"b &amp; c.toml'", "");
            // The page says when it was made, and of which config.
            if !plain.starts_with("<dt>") {
                assert_eq!(shown, plain);
            }
        }
        for name in names {
            let name = name.replace(
                '>',
                if arguments.contains(&"html") {
                    "&gt;"
                } else {
                    ">"
                },
            );
            let count = |text: &str| text.matches(&name).count();
            assert_eq!(
                count(&typed.out),
                count(&plain.out),
                "{name}: {}",
                typed.out
            );
        }
    }
    let page = bed.run(&["--config", config, "plan", JOB, "--format", "html"]);
    let (_, data) = page.out.split_once("id=\"data\">").unwrap();
    let (data, _) = data.split_once("</script>").unwrap();
    let data: Value = serde_json::from_str(data).unwrap();
    let groups = data.to_string();
    assert!(names.iter().all(|name| groups.contains(name)), "{groups}");
}
