//! Accounts that can't be used: each with one message that names the account and the way out, and
//! nothing written.

use rosterd::emulator::{Login, Rights};

use super::bed::{Bed, JOB};

/// Runs the job, which must fail with one message and leave both accounts alone.
fn fails(bed: &Bed, environment: &[(&str, &str)]) -> String {
    let ended = bed.end(
        bed.command(&["sync", JOB])
            .envs(environment.iter().copied()),
    );
    bed.assert_unwritten();
    let said = ended.complaint(1).to_owned();
    assert!(
        bed.secrets().iter().all(|secret| !said.contains(secret)),
        "{said}"
    );
    said
}

#[test]
fn a_wrong_token_and_a_wrong_password() {
    let bed = Bed::new();
    let said = fails(&bed, &[("MAIL_TOKEN", "canary-token")]);
    assert!(
        said.starts_with("error: mail: the access token was refused")
            && said.contains("check access_token"),
        "{said}"
    );
    assert!(!said.contains("canary-token"));
    let said = fails(&bed, &[("CRM_PASSWORD", "canary-password")]);
    assert!(
        said.starts_with("error: crm: ") && said.contains("check email and password"),
        "{said}"
    );
    assert!(!said.contains("canary-password"));
}

#[test]
fn a_host_that_does_not_answer() {
    let bed = Bed::new();
    let closed = std::net::TcpListener::bind("127.0.0.1:0")
        .unwrap()
        .local_addr()
        .unwrap();
    let config = bed.read("rosterd.toml");
    let (before, after) = config.split_once("[providers.mail]").unwrap();
    let (_, path) = after.split_once("/emfluence").unwrap();
    bed.write("rosterd.toml", &format!("{before}[providers.mail]\nkind = \"emfluence\"\nbase_url = \"http://{closed}/emfluence{path}"));
    let said = fails(&bed, &[]);
    let said = said.replace(&closed.to_string(), "CLOSED");
    insta::assert_snapshot!(said, @"error: mail: helper/ping got no answer in 1 attempt (no connection: CLOSED refuses connections); check base_url, the network and the provider's status page, then try again");
}

#[test]
fn an_account_that_the_login_does_not_reach() {
    let bed = Bed::new();
    bed.write(
        "rosterd.toml",
        &bed.read("rosterd.toml").replace("45429", "45430"),
    );
    let said = fails(&bed, &[]);
    insta::assert_snapshot!(said, @"error: crm: the login does not reach account 45430; check account_id, and ask the account's owner for access");
}

#[test]
fn a_token_that_opens_another_account() {
    let bed = Bed::new();
    let fingerprint = "fingerprint = { group_id = 4711, group_name = \"All staff\" }\naccess_token";
    bed.write(
        "rosterd.toml",
        &bed.read("rosterd.toml")
            .replace("access_token", fingerprint),
    );
    let said = fails(&bed, &[]);
    assert!(
        said.contains("does not open the account of the fingerprint")
            && said.contains("group 4711"),
        "{said}"
    );
}

#[test]
fn one_account_that_two_names_prove_by_two_of_its_groups() {
    let bed = Bed::new();
    let groups = bed.account("mail", |mail| -> Vec<(u64, String)> {
        mail.add_group("Volunteers");
        mail.add_group("Donors of the year");
        let groups = mail.groups.iter();
        groups
            .map(|(id, group)| (*id, group.name.clone()))
            .collect()
    });
    let proof = |at: usize| {
        let (id, name) = &groups[at];
        format!("fingerprint = {{ group_id = {id}, group_name = \"{name}\" }}\naccess_token")
    };
    let config = bed.read("rosterd.toml");
    let (_, mail) = config.split_once("[providers.mail]").unwrap();
    let mail = mail.split("\n[").next().unwrap();
    let with = |first: usize, second: usize| {
        let named = config.replace("access_token", &proof(first));
        let other = mail.replace("access_token", &proof(second));
        format!("{named}\n[providers.second]{other}\n")
    };
    bed.write("rosterd.toml", &with(0, 1));
    let said = fails(&bed, &[]);
    assert!(
        said.contains("opens the account of \"second\" as well")
            && said.contains("same fingerprint"),
        "{said}"
    );
    bed.write("rosterd.toml", &with(0, 0));
    bed.run(&["plan", JOB]).assert(0);
}

#[test]
fn a_login_without_the_rights_loses_nothing() {
    for rights in [
        Rights {
            contacts_edit: false,
            ..Rights::all()
        },
        Rights {
            create_groups: false,
            ..Rights::all()
        },
    ] {
        let bed = Bed::new();
        bed.account("mail", |mail| mail.logins[0].rights = rights);
        let ended = bed.run(&["sync", JOB]);
        assert!(
            matches!(ended.code, Some(1 | 4)),
            "{:?}\n{}\n{}",
            ended.code,
            ended.out,
            ended.err
        );
        let said = format!("{}{}", ended.out, ended.err);
        assert!(
            said.contains("You do not have permission"),
            "the provider's own words are shown:\n{said}"
        );
        bed.account("mail", |mail| mail.logins[0].rights = Rights::all());
        bed.run(&["retry", JOB]).assert(0);
        bed.assert_whole();
        bed.assert_settled();
    }
}

#[test]
fn what_a_shared_login_does_not_see_is_not_taken_for_gone() {
    let bed = Bed::new();
    bed.sync();
    bed.emulator.clear_log();
    let password = bed.account("crm", |crm| {
        let donors = crm.find_group("Donors").unwrap();
        crm.logins.push(Login::restricted("crm", 7, [donors]));
        crm.logins[1].password.clone()
    });
    let config = bed
        .read("rosterd.toml")
        .replace("owner@crm.test", "user7@crm.test");
    bed.write(
        "rosterd.toml",
        &config.replace(
            "kind = \"greenrope\"",
            "kind = \"greenrope\"\nshared_access = true",
        ),
    );
    let ended = bed.end(bed.command(&["sync", JOB]).env("CRM_PASSWORD", &password));
    bed.assert_unwritten();
    bed.assert_whole();
    assert_ne!(ended.code, Some(1), "{}\n{}", ended.out, ended.err);
}

#[test]
fn check_online_tries_every_account_and_says_which_one_fails() {
    let bed = Bed::new();
    let ended = bed.end(
        bed.command(&["check", "--online"])
            .env("MAIL_TOKEN", "canary-token"),
    );
    ended.assert(1);
    assert!(
        ended.out.contains("ok crm: logged in, 6 groups"),
        "{}",
        ended.out
    );
    assert!(
        ended
            .out
            .contains("error: mail: the access token was refused"),
        "{}",
        ended.out
    );
    let ended = bed.end(
        bed.command(&["check", "--online", "--format", "json"])
            .env("MAIL_TOKEN", "canary-token"),
    );
    ended.assert(1);
    let report = ended.json(&["ok", "findings", "state", "jobs", "providers"]);
    assert_eq!(
        (&report["providers"][0]["ok"], &report["providers"][1]["ok"]),
        (&true.into(), &false.into())
    );
    assert!(!ended.out.contains("canary-token"));
    bed.assert_unwritten();
}

/// Writes a config with the lists and the user groups of the ActiveCampaign account, and the file
/// with their key.
fn campaigns(bed: &Bed, key: &str) {
    let config = bed.config("");
    let host = config
        .split_once("base_url = \"")
        .unwrap()
        .1
        .split_once("/greenrope")
        .unwrap()
        .0
        .to_owned();
    let account = |name: &str, groups: &str| {
        format!(
            "[providers.{name}]\nkind = \"activecampaign\"\nbase_url = \"{host}/activecampaign\"\napi_key = {{ file = \"key\" }}\ngroups = \"{groups}\"\n"
        )
    };
    bed.write(
        "rosterd.toml",
        &(account("campaigns", "lists") + &account("staff", "user-groups")),
    );
    bed.write("key", &format!("{key}\n"));
}

#[test]
fn lists_and_user_groups_of_an_account_are_tried_with_its_key() {
    let bed = Bed::new();
    let key = bed.account("campaigns", |campaigns| {
        campaigns.add_group("News");
        campaigns.credentials().token
    });
    campaigns(&bed, &key);
    let ended = bed.line("check --online");
    ended.assert(0);
    assert!(
        ended.out.contains("ok campaigns: logged in, 1 group\n")
            && ended.out.contains("ok staff: logged in, 2 groups\n"),
        "{}",
        ended.out
    );
    assert!(!ended.out.contains("warning"), "{}", ended.out);

    campaigns(&bed, "canary-key");
    let ended = bed.line("check --online");
    ended.assert(1);
    insta::assert_snapshot!(ended.out.lines().find(|line| line.starts_with("error")).unwrap(), @"error: campaigns: the API key was refused (You are not authorized to access this file); check api_key and base_url, and that the user who owns the key may use the API");
    assert!(!ended.out.contains("canary-key") && !ended.err.contains("canary-key"));
}

#[test]
fn a_key_that_does_not_see_everything_is_told() {
    let bed = Bed::new();
    let key = bed.account("campaigns", |campaigns| {
        campaigns.add_group("News");
        let group = campaigns.add_user_group("Editors");
        campaigns
            .user_group_mut(group)
            .permissions
            .extend(["pg_list_edit".to_owned()]);
        let user = campaigns.add_user("eve", "eve@example.org", group);
        campaigns
            .logins
            .push(Login::of_user("campaigns", user.try_into().unwrap()));
        campaigns.logins[1].token.clone()
    });
    campaigns(&bed, &key);
    let ended = bed.line("check --online");
    insta::assert_snapshot!(ended.out, @r"
    ok rosterd.toml: 2 providers, 0 jobs
    ok no state database yet; the first run makes one
    ok campaigns: logged in, 0 groups
      warning: the user who owns the key is not an administrator, so lists that this user may not see look absent; use the key of a user in the Admin group, or say shared_access = true
    ok staff: logged in, 3 groups
      warning: the user who owns the key is not an administrator, so users and groups that this user may not see look absent; use the key of a user in the Admin group, or say shared_access = true

    Next fires:
    The config has no job.
    ");
    let config = bed
        .read("rosterd.toml")
        .replace("groups =", "shared_access = true\ngroups =");
    bed.write("rosterd.toml", &config);
    assert!(
        !bed.line("check --online")
            .out
            .contains("not an administrator")
    );
}
