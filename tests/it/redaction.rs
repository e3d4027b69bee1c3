//! Rule 7: secrets and request bodies reach no log, error, report or database. Marked ones are
//! planted, whole commands run at their loudest, and everything that was written anywhere is
//! searched.

use std::path::Path;
use std::process::Command;

use rosterd::emulator::{Fault, FaultRule, Rights, When, World};
use rosterd::http::{Account, AccountOptions, NetworkOptions, Transport};
use rosterd::provider::activecampaign::{
    ActiveCampaign, ActiveCampaignGroups, ActiveCampaignOptions,
};
use rosterd::provider::emfluence::{Emfluence, EmfluenceOptions};
use rosterd::provider::greenrope::{GreenRope, GreenRopeCredential, GreenRopeOptions};
use rosterd::run::SyncOptions;
use rosterd::state::JournalMoment;

use crate::commands::bed::{Bed, Ended, JOB, small_world};
use crate::support::{bench, group_of, plain_world};

/// What marks a secret: a password, a token, a key.
const SECRET: &str = "canary-secret-";
/// What marks a value that requests carry: it may stand in plans and in the database, and in no log
/// and no error.
const VALUE: &str = "canary-value-";

/// Everything that commands have said, by command.
#[derive(Default)]
struct Said(Vec<(String, String)>);

impl Said {
    fn take(&mut self, what: &str, ended: &Ended) {
        self.0
            .push((format!("{what}, standard output"), ended.out.clone()));
        self.0
            .push((format!("{what}, standard error"), ended.err.clone()));
        let error = (format!("{what}, standard error"), ended.err.as_str());
        assert!(
            !error.1.contains(VALUE),
            "{}: a value of a request\n{}",
            error.0,
            error.1
        );
        assert!(!error.1.contains("panicked"), "{}\n{}", error.0, error.1);
    }

    fn assert_clean(&self) {
        for (what, text) in &self.0 {
            assert!(!text.contains(SECRET), "{what}: {text}");
        }
    }
}

/// Fails when a file below a folder holds a secret, byte for byte.
fn assert_clean_files(folder: &Path, sparing: &[&str]) -> usize {
    let mut seen = 0;
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            seen += assert_clean_files(&path, sparing);
        } else if !sparing.contains(&path.file_name().unwrap().to_str().unwrap()) {
            let bytes = std::fs::read(&path).unwrap();
            assert!(
                !bytes
                    .windows(SECRET.len())
                    .any(|window| window == SECRET.as_bytes()),
                "{} holds a secret",
                path.display()
            );
            seen += 1;
        }
    }
    seen
}

/// The small world with marked secrets and marked values.
fn marked_world() -> World {
    let mut world = small_world();
    for account in &mut world.accounts {
        for login in &mut account.logins {
            login.password = format!("{SECRET}password-{}", account.name);
            login.token = format!("{SECRET}token-{}", account.name);
        }
    }
    let crm = world.account_mut("crm");
    let contacts: Vec<u64> = crm.contacts.keys().copied().take(20).collect();
    for contact in contacts {
        let city = format!("{VALUE}{contact}");
        crm.change_contact(contact, [("city", city.as_str())], []);
    }
    world
}

const COMMANDS: &[&str] = &[
    "check",
    "check --format json",
    "check --online",
    "plan crm-to-mail",
    "plan crm-to-mail --format html",
    "plan crm-to-mail --out plan.json",
    "apply plan.json",
    "apply plan.json --format json",
    "sync crm-to-mail --format json",
    "failures",
    "failures --format json",
    "retry crm-to-mail",
    "history --format json",
    "status",
    "status --format json",
    "schedule",
    "schema",
];

#[test]
fn no_command_says_or_writes_a_secret() {
    let bed = Bed::over(marked_world());
    let mut said = Said::default();
    for format in ["text", "json"] {
        for command in COMMANDS {
            let line = format!("-vvv --log-format {format} {command}");
            let ended = bed.line(&line);
            assert!(
                matches!(ended.code, Some(0 | 3)),
                "{line}: {:?}\n{}",
                ended.code,
                ended.err
            );
            said.take(&line, &ended);
        }
        bed.leave("Donors", 1);
    }
    let runs = bed.line("history --format json").json(&["runs"]);
    for run in runs["runs"].as_array().unwrap() {
        let run = run["run"].as_str().unwrap();
        said.take("show", &bed.run(&["-vvv", "show", run]));
        said.take(
            "show as JSON",
            &bed.run(&["-vvv", "show", run, "--format", "json"]),
        );
    }
    said.assert_clean();
    assert!(
        assert_clean_files(&bed.path(""), &[]) >= 4,
        "the database, its log, the config and the plan"
    );
}

#[test]
fn no_failure_says_or_writes_a_secret() {
    let faults = [
        Fault::HtmlWith200,
        Fault::TruncatedBody,
        Fault::MissingList,
        Fault::ServerError(500),
        Fault::TooManyRequests {
            retry_after: Some(86_400),
        },
        Fault::ResetAfterEffect,
        Fault::PartialBatchFailure { every: 2 },
        Fault::PoisonItem("donor3@example.org".to_owned()),
    ];
    let bed = Bed::over(marked_world());
    let mut said = Said::default();
    for fault in faults {
        for account in ["crm", "mail"] {
            bed.emulator.add_fault(
                FaultRule::every(fault.clone())
                    .at(account)
                    .when(When::EachNth(3)),
            );
            let ended = bed.run(&["-vvv", "sync", JOB]);
            said.take(&format!("{} at {account}", fault.name()), &ended);
            bed.emulator.clear_faults();
        }
    }
    bed.account("mail", |mail| {
        mail.logins[0].rights = Rights {
            contacts_edit: false,
            create_groups: false,
            ..Rights::all()
        }
    });
    bed.leave("Press", 1);
    said.take("no rights", &bed.run(&["-vvv", "sync", JOB]));
    for (variable, value) in [
        ("MAIL_TOKEN", "wrong-token"),
        ("CRM_PASSWORD", "wrong-password"),
    ] {
        let mut command = bed.command(&["-vvv", "sync", JOB]);
        said.take(
            variable,
            &bed.end(command.env(variable, format!("{SECRET}{value}"))),
        );
    }
    bed.write("secret", &format!("{SECRET}file\nand more\n"));
    let config = bed.read("rosterd.toml");
    for (what, way) in [
        ("a file", "{ file = \"secret\" }".to_owned()),
        (
            "a command",
            format!(
                "{{ command = [\"/bin/sh\", \"-c\", \"echo {SECRET}$((1+1)); echo {SECRET}err >&2; exit 3\"] }}"
            ),
        ),
        ("plain text", format!("\"{SECRET}plain\"")),
    ] {
        bed.write(
            "rosterd.toml",
            &config.replace("{ env = \"MAIL_TOKEN\" }", &way),
        );
        for command in [
            "check",
            "check --format json",
            "check --online",
            "sync crm-to-mail",
        ] {
            said.take(
                &format!("{command} with {what}"),
                &bed.line(&format!("-vvv {command}")),
            );
        }
    }
    said.assert_clean();
    assert_clean_files(&bed.path(""), &["secret", "rosterd.toml"]);
}

#[test]
fn the_demo_and_the_emulator_tell_no_login_but_the_one_that_is_asked_for() {
    let bed = Bed::new();
    let ended = bed.line("-vvv demo");
    ended.assert(0);
    for (what, text) in [
        ("standard output", &ended.out),
        ("standard error", &ended.err),
    ] {
        assert!(
            !text.contains("fake-password") && !text.contains("fa4e0000"),
            "{what}: {text}"
        );
    }
    let mut running = bed.start(&[
        "-vvv",
        "emulate",
        "--listen",
        "127.0.0.1:0",
        "--groups",
        "1",
        "--members",
        "1",
    ]);
    std::thread::park_timeout(std::time::Duration::from_millis(300));
    running.signal("TERM");
    let seen = loop {
        if let Some((_, seen)) = running.ended() {
            break seen;
        }
    };
    assert!(
        !seen.contains("fake-password") && !seen.contains("fa4e0000"),
        "standard error: {seen}"
    );
}

const PANIC: &str = "ROSTERD_TEST_PANICS";

/// The other half of the test below: does nothing unless that one starts it.
#[tokio::test(start_paused = true)]
async fn a_run_that_panics_when_it_is_told_to() {
    if std::env::var_os(PANIC).is_none() {
        return;
    }
    let mut world = marked_world();
    group_of(world.account_mut("crm"), "More", "more", 3);
    let bench = bench(world, "crm", "mail", "mode = \"managed\"");
    bench.store.watch_journal(|moment| {
        assert_ne!(moment, JournalMoment::OutcomeWritten, "the end of this run");
    });
    bench.rest().await;
    drop(bench.runner().sync("test", SyncOptions::default()).await);
}

#[test]
fn a_panic_with_all_its_frames_says_no_secret() {
    let test = "redaction::a_run_that_panics_when_it_is_told_to";
    let mut command = Command::new(std::env::current_exe().unwrap());
    let output = command
        .args([test, "--exact", "--nocapture"])
        .env(PANIC, "1")
        .env("RUST_BACKTRACE", "full")
        .output()
        .unwrap();
    let text = format!(
        "{}{}",
        String::from_utf8_lossy(&output.stdout),
        String::from_utf8_lossy(&output.stderr)
    );
    assert!(
        !output.status.success() && text.contains("the end of this run"),
        "{text}"
    );
    assert!(
        text.contains("begin_write") || text.contains("Store>::settle"),
        "the frames are there: {text}"
    );
    assert!(!text.contains(SECRET) && !text.contains(VALUE), "{text}");
}

#[test]
fn no_debug_output_of_config_and_adapters_shows_a_secret() {
    let bench = bench(marked_world(), "crm", "mail", "");
    let runner = bench.runner();
    assert!(
        !format!("{:?}", runner.config()).contains(SECRET),
        "{:?}",
        runner.config()
    );
    let text = crate::support::providers(&bench.emulator)
        + "\n[providers.mail.http]\nproxy = \"http://someone:canary-secret-proxy@proxy.example.org:3128\"\n";
    match rosterd::config::parse(&text, Path::new("rosterd.toml")) {
        Ok((config, warnings)) => {
            let shown = format!("{config:?}{config:#?}{warnings:?}");
            assert!(!shown.contains(SECRET), "{shown}");
        }
        Err(findings) => {
            let shown = format!("{findings}{findings:?}{}", findings.to_json());
            assert!(!shown.contains(SECRET), "{shown}");
        }
    }

    let transport = Transport::network(&NetworkOptions::default()).unwrap();
    let account = Account::new(AccountOptions::new(
        "mail",
        url::Url::parse("https://api.example.org/v1").unwrap(),
        transport,
    ));
    let secret = || format!("{SECRET}adapter").into();
    let emfluence = EmfluenceOptions {
        access_token: secret(),
        fingerprint: None,
        neighbours: Vec::new(),
        batch_cap: None,
    };
    let greenrope = |credential| GreenRopeOptions {
        account_id: "1".to_owned(),
        email: "owner@example.org".to_owned(),
        credential,
        shared_access: false,
        batch_cap: None,
    };
    let campaigns = ActiveCampaignOptions {
        api_key: secret(),
        groups: ActiveCampaignGroups::Lists,
        parking_group: None,
        batch_cap: None,
    };
    let shown = [
        format!(
            "{emfluence:?} {:?}",
            Emfluence::new(emfluence.clone(), account.clone())
        ),
        format!(
            "{:?}",
            GreenRope::new(
                greenrope(GreenRopeCredential::Password(secret())),
                account.clone()
            )
        ),
        format!("{:?}", greenrope(GreenRopeCredential::Token(secret()))),
        format!(
            "{campaigns:?} {:?}",
            ActiveCampaign::new(campaigns.clone(), account.clone())
        ),
    ];
    assert!(
        shown
            .iter()
            .all(|shown| !shown.contains(SECRET) && !shown.is_empty()),
        "{shown:?}"
    );
}

#[test]
fn the_worlds_of_these_tests_are_marked() {
    let world = marked_world();
    assert!(world.account("crm").logins[0].password.starts_with(SECRET));
    assert!(
        plain_world().account("crm").logins[0]
            .password
            .starts_with("fake-")
    );
    assert!(
        world
            .account("crm")
            .contacts
            .values()
            .any(|contact| contact.get("city").starts_with(VALUE))
    );
}
