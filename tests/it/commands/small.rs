//! Small things that a person meets: what help says, what is said of a failure, which job is meant.

use super::bed::{Bed, JOB};

/// Every command that is about a job or an account, as it is typed with these.
const COMMANDS: [&str; 18] = [
    "plan JOB",
    "sync JOB",
    "migrate JOB --assess",
    "history JOB",
    "failures JOB",
    "retry JOB",
    "accept JOB item",
    "links JOB",
    "link JOB 1 2",
    "unlink JOB 1",
    "pause JOB",
    "resume JOB",
    "explain Donors --job JOB",
    "groups PROVIDER",
    "export PROVIDER --out copy",
    "migrate --from PROVIDER --to mail --assess",
    "show RUN",
    "members Nobody --at 2026-01-01",
];

#[test]
fn one_cause_has_one_exit_code_in_every_command() {
    let bed = Bed::new();
    for command in COMMANDS {
        let line = command
            .replace("JOB", "no-such-job")
            .replace("PROVIDER", "no-such-provider")
            .replace("RUN", "2026");
        let ended = bed.line(&line);
        ended.complaint(2);
        // No directory for the state database.
        let line = command
            .replace("JOB", JOB)
            .replace("PROVIDER", "crm")
            .replace("RUN", "2026");
        let ended = bed.line(&format!("{line} --state none/rosterd.db"));
        if ended.code != Some(0) {
            ended.complaint(2);
        }
        let ended = bed.line(&format!("{line} --config none.toml"));
        ended.complaint(2);
    }
    bed.assert_unwritten();
}

#[test]
fn a_program_that_asked_for_json_is_told_of_a_failure_as_well() {
    let bed = Bed::new();
    for (line, code) in [
        ("plan no-such-job --format json", 2),
        ("plan crm-to-mail --state none/rosterd.db --format=json", 2),
        ("show 2026 --format json", 2),
        ("members Donors --at 2026-01-01 --format json", 2),
        ("groups nobody --format json", 2),
    ] {
        let ended = bed.line(line);
        ended.assert(code);
        let error = &ended.json(&["error"])["error"];
        assert_eq!(error["exit_code"], code, "{line}: {error}");
        let message = error["message"].as_str().unwrap();
        assert!(
            ended.err.contains(message) && !message.is_empty(),
            "{line}: {}\n{}",
            ended.out,
            ended.err
        );
    }
    bed.emulator.with_world(|world| {
        world.account_mut("mail").groups.clear();
    });
    let ended = bed.end(
        bed.command(&["plan", JOB, "--format", "json"])
            .env("MAIL_TOKEN", "wrong"),
    );
    ended.assert(1);
    assert_eq!(ended.json(&["error"])["error"]["exit_code"], 1);
}

#[test]
fn the_only_job_need_not_be_named() {
    let bed = Bed::new();
    bed.sync();
    for line in [
        "sync",
        "links",
        "failures",
        "history",
        "pause",
        "resume",
        "retry",
        "accept --list",
    ] {
        bed.line(line).assert(0);
    }
    bed.line("pause").assert(0);
    let written = bed.writes().len();
    let said = bed.line("sync");
    assert!(said.complaint(3).contains("paused"), "{}", said.err);
    assert_eq!(bed.writes().len(), written);
    bed.line("sync crm-to-mail").assert(0);
    bed.line("resume").assert(0);
    let said = bed.line("accept nothing-of-that");
    assert!(
        said.complaint(2)
            .contains("there is none with the id \"nothing-of-that\""),
        "{}",
        said.err
    );
    bed.line("accept").complaint(2);
    let second = bed.config("").replace("[jobs.crm-to-mail]", "[jobs.other]");
    let (_, second) = second.split_once("[jobs.other]").unwrap();
    let both = bed.config("adopt = \"x\"").replace("adopt = \"x\"", "");
    bed.write(
        "rosterd.toml",
        &format!("{both}\n[jobs.other]{second}\n[jobs.other.groups]\ninclude = [\"None*\"]\n"),
    );
    for line in [
        "links",
        "pause",
        "resume",
        "retry",
        "accept --list",
        "sync",
        "link 1 2",
        "unlink 1",
    ] {
        let ended = bed.line(line);
        let said = ended.complaint(2);
        assert!(
            said.contains("crm-to-mail") && said.contains("other"),
            "{line}: {said}"
        );
    }
}

#[test]
fn a_second_pause_keeps_the_first_reason() {
    let bed = Bed::new();
    for arguments in [
        &["pause", JOB, "--reason", "the CRM moves"][..],
        &["pause", JOB, "--reason", "holidays"],
        &["pause", JOB, "--reason", "holidays"],
        &["pause", JOB],
    ] {
        bed.run(arguments).assert(0);
    }
    let ended = bed.line("status");
    assert!(
        ended.out.contains(": the CRM moves; holidays\n"),
        "{}",
        ended.out
    );
    bed.run(&["resume", JOB]).assert(0);
    bed.run(&["pause", JOB]).assert(0);
    assert!(bed.line("status").out.contains(": paused by hand\n"));
}

#[test]
fn a_key_that_stands_twice_is_named_with_its_first_place() {
    let bed = Bed::new();
    let secret = "canary-in-plain-text";
    for (text, said) in [
        (
            "[providers.crm]\nkind = \"greenrope\"\n\nkind = \"emfluence\"\n".to_owned(),
            "`kind` stands twice in `[providers.crm]`: first in line 2",
        ),
        (
            "[jobs.a]\nsource = \"x\"\n[jobs.b]\nsource = \"x\"\n[jobs . \"a\"]\n".to_owned(),
            "`[jobs.a]` stands twice: first in line 1",
        ),
        (
            format!("[providers.crm]\npassword = \"{secret}\"\npassword = \"{secret}\"\n"),
            "`password` stands twice in `[providers.crm]`: first in line 2",
        ),
    ] {
        bed.write("rosterd.toml", &text);
        let ended = bed.line("check");
        ended.assert(2);
        let all = format!("{}{}", ended.out, ended.err);
        assert!(all.contains(said), "{all}");
        assert!(!all.contains(secret), "{all}");
    }
}

#[test]
fn a_wrong_address_is_not_taken_for_a_wrong_login() {
    let bed = Bed::with_campaigns(super::bed::small_world());
    let config = bed.read("rosterd.toml");
    for (provider, right, wrong) in [
        ("mail", "/emfluence/v1", "/emfluences/v1"),
        ("crm", "/greenrope/api-xml", "/greenrope/api"),
        ("campaigns", "/activecampaign\"", "/activecampaigns\""),
    ] {
        bed.write("rosterd.toml", &config.replace(right, wrong));
        let ended = bed.run(&["groups", provider]);
        let said = ended.complaint(1);
        assert!(
            said.contains("base_url") && said.contains(&format!("providers.{provider}")),
            "{said}"
        );
        assert!(!said.contains("check access_token"), "{said}");
    }
}

#[test]
fn help_is_about_the_command_and_the_guide_has_chapters() {
    let bed = Bed::new();
    let ended = bed.line("links --help");
    ended.assert(0);
    assert!(
        !ended.out.contains("ROSTERD_CONFIG") && ended.out.contains("Every command takes --config"),
        "{}",
        ended.out
    );
    let ended = bed.line("--help");
    assert!(ended.out.contains("ROSTERD_CONFIG"), "{}", ended.out);
    let ended = bed.line("help");
    ended.assert(0);
    for word in ["Usage: rosterd", "ROSTERD_CONFIG", "mapping", "service"] {
        assert!(ended.out.contains(word), "{word}: {}", ended.out);
    }
    let ended = bed.line("help plan");
    ended.assert(0);
    assert!(ended.out.contains("Usage: rosterd plan"), "{}", ended.out);
    for topic in [
        "mapping",
        "consent",
        "guards",
        "recovery",
        "providers",
        "service",
        "Mapping",
    ] {
        let ended = bed.run(&["help", topic]);
        ended.assert(0);
        assert!(ended.out.lines().count() > 20, "{topic}: {}", ended.out);
        assert!(!ended.out.contains('\u{1b}'));
    }
    let ended = bed.line("help maping");
    assert!(ended.complaint(2).contains("rosterd help mapping"));
    bed.line("help plan nothing").complaint(2);
    // Options of every command still stand before and after it.
    bed.line("-v links --config rosterd.toml --log-format json")
        .assert(0);
}

#[test]
fn the_job_of_a_pair_is_known_where_there_is_no_other() {
    let bed = Bed::new();
    let config = bed.config("");
    let (providers, _) = config.split_once("[jobs.crm-to-mail]").unwrap();
    bed.write("rosterd.toml", providers);
    for line in ["sync", "plan", "resume"] {
        let ended = bed.line(line);
        let said = ended.complaint(2);
        assert!(
            said.contains("rosterd migrate --from") && !said.contains("--all"),
            "{line}: {said}"
        );
    }
    let status = bed.line("status");
    assert!(
        status
            .out
            .starts_with("The service is not running, and none is needed: no job has a schedule."),
        "{}",
        status.out
    );
    bed.line("migrate --from crm --to mail --yes").assert(0);
    for line in [
        "sync",
        "sync crm-to-mail",
        "failures",
        "failures crm-to-mail",
        "links",
        "plan",
        "pause",
        "resume",
        "pause crm-to-mail",
        "resume crm-to-mail",
        "retry",
        "retry crm-to-mail",
        "accept --list",
        "accept crm-to-mail --list",
        "members Donors",
        "schedule",
    ] {
        bed.line(line).assert(0);
    }
    let now = jiff::Timestamp::now().to_string();
    bed.run(&["members", "Donors", "--at", &now]).assert(0);
    for line in ["rehearse", "rehearse crm-to-mail"] {
        let ended = bed.line(line);
        assert!(ended.out.starts_with("Rehearsal of"), "{}", ended.err);
    }
    let schedule = bed.line("schedule");
    assert!(schedule.out.contains("crm-to-mail"), "{}", schedule.out);
    let status = bed.line("status");
    status.assert(0);
    assert!(status.out.contains("crm-to-mail"), "{}", status.out);
    let links = bed.run(&["links", "--format", "json"]).json(&["links"]);
    let source = links["links"][0]["source"].as_str().unwrap().to_owned();
    let target = links["links"][0]["target"].as_str().unwrap().to_owned();
    bed.run(&["unlink", &source]).assert(0);
    bed.run(&["link", &source, &target]).assert(0);
    bed.run(&["unlink", JOB, &source]).assert(0);
    bed.run(&["link", JOB, &source, &target]).assert(0);
}

#[test]
fn a_name_that_nobody_knows_is_no_empty_list() {
    let bed = Bed::new();
    bed.sync();
    let run = bed.newest_run();
    let shown = bed.run(&["show", &run, "--group", "dONORS "]);
    shown.assert(0);
    assert!(shown.out.contains("\"Donors\""), "{}", shown.out);
    for (arguments, said, hint) in [
        (
            vec!["show", &run, "--group", "Dono"],
            "\"Dono\"",
            "did you mean \"Donors\"?",
        ),
        (
            vec!["show", &run, "--group", "zzzzzz"],
            "\"zzzzzz\"",
            "rosterd links",
        ),
        (
            vec!["show", &run, "--person", "nobody@example.org"],
            "the person who was asked for",
            &format!("`rosterd show {run} -v`"),
        ),
        (
            vec!["show", &run, "--op", "create_grup"],
            "create_grup",
            "create_group",
        ),
        (
            vec!["plan", "--only", "Dono"],
            "\"Dono\"",
            "did you mean \"Donors\"?",
        ),
        (
            vec!["explain", "Dono"],
            "\"Dono\"",
            "did you mean \"Donors\"?",
        ),
        (vec!["members", "Dono"], "\"Dono\"", "\"Donors\""),
        (
            vec!["history", "crm-to-mial"],
            "crm-to-mial",
            "did you mean \"crm-to-mail\"?",
        ),
        (
            vec!["failures", "crm-to-mial"],
            "crm-to-mial",
            "did you mean \"crm-to-mail\"?",
        ),
        (
            vec!["links", "crm-to-mial"],
            "crm-to-mial",
            "did you mean \"crm-to-mail\"?",
        ),
    ] {
        let ended = bed.run(&arguments);
        let complaint = ended.complaint(2);
        assert!(
            complaint.contains(said) && complaint.contains(hint) && ended.out.is_empty(),
            "{arguments:?}: {complaint}{}",
            ended.out
        );
    }
    // What the run did nothing to is an answer where the job knows it.
    bed.run(&["show", &run, "--group", "Donors"]).assert(0);
    bed.sync();
    let run = bed.newest_run();
    bed.run(&["show", &run, "--group", "Donors"]).assert(0);
}

#[test]
fn what_was_typed_wrongly_is_told_as_json_as_well() {
    let bed = Bed::new();
    for line in [
        "plan --no-such-option --format json",
        "show --format=json",
        "show 1 --op nothing --format json",
        "plann --format json",
        "sync --all crm-to-mail --format json",
    ] {
        let ended = bed.line(line);
        ended.assert(2);
        let error = &ended.json(&["error"])["error"];
        assert_eq!(error["exit_code"], 2, "{line}: {error}");
        let message = error["message"].as_str().unwrap();
        assert!(
            !message.is_empty() && !message.contains("error:"),
            "{line}: {error}"
        );
        let first = message
            .split_whitespace()
            .take(3)
            .collect::<Vec<_>>()
            .join(" ");
        assert!(ended.err.contains(&first), "{line}: {error}\n{}", ended.err);
    }
    for line in ["plan --no-such-option", "show --help --format json"] {
        let ended = bed.line(line);
        assert!(!ended.out.contains("exit_code"), "{line}: {}", ended.out);
    }
}

#[test]
fn a_demo_that_shall_wait_for_enter_needs_a_terminal() {
    let bed = Bed::new();
    let ended = bed.line("demo --pause");
    let complaint = ended.complaint(2);
    assert!(
        complaint.contains("--pause") && ended.out.is_empty(),
        "{complaint}"
    );
}
