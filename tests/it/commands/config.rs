//! What is wrong before the first request: the config, the names of jobs, and how secrets are
//! given.

use super::bed::Bed;

#[test]
fn every_problem_of_a_config_is_named_at_once() {
    let bed = Bed::new();
    bed.write(
        "rosterd.toml",
        "[providers.crm]\nkind = \"greenrope\"\nacount_id = \"1\"\nemail = \"ops@example.org\"\npassword = \"hunter2-canary\"\n\n\
         [jobs.a]\nsource = \"crm\"\ntarget = \"mail\"\nmode = \"mirorr\"\nschedule = \"61 * * * *\"\n",
    );
    let ended = bed.line("sync a");
    ended.assert(2);
    assert_eq!(ended.out, "");
    for (place, words) in [
        ("rosterd.toml:3:1", "`account_id`"),
        ("rosterd.toml:5:", "password"),
        ("rosterd.toml:9:", "mail"),
        ("rosterd.toml:10:", "mirror"),
        ("rosterd.toml:11:", "61"),
    ] {
        assert!(
            ended.err.contains(place) && ended.err.contains(words),
            "{place} {words}\n{}",
            ended.err
        );
    }
    assert!(
        !ended.err.contains("hunter2-canary"),
        "a secret is never shown, not even a misplaced one:\n{}",
        ended.err
    );
    let checked = bed.line("check --format json");
    checked.assert(2);
    let found = checked.json(&["ok", "findings"]);
    assert!(
        found["findings"].as_array().unwrap().len() >= 5 && found["ok"] == false,
        "{found}"
    );
    assert!(!checked.out.contains("hunter2-canary"));
    assert_eq!(bed.emulator.requests(), []);
    assert!(!bed.path("rosterd.db").exists());
}

#[test]
fn a_mistyped_job_is_answered_with_the_nearest_one() {
    let bed = Bed::new();
    for command in [
        "plan crm-to-mial",
        "sync crm-to-mial",
        "retry crm-to-mial",
        "pause crm-to-mial",
        "link crm-to-mial 1 2",
    ] {
        let ended = bed.line(command);
        let said = ended.complaint(2);
        assert!(
            said.contains(
                "there is no job \"crm-to-mial\" in the config; did you mean \"crm-to-mail\"?"
            ),
            "{command}: {said}"
        );
    }
    for command in ["history nobody", "failures nobody"] {
        bed.line(command).complaint(2);
    }
    assert_eq!(bed.emulator.requests(), []);
    assert!(
        !bed.path("rosterd.db").exists(),
        "asking for a job that does not exist makes no database"
    );
}

#[test]
fn a_missing_config_says_how_to_get_one() {
    let bed = Bed::new();
    let ended = bed.line("--config elsewhere.toml status");
    insta::assert_snapshot!(ended.complaint(2), @"error: there is no config file elsewhere.toml; name one with --config or ROSTERD_CONFIG, or write one with `rosterd init`");
}

#[test]
fn a_missing_secret_is_found_before_the_first_request() {
    let bed = Bed::new();
    let ended = bed.end(
        bed.command(&["sync", "crm-to-mail"])
            .env_remove("MAIL_TOKEN"),
    );
    let said = ended.complaint(2);
    assert!(
        said.contains("`providers.mail.access_token`") && said.contains("`MAIL_TOKEN` is not set"),
        "{said}"
    );
    assert_eq!(bed.emulator.requests(), []);
}

#[test]
fn usage_ends_with_2_and_help_with_0() {
    let bed = Bed::new();
    for line in [
        "",
        "frobnicate",
        "sync --all crm-to-mail",
        "sync crm-to-mail --force",
        "plan crm-to-mail --format yaml",
    ] {
        let ended = bed.line(line);
        ended.assert(2);
        assert_eq!(ended.out, "", "{line}");
    }
    for line in ["--help", "help sync", "-V", "plan -h"] {
        let ended = bed.line(line);
        ended.assert(0);
        assert_eq!(ended.err, "", "{line}");
    }
}

#[test]
fn check_finds_what_a_run_would_miss_on_this_machine() {
    let bed = Bed::new();
    bed.line("check").assert(0);
    let ended = bed.end(bed.command(&["check"]).env_remove("MAIL_TOKEN"));
    ended.assert(2);
    assert!(
        ended.out.contains("`MAIL_TOKEN` is not set"),
        "{}",
        ended.out
    );
    let ended = bed.end(
        bed.command(&["check", "--format", "json"])
            .env_remove("MAIL_TOKEN"),
    );
    ended.assert(2);
    let found: serde_json::Value = serde_json::from_str(&ended.out).unwrap();
    assert_eq!(found["ok"], false);
    assert_eq!(found["unusable"].as_array().unwrap().len(), 1, "{found}");
    let ended = bed.line("--state missing/rosterd.db check");
    ended.assert(2);
    assert!(
        ended.out.contains("no directory to live in"),
        "{}",
        ended.out
    );
    assert_eq!(bed.emulator.requests(), []);
}

#[test]
fn a_service_without_a_schedule_has_nothing_to_run() {
    let bed = Bed::new();
    for (job, remedy) in [
        (
            "",
            "add `schedule = \"*/15 * * * *\"` below `[jobs.crm-to-mail]`",
        ),
        (
            "schedule = \"* * * * *\"\nenabled = false",
            "take `enabled = false` out of `[jobs.crm-to-mail]`",
        ),
    ] {
        bed.configure(job);
        let ended = bed.line("run");
        let said = ended.complaint(2);
        assert!(said.contains("there is nothing to run"), "{said}");
        assert!(said.contains(remedy), "{said}");
    }
    assert!(!bed.path("rosterd.db").exists());
}

#[test]
fn a_job_that_is_left_to_others_is_shown_as_such_and_not_run_here() {
    let bed = Bed::new();
    let here = |patterns: &str| {
        let config = bed.config("schedule = \"*/15 * * * *\"");
        bed.write(
            "rosterd.toml",
            &format!("{config}\n[daemon]\njobs = {patterns}\n"),
        );
    };
    here("[\"other-*\"]");
    let ended = bed.line("run");
    let said = ended.complaint(2);
    assert!(said.contains("`daemon.jobs` leaves every job"), "{said}");
    assert!(said.contains("`[\"*\"]` matches all"), "{said}");
    let check = bed.line("check");
    check.assert(0);
    let said = format!("{}{}", check.out, check.err);
    assert!(
        said.contains("names no job of the config by `other-*`"),
        "{said}"
    );
    assert!(said.contains("left to others"), "{said}");
    let status = bed.line("status --check");
    status.assert(0);
    assert!(status.out.contains("left to others"), "{}", status.out);
    let schedule = bed.line("schedule --format json").json(&["jobs"]);
    assert_eq!(schedule["jobs"][0]["runs_here"], false);

    here("[\"crm-*\"]");
    bed.line("status --check").assert(1);
    let status = bed.line("status --format json").json(&["jobs"]);
    assert_eq!(status["jobs"][0]["runs_here"], true);
    assert_eq!(status["needs_a_person"], true, "no service is there");
}

#[test]
fn one_account_under_two_names_is_no_job() {
    let bed = Bed::new();
    let [password, token] = bed.secrets();
    let config = bed.config("");
    let address = config
        .lines()
        .find_map(|line| {
            line.strip_prefix("base_url = \"")?
                .strip_suffix("/emfluence/v1\"")
        })
        .unwrap()
        .to_owned();
    let second = |url: &str| {
        format!(
            "[providers.again]\nkind = \"emfluence\"\nbase_url = \"{url}/emfluence/v1\"\naccess_token = {{ env = \"AGAIN\" }}\n[jobs.circle]\nsource = \"again\"\ntarget = \"mail\"\n"
        )
    };
    for url in [address.clone(), address.replace("127.0.0.1", "localhost")] {
        bed.write("rosterd.toml", &format!("{config}\n{}", second(&url)));
        for line in ["check", "plan circle", "sync circle"] {
            let words: Vec<&str> = line.split(' ').collect();
            let ended = bed.end(bed.command(&words).env("AGAIN", &token));
            ended.assert(2);
            let said = format!("{}{}", ended.out, ended.err);
            assert!(said.contains("one and the same account"), "{line}: {said}");
        }
    }
    let twice = config
        .replace(
            "kind = \"emfluence\"",
            "kind = \"greenrope\"\naccount_id = \"45429 \"\nemail = \"other@crm.test\"",
        )
        .replace("/emfluence/v1", "/greenrope/api-xml/")
        .replace("access_token", "password");
    bed.write("rosterd.toml", &twice);
    let ended = bed.end(
        bed.command(&["sync", "crm-to-mail"])
            .env("MAIL_TOKEN", &password),
    );
    let said = format!("{}{}", ended.out, ended.err);
    assert_eq!(ended.code, Some(2), "{said}");
    assert!(said.contains("one and the same account"), "{said}");
    assert_eq!(bed.emulator.requests(), []);
}

#[test]
fn a_pattern_that_matches_no_group_is_named() {
    let bed = Bed::new();
    bed.configure("[jobs.crm-to-mail.groups]\ninclude = [\"Donors\", \"Dnors*\", \"id:99\"]");
    for line in ["plan crm-to-mail", "sync crm-to-mail", "check --online"] {
        let ended = bed.line(line);
        ended.assert(0);
        for pattern in ["Dnors*", "id:99"] {
            assert!(
                ended.out.contains(&format!(
                    "The pattern \"{pattern}\" in `jobs.crm-to-mail.groups.include` matches no group of crm."
                )),
                "{line}: {}",
                ended.out
            );
        }
        assert!(!ended.out.contains("\"Donors\" in `jobs"), "{}", ended.out);
    }
}

#[test]
fn a_pin_to_a_group_that_exists_nowhere_is_told_and_stops_nothing_else() {
    let bed = Bed::new();
    let donors = bed.account("crm", |crm| crm.find_group("Donors").unwrap());
    for pin in [
        format!("\"{donors}\" = \"987654\""),
        "\"987654\" = \"4711\"".to_owned(),
    ] {
        bed.configure(&format!("[jobs.crm-to-mail.groups]\npin = {{ {pin} }}"));
        let ended = bed.line("plan crm-to-mail");
        ended.assert(0);
        assert!(
            ended.out.contains("pin` names 987654") && ended.out.contains("has no such group"),
            "{}",
            ended.out
        );
    }
    bed.assert_unwritten();
}
