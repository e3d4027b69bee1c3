use std::time::Duration;

use crate::config::keys::{self, Key, Shape};
use crate::config::read::default_item;
use crate::config::settled::{
    Adopt, Credentials, Dynamic, Limit, Missing, Mode, OnDrift, OptOuts, Secret, SecretSource,
};
use crate::model::ProviderKind;
use crate::provider::schema;

use super::*;

const SMALL: &str = r#"
[providers.crm]
kind = "greenrope"
account_id = 45429
email = "ops@example.org"
password = { file = "secrets/crm" }
[providers.mail]
kind = "emfluence"
access_token = { env = "TOKEN" }
[jobs.j]
source = "crm"
target = "mail"
"#;

#[test]
fn what_is_left_out_has_its_default() {
    let config = config(SMALL);
    assert_eq!(config.state_path, Path::new("etc/rosterd.db"));
    assert_eq!(config.retention, Duration::from_hours(400 * 24));
    assert_eq!(config.daemon.listen, None, "no HTTP that nobody asked for");
    assert!(config.daemon.hosts.is_empty());
    assert!(config.daemon.runs("any job at all"));
    assert_eq!(config.daemon.grace, Duration::from_secs(30));
    assert!(config.daemon.admin_token.is_none());
    assert!(
        config.notify.webhook.is_none()
            && config.notify.command.is_none()
            && config.notify.alive.is_none()
            && config.notify.email.is_none()
    );

    let crm = &config.providers["crm"];
    assert_eq!(crm.base_url.as_str(), "https://api.stgi.net/api-xml");
    assert_eq!(crm.account_id.as_deref(), Some("45429"));
    assert!(!crm.shared_access && crm.fingerprint.is_none());
    assert_eq!(
        (crm.http.requests_per_minute, crm.http.concurrency),
        (None, 1)
    );
    assert_eq!(
        crm.defaults.get("group_type").map(String::as_str),
        Some("Hidden")
    );
    let Credentials::Password {
        password: Secret::Source(source),
        ..
    } = &crm.credentials
    else {
        panic!("a password")
    };
    assert_eq!(*source, SecretSource::File("etc/secrets/crm".into()));

    let mail = &config.providers["mail"];
    assert_eq!(
        mail.base_url.as_str(),
        "https://api.emailer.emfluence.com/v1"
    );
    assert_eq!(
        (mail.http.requests_per_minute, mail.http.concurrency),
        (Some(100), 1)
    );
    assert_eq!(
        (mail.http.timeout, mail.http.max_retries),
        (Some(Duration::from_mins(1)), 5)
    );
    assert_eq!(mail.http.max_answer, 4 * 1024 * 1024 * 1024);
    assert!(mail.http.batch_size.is_none() && mail.http.requests_per_day.is_none());
    assert!(mail.http.proxy.is_none() && mail.http.ca_file.is_none() && mail.defaults.is_empty());

    let job = &config.jobs["j"];
    assert!(job.schedule.is_none() && job.jitter.is_zero() && job.enabled && job.refresh.is_none());
    assert_eq!(job.mode, Mode::Add);
    assert!(!job.allow_auto_response && !job.create_fields);
    let groups = &job.groups;
    assert_eq!(
        (
            groups.include.as_slice(),
            groups.exclude.len(),
            groups.pin.len()
        ),
        (&["*".to_owned()][..], 0, 0)
    );
    assert_eq!(
        (groups.adopt, groups.protect, groups.dynamic, groups.missing),
        (Adopt::ByName, true, Dynamic::Skip, Missing::Keep)
    );
    let members = &job.members;
    assert_eq!(
        (
            &members.r#where,
            members.create,
            members.update,
            members.opt_outs
        ),
        (&None, true, true, OptOuts::Carry)
    );
    assert!(job.map_group.is_empty() && job.map_member.is_empty());
    let guards = &job.guards;
    let share = |share| Limit {
        share: Some(share),
        count: None,
    };
    assert_eq!(guards.max_membership_removals, share(0.1));
    assert_eq!(guards.max_membership_removals_per_group, share(0.5));
    assert_eq!(
        guards.max_group_removals,
        Limit {
            share: None,
            count: Some(0)
        }
    );
    assert_eq!(
        (guards.max_member_creations, guards.max_updates),
        (Limit::default(), Limit::default())
    );
    assert_eq!(guards.max_opt_outs, share(0.1));
    assert_eq!((guards.floor, guards.on_drift), (10, OnDrift::Overwrite));
}

#[test]
fn what_is_written_is_taken() {
    let config = config(
        &(SMALL.to_owned()
            + r#"
schedule = "0 6 * * 1-5"
time_zone = "Europe/Berlin"
refresh = "6h"
mode = "mirror"
[jobs.j.groups]
pin = { "9985" = 4711 }
[jobs.j.guards]
max_updates = ["2.5%", 9]
[jobs.j.map.member]
custom.custom3 = "source.company"
[daemon]
listen = "0.0.0.0:80"
admin_token = { command = ["pass", "rosterd"] }
[notify]
webhook = { url = "http://localhost:9/hook" }
command = ["/usr/local/bin/page-me", "now"]
email = { smtp = "smtps://mail.example.org", user = "ops", password = { env = "P" }, from = "Rosterd <rosterd@example.org>", to = ["ops@example.org"] }
ca_file = "ours.pem"
"#),
    );
    let job = &config.jobs["j"];
    assert_eq!(
        job.schedule.as_ref().map(crate::schedule::Schedule::zone),
        Some("Europe/Berlin")
    );
    assert_eq!(
        (job.refresh, job.mode),
        (Some(Duration::from_hours(6)), Mode::Mirror)
    );
    assert_eq!(job.groups.pin.get("9985").map(String::as_str), Some("4711"));
    assert_eq!(
        job.guards.max_updates,
        Limit {
            share: Some(0.025),
            count: Some(9)
        }
    );
    assert_eq!(
        job.map_member.get("custom.custom3").map(String::as_str),
        Some("source.company")
    );
    assert_eq!(config.notify.command.as_ref().map(Vec::len), Some(2));
    assert!(
        config
            .notify
            .webhook
            .is_some_and(|(_, secret)| secret.is_none())
    );
    assert!(config.daemon.admin_token.is_some());
    let email = config.notify.email.unwrap();
    assert_eq!((email.server.port, email.to.len()), (465, 1));
    assert!(email.password.is_some());
    assert_eq!(
        config.notify.ca_file.as_deref(),
        Some(Path::new("etc/ours.pem"))
    );
}

#[test]
fn the_service_and_whom_it_tells_have_effect() {
    let text = SMALL.to_owned()
        + "[daemon]\nlisten = \"127.0.0.1:9000\"\nhosts = [\"Rosterd.example.org\"]\nadmin_token = { env = \"ADMIN\" }\ngrace = \"5s\"\n[notify]\nalive = \"https://ping.example.org/r\"\ncommand = [\"page-me\"]\n";
    let (config, warnings) = parse(&text, Path::new("rosterd.toml")).unwrap();
    assert_eq!(config.daemon.grace, Duration::from_secs(5));
    let listen = config.daemon.listen.map(|listen| listen.to_string());
    assert_eq!(listen.as_deref(), Some("127.0.0.1:9000"));
    assert_eq!(config.daemon.hosts, ["rosterd.example.org"]);
    assert!(warnings.is_empty(), "{warnings:?}");
    let (_, warnings) = parse(SMALL, Path::new("rosterd.toml")).unwrap();
    assert!(warnings.is_empty(), "defaults are no reason to warn");
}

#[test]
fn a_service_runs_the_jobs_that_its_patterns_name() {
    let jobs = |patterns: &str| {
        let text = format!("{SMALL}[daemon]\njobs = {patterns}\n");
        parse(&text, Path::new("rosterd.toml")).unwrap()
    };
    let name = parse(SMALL, Path::new("rosterd.toml")).unwrap().0;
    let name = name.jobs.keys().next().unwrap().clone();
    let (config, warnings) = jobs(&format!("[\"{}*\"]", &name[..1]));
    assert!(warnings.is_empty(), "{warnings:?}");
    assert!(config.daemon.runs(&name) && !config.daemon.runs("~"));
    let (config, warnings) = jobs("[\"nobody-?\"]");
    assert!(!config.daemon.runs(&name) && config.daemon.runs("nobody-1"));
    let said = format!("{warnings:?}");
    assert!(
        said.contains("names no job of the config by `nobody-?`"),
        "{said}"
    );
    let (config, _) = jobs("[]");
    assert!(!config.daemon.runs(&name));
}

#[test]
fn the_files_that_come_with_rosterd_are_sound() {
    for (name, text) in [
        ("starter", starter()),
        ("greenrope-to-emfluence", SOUND),
        (
            "emfluence-to-greenrope",
            include_str!("../../../config/emfluence-to-greenrope.toml"),
        ),
        (
            "emfluence-to-emfluence",
            include_str!("../../../config/emfluence-to-emfluence.toml"),
        ),
        (
            "greenrope-to-greenrope",
            include_str!("../../../config/greenrope-to-greenrope.toml"),
        ),
        (
            "greenrope-to-activecampaign",
            include_str!("../../../config/greenrope-to-activecampaign.toml"),
        ),
        (
            "activecampaign-to-emfluence",
            include_str!("../../../config/activecampaign-to-emfluence.toml"),
        ),
        (
            "activecampaign-staff",
            include_str!("../../../config/activecampaign-staff.toml"),
        ),
    ] {
        assert_eq!(rendered(text), "", "{name}");
        let known = config(text);
        assert_eq!((known.providers.len(), known.jobs.len()), (2, 1), "{name}");
        assert_eq!(known.secrets().len(), 2, "{name}");
    }
}

#[test]
fn the_starter_explains_every_key_and_its_lines_work() {
    assert_explained(keys::ROOT);
    // Every commented line of TOML, taken in, gives a configuration that differs from a sound one
    // only by having two credentials.
    let commented = |line: &str| {
        let rest = line.strip_prefix("# ").unwrap_or_default();
        rest.starts_with('[')
            || rest
                .split_once(" = ")
                .is_some_and(|(key, _)| !key.trim_matches('"').contains(' '))
    };
    let all: Vec<&str> = starter()
        .lines()
        .map(|line| {
            if commented(line) {
                line.strip_prefix("# ").unwrap_or(line)
            } else {
                line
            }
        })
        .filter(|line| !line.starts_with("auth_token"))
        .collect();
    let (_, warnings) = parse(&all.join("\n"), Path::new("rosterd.toml"))
        .unwrap_or_else(|findings| panic!("{findings}"));
    let unexpected: Vec<&str> = warnings
        .iter()
        .map(|warning| warning.message.as_str())
        .filter(|message| !message.contains(" has no effect: this version "))
        .collect();
    assert!(unexpected.is_empty(), "{unexpected:?}");
}

fn assert_explained(keys: &'static [Key]) {
    for key in keys.iter().filter(|key| key.name != "external_id") {
        assert!(
            starter().contains(key.name),
            "the starter lacks `{}`",
            key.name
        );
        if let Shape::Table(inner) | Shape::NamedTables(inner) = key.shape {
            assert_explained(inner);
        }
    }
}

#[test]
fn every_default_has_the_shape_of_its_key() {
    fn walk(keys: &'static [Key]) {
        for key in keys {
            let defaults = key
                .default
                .into_iter()
                .chain(key.default_by_kind.iter().map(|(_, default)| *default));
            for default in defaults {
                assert!(
                    default_item(default, key).is_some(),
                    "{}: {default}",
                    key.name
                );
            }
            assert!(key.doc.ends_with('.'), "{}", key.name);
            if let Shape::Table(inner) | Shape::NamedTables(inner) = key.shape {
                walk(inner);
            }
        }
    }
    walk(keys::ROOT);
}

#[test]
fn every_default_of_the_field_tables_has_a_key() {
    for kind in ProviderKind::ALL {
        for name in schema(kind)
            .groups
            .iter()
            .filter_map(|field| field.default_key)
        {
            assert!(
                keys::DEFAULTS
                    .iter()
                    .any(|key| key.name == name && key.is_of(kind)),
                "{kind}: {name}"
            );
        }
    }
}

#[test]
fn the_implicit_job_has_the_defaults() {
    let known = config(SMALL);
    let job = implicit_job(&known, "crm", "mail").unwrap();
    assert_eq!(
        (
            job.name.as_str(),
            job.source.as_str(),
            job.target.as_str(),
            job.mode
        ),
        ("crm-to-mail", "crm", "mail", Mode::Add)
    );
    assert_eq!(job.guards, known.jobs["j"].guards);
    let said = |from: &str, to: &str| implicit_job(&known, from, to).unwrap_err().to_string();
    assert_eq!(
        said("mail", "mail"),
        "`mail` and `mail` are one account: name two accounts."
    );
    assert_eq!(
        said("crn", "mail"),
        "The configuration has no provider `crn`; the closest name is `crm`."
    );
    assert_eq!(
        said("mail", "crm"),
        "Groups can't be created at `crm` without sender_name, sender_email, postal_address, time_zone: add them to [providers.crm.defaults]."
    );
}

/// What is remembered of such a job is remembered by its name.
#[test]
fn an_implicit_job_has_a_name_that_stands_for_no_other_pair() {
    let mut known = config(SMALL);
    for (name, like) in [("crm-to-mail", "crm"), ("mail-to-mail", "mail")] {
        let mut provider = known.providers[like].clone();
        provider.account_id = Some(name.to_owned());
        known.providers.insert(name.to_owned(), provider);
    }
    for (from, to) in [("crm", "mail-to-mail"), ("crm-to-mail", "mail")] {
        assert_eq!(
            implicit_job(&known, from, to).unwrap_err(),
            ImplicitJobError::AmbiguousName {
                from: from.to_owned(),
                to: to.to_owned(),
                name: "crm-to-mail-to-mail".to_owned(),
            }
        );
    }
    assert_eq!(implicit_pair(&known, "crm-to-mail-to-mail"), None);
    assert_eq!(implicit_pair(&known, "crm-to-mail"), Some(("crm", "mail")));
}

#[test]
fn the_schema_describes_every_table() {
    let schema = json_schema();
    let provider = &schema["properties"]["providers"]["additionalProperties"];
    assert_eq!(provider["required"], serde_json::json!(["kind"]));
    assert_eq!(provider["additionalProperties"], serde_json::json!(false));
    assert_eq!(
        provider["properties"]["http"]["properties"]["timeout"]["default"],
        "60s"
    );
    assert_eq!(
        provider["allOf"][0]["then"]["properties"]["account_id"],
        serde_json::json!(false)
    );
    let lists = &provider["allOf"][2];
    assert_eq!(
        lists["if"]["properties"],
        serde_json::json!({ "kind": { "const": "activecampaign" }, "groups": { "const": "lists" } })
    );
    assert_eq!(
        lists["then"]["properties"]["parking_group"],
        serde_json::json!(false)
    );
    assert_eq!(
        lists["then"]["required"],
        serde_json::json!(["groups", "base_url", "api_key"])
    );
    assert_eq!(
        provider["allOf"].as_array().map(Vec::len),
        Some(ProviderKind::ALL.len())
    );
    assert_eq!(schema["$defs"]["secret"]["maxProperties"], 1);
    assert!(fields_table().iter().any(|row| row.kind == "greenrope"
        && row.wire == "GroupType"
        && row.values.contains(&"Hidden")));
    let tables: std::collections::BTreeSet<&str> =
        fields_table().iter().map(|row| row.kind).collect();
    let expected = [
        "activecampaign-lists",
        "activecampaign-user-groups",
        "emfluence",
        "greenrope",
    ];
    assert!(
        tables.into_iter().eq(expected),
        "both tables of ActiveCampaign have a name of their own"
    );
}

#[test]
fn two_tokens_at_one_address_are_told_apart_by_a_group_of_each_account() {
    let two = |first: &str, second: &str| {
        rendered(&format!(
            "[providers.a]\nkind = \"emfluence\"\naccess_token = {{ env = \"A\" }}\n{first}\n\
             [providers.b]\nkind = \"emfluence\"\naccess_token = {{ env = \"B\" }}\n{second}\n"
        ))
    };
    let group = |id: u32| format!("fingerprint = {{ group_id = {id}, group_name = \"Staff\" }}");
    for (first, second) in [(String::new(), String::new()), (group(1), String::new())] {
        let said = two(&first, &second);
        assert!(
            said.contains("`providers.a` and `providers.b` may be one account"),
            "{said}"
        );
    }
    for second in [group(1), group(2)] {
        assert_eq!(two(&group(1), &second), "");
    }
    let elsewhere = "base_url = \"https://eu.example.org/v1\"";
    assert_eq!(two("", elsewhere), "");
}

#[test]
fn only_the_login_of_an_account_may_change_in_doubt() {
    let mail = |lines: &str| {
        let text = SMALL.replace("access_token = { env = \"TOKEN\" }", lines);
        config(&text).providers["mail"].state_key()
    };
    let token = mail("access_token = { env = \"TOKEN\" }");
    let place = |key: &str| key.split_once('.').map(|(place, _)| place.to_owned());
    let moved = mail("access_token = { file = \"token\" }");
    assert!(
        token != moved && place(&token) == place(&moved),
        "{token} {moved}"
    );
    let proved = "access_token = { env = \"TOKEN\" }\nfingerprint = { group_id = 7 }";
    assert_eq!(mail(proved), mail(&proved.replace("TOKEN", "OTHER")));
    let elsewhere =
        mail("access_token = { env = \"TOKEN\" }\nbase_url = \"https://eu.example.org/v1\"");
    assert_ne!(place(&token), place(&elsewhere));
    assert_eq!(place(&config(SMALL).providers["crm"].state_key()), None);
}

/// Who types the path of the config otherwise means the same accounts.
#[test]
fn an_account_is_the_same_however_the_path_of_the_config_was_typed() {
    let text = "[providers.mail]\nkind = \"emfluence\"\naccess_token = { file = \"token\" }\n";
    let keys = |path: &Path| {
        let (config, _) = parse(text, path).unwrap_or_else(|findings| panic!("{findings}"));
        let mail = &config.providers["mail"];
        (mail.account_key(), mail.state_key())
    };
    let here = std::env::current_dir().unwrap();
    assert_eq!(
        keys(Path::new("sub/rosterd.toml")),
        keys(&here.join("sub/rosterd.toml"))
    );
    assert_ne!(
        keys(Path::new("sub/rosterd.toml")),
        keys(Path::new("rosterd.toml")),
        "another file is another token"
    );
}
