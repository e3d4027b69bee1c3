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
        "sync",
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
