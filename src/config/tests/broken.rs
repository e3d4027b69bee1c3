use insta::assert_snapshot;

use super::*;

/// A sound file with both kinds of provider and one job, in which a test changes a line.
const BASE: &str = r#"
[providers.crm]
kind = "greenrope"
account_id = "45429"
email = "ops@example.org"
password = { env = "P" }
[providers.mail]
kind = "emfluence"
access_token = { env = "T" }
[jobs.j]
source = "crm"
target = "mail"
"#;

/// Appends lines to the base and returns what is said.
fn with(lines: &str) -> String {
    rendered(&format!("{BASE}{lines}"))
}

/// Replaces a part of the base and returns what is said.
fn instead(old: &str, new: &str) -> String {
    assert!(BASE.contains(old), "{old}");
    rendered(&BASE.replace(old, new))
}

#[test]
fn the_base_is_sound() {
    assert_eq!(rendered(BASE), "");
}

#[test]
fn many_problems_are_found_in_one_pass() {
    assert_snapshot!(rendered(
        r#"
[state]
path = 5
retention = "forever"
[providers.crm]
kind = "greenrop"
[providers.mail]
kind = "emfluence"
base_url = "http://api.example.org/v1"
acess_token = "s3cret"
account_id = "4"
[providers.camp]
kind = "activecampaign"
api_key = { env = "K" }
[jobs.a]
source = "crn"
target = "mail"
shedule = "* * * * *"
schedule = "0 0 30 2 *"
time_zone = "Europe/Berlim"
refresh = "sometimes"
mode = "mirrored"
[jobs.a.guards]
floor = -1
max_updates = "lots"
[groups]
include = []
"#
    ), @r#"
    error: `state.path` must be a text, not a whole number.
     --> rosterd.toml:3:8
      |
    3 | path = 5
      |        ^

    error: `state.retention` is not a duration.
     --> rosterd.toml:4:13
      |
    4 | retention = "forever"
      |             ^^^^^^^^^
      |
      = hint: write it as "30s", "15m", "6h" or "400d"

    error: `providers.crm.kind` must be one of `emfluence`, `greenrope`, `activecampaign`.
     --> rosterd.toml:6:8
      |
    6 | kind = "greenrop"
      |        ^^^^^^^^^^
      |
      = hint: did you mean `greenrope`?

    error: `providers.mail` lacks `access_token`.
     --> rosterd.toml:7:12
      |
    7 | [providers.mail]
      |            ^^^^
      |
      = hint: add access_token = { env = "NAME" } or { file = "PATH" }

    error: `providers.mail.base_url` would send secrets and personal data unencrypted.
     --> rosterd.toml:9:12
      |
    9 | base_url = "http://api.example.org/v1"
      |            ^^^^^^^^^^^^^^^^^^^^^^^^^^^
      |
      = hint: write https instead of http; plain http is taken to loopback only

    error: `acess_token` is not a key of `providers.mail`.
    --> rosterd.toml:10:1
     = hint: did you mean `access_token`?

    error: `providers.mail.account_id` belongs to GreenRope accounts only.
      --> rosterd.toml:11:1
       |
    11 | account_id = "4"
       | ^^^^^^^^^^
       |
       = hint: leave it out

    error: `providers.camp` lacks `groups`: ActiveCampaign has two things that could be a group. `groups = "lists"` means the lists, whose members are contacts and get mail; `groups = "user-groups"` means the groups of the people who log in to the account, with their permissions.
      --> rosterd.toml:12:12
       |
    12 | [providers.camp]
       |            ^^^^
       |
       = hint: write `groups = "lists"` to sync audiences, `groups = "user-groups"` to sync staff

    error: `jobs.a.source` names the provider `crn`, which is not configured.
      --> rosterd.toml:16:10
       |
    16 | source = "crn"
       |          ^^^^^
       |
       = hint: did you mean `crm`?

    error: `shedule` is not a key of `jobs.a`.
      --> rosterd.toml:18:1
       |
    18 | shedule = "* * * * *"
       | ^^^^^^^
       |
       = hint: did you mean `schedule`?

    error: `jobs.a.schedule` can't be used: schedule "0 0 30 2 *" never fires, because no month in it has such a day; change day or month.
      --> rosterd.toml:19:12
       |
    19 | schedule = "0 0 30 2 *"
       |            ^^^^^^^^^^^^
       |
       = hint: write five fields as in Unix (minute, hour, day, month, weekday), such as "*/15 * * * *"

    error: `jobs.a.time_zone` is not a time zone that this machine knows.
      --> rosterd.toml:20:13
       |
    20 | time_zone = "Europe/Berlim"
       |             ^^^^^^^^^^^^^^^
       |
       = hint: did you mean `Europe/Berlin`?

    error: `jobs.a.refresh` is neither "always" nor a duration.
      --> rosterd.toml:21:11
       |
    21 | refresh = "sometimes"
       |           ^^^^^^^^^^^
       |
       = hint: write "always" or a duration such as "6h"

    error: `jobs.a.mode` must be one of `add`, `managed`, `mirror`.
      --> rosterd.toml:22:8
       |
    22 | mode = "mirrored"
       |        ^^^^^^^^^^
       |
       = hint: did you mean `mirror`?

    error: `jobs.a.guards.floor` must lie between 0 and 1000000000.
      --> rosterd.toml:24:9
       |
    24 | floor = -1
       |         ^^

    error: `jobs.a.guards.max_updates` is not a limit.
      --> rosterd.toml:25:15
       |
    25 | max_updates = "lots"
       |               ^^^^^^
       |
       = hint: a limit is a share such as "10%", a number such as 9, both as ["10%", 500], or "none"

    error: `groups` is not a key of the top level of the file.
      --> rosterd.toml:26:2
       |
    26 | [groups]
       |  ^^^^^^
       |
       = hint: `groups` belongs under [providers.NAME] or [jobs.NAME]
    "#);
}

#[test]
fn a_secret_in_plain_text_is_refused() {
    assert_snapshot!(instead("{ env = \"P\" }", "\"hunter2\""), @r#"
    error: `providers.crm.password` holds a secret in plain text.
    --> rosterd.toml:6:12
     = hint: give it as { env = "NAME" }, { file = "PATH" }, { credential = "NAME" } (systemd) or { command = ["PROGRAM", "ARGUMENT"] }
    "#);
    assert_snapshot!(instead("{ env = \"P\" }", "{ env = \"P\", file = \"p\" }"), @r#"
    error: `providers.crm.password` names more than one place for the secret.
    --> rosterd.toml:6:12
     = hint: keep one of them
    "#);
    assert_snapshot!(instead("{ env = \"P\" }", "{ fil = \"p\" }"), @r#"
    error: `providers.crm.password` names a source of secrets that does not exist.
    --> rosterd.toml:6:14
     = hint: did you mean `file`?
    "#);
    assert_snapshot!(instead("{ env = \"P\" }", "{}"), @r#"
    error: `providers.crm.password` does not say where the secret is.
    --> rosterd.toml:6:12
     = hint: give it as { env = "NAME" }, { file = "PATH" }, { credential = "NAME" } (systemd) or { command = ["PROGRAM", "ARGUMENT"] }
    "#);
    assert_snapshot!(instead("{ env = \"P\" }", "{ command = [] }"), @r#"
    error: `providers.crm.password.command` names no program.
    --> rosterd.toml:6:24
     = hint: give it as { env = "NAME" }, { file = "PATH" }, { credential = "NAME" } (systemd) or { command = ["PROGRAM", "ARGUMENT"] }
    "#);
    assert_snapshot!(with("[providers.mail.http]\nproxy = \"http://me:hunter2@proxy.example.org\""), @r#"
    error: `providers.mail.http.proxy` holds a user name or password in plain text.
    --> rosterd.toml:14:9
     = hint: take the part before `@` out; no secret may stand in this file
    "#);
}

#[test]
fn a_secret_is_not_shown_wherever_it_was_put() {
    for text in [
        "provider.crm = { kind = 5, password = \"hunter2\" }\n",
        "[state]\npath = { token = \"hunter2\" }\n",
        "[providers.map]\nkind = \"greenrope\"\npin = \"hunter2\"\n",
        "[providers]\ncrm = \"hunter2\"\n",
        "[state]\nretention = 5 # the password is hunter2\n",
        "[daemon]\nadmin-token = [[\"hunter2\"]]\n",
        "[notify]\nwebhook = { url = 5, secret = \"hunter2\" }\n",
        "[notify]\nalive = \"https://ops:hunter2@ping.example.org\"\n",
        "[notify]\nemail = { smtp = \"smtps://ops:hunter2@mail.example.org\", from = \"a@example.org\", to = [\"b@example.org\"] }\n",
        "[notify]\nemail = { smtp = \"smtps://mail.example.org\", password = \"hunter2\" }\n",
    ] {
        let findings = parse(text, Path::new("rosterd.toml")).unwrap_err();
        assert!(findings.has_errors());
        assert!(
            !format!("{findings} {findings:?} {}", findings.to_json()).contains("hunter2"),
            "{findings}"
        );
    }
}

#[test]
fn mail_needs_a_server_and_somebody_to_tell() {
    for (email, problem) in [
        (
            "smtp = \"mail.example.org\", from = \"a@example.org\", to = [\"b@example.org\"]",
            "`notify.email.smtp` is not the address of a mail server.",
        ),
        (
            "smtp = \"smtps://mail.example.org\", to = [\"b@example.org\"]",
            "`notify.email` lacks `from`.",
        ),
        (
            "smtp = \"smtps://mail.example.org\", from = \"a@example.org\"",
            "`notify.email` lacks `to`.",
        ),
        (
            "smtp = \"smtps://mail.example.org\", from = \"a@example.org\", to = []",
            "`notify.email.to` names nobody.",
        ),
        (
            "smtp = \"smtps://mail.example.org\", from = \"ops\", to = [\"b@example.org\"]",
            "`notify.email.from` holds something that is no e-mail address.",
        ),
        (
            "smtp = \"smtps://mail.example.org\", user = \"ops\", from = \"a@example.org\", to = [\"b@example.org\"]",
            "`notify.email` has `user` and lacks `password`.",
        ),
    ] {
        let text = format!("[notify]\nemail = {{ {email} }}\n");
        let findings = parse(&text, Path::new("rosterd.toml")).unwrap_err();
        assert!(findings.to_string().contains(problem), "{findings}");
    }
}

#[test]
fn credentials_are_complete_and_single() {
    assert_snapshot!(instead("password = { env = \"P\" }", "password = { env = \"P\" }\nauth_token = { env = \"A\" }"), @r#"
    error: `providers.crm` has both `password` and `auth_token`.
    --> rosterd.toml:7:1
     = hint: keep one of them
    "#);
    assert_snapshot!(instead("password = { env = \"P\" }", "access_token = { env = \"A\" }"), @r#"
    error: `providers.crm` lacks `password`.
     --> rosterd.toml:2:12
      |
    2 | [providers.crm]
      |            ^^^
      |
      = hint: add password = { env = "NAME" } or { file = "PATH" }, or `auth_token`

    error: `providers.crm.access_token` belongs to emfluence accounts only.
    --> rosterd.toml:6:1
     = hint: leave it out
    "#);
    assert_snapshot!(instead("account_id = \"45429\"\n", ""), @r#"
    error: `providers.crm` lacks `account_id`.
     --> rosterd.toml:2:12
      |
    2 | [providers.crm]
      |            ^^^
      |
      = hint: add the number that GreenRope shows for the account
    "#);
}

#[test]
fn syntax_errors_have_a_place_and_keep_secrets() {
    assert_snapshot!(rendered("[jobs.a]\nsource = crm\n"), @r#"
    error: This is not valid TOML: string values must be quoted, expected literal string.
     --> rosterd.toml:2:10
      |
    2 | source = crm
      |          ^^^
    "#);
    assert_snapshot!(rendered("[providers.a]\npassword = hunter2\n"), @r#"
    error: This line is not valid TOML.
    --> rosterd.toml:2:12
     = hint: texts stand in double quotes, and every line is `key = value` or a `[table]`
    "#);
    assert_snapshot!(rendered("[providers.a\nkind = 'x'\n"), @r#"
    error: This is not valid TOML: unclosed table, expected `]`.
     --> rosterd.toml:1:13
      |
    1 | [providers.a
      |             ^
    "#);
    assert_snapshot!(rendered("[state]\n[state]\n"), @r#"
    error: `[state]` stands twice: first in line 1, and here again.
     --> rosterd.toml:2:2
      |
    2 | [state]
      |  ^^^^^
      |
      = hint: keep one of the two lines
    "#);
}

#[test]
fn other_kinds_and_their_keys_are_told_apart() {
    assert_snapshot!(instead(
        "kind = \"emfluence\"\naccess_token = { env = \"T\" }",
        "kind = \"activecampaign\"\naccess_token = { env = \"T\" }\nremoval = \"detach\""
    ), @r#"
    error: `providers.mail` lacks `groups`: ActiveCampaign has two things that could be a group. `groups = "lists"` means the lists, whose members are contacts and get mail; `groups = "user-groups"` means the groups of the people who log in to the account, with their permissions.
     --> rosterd.toml:7:12
      |
    7 | [providers.mail]
      |            ^^^^
      |
      = hint: write `groups = "lists"` to sync audiences, `groups = "user-groups"` to sync staff

    error: `providers.mail.access_token` belongs to emfluence accounts only.
    --> rosterd.toml:9:1
     = hint: leave it out

    error: `removal` is not a key of `providers.mail`.
    --> rosterd.toml:10:1
     = hint: `removal` belongs under [jobs.NAME.members]
    "#);
    assert_snapshot!(with("create_users = true\nusers_as_contacts = false\n[jobs.j.members]\nremoval = \"detach\"\nreadd = false\n"), @r#"
    error: `jobs.j.create_users` belongs to ActiveCampaign user groups as the target only.
      --> rosterd.toml:13:1
       |
    13 | create_users = true
       | ^^^^^^^^^^^^
       |
       = hint: leave it out

    error: `jobs.j.members.removal` belongs to ActiveCampaign lists as the target only.
      --> rosterd.toml:16:1
       |
    16 | removal = "detach"
       | ^^^^^^^
       |
       = hint: leave it out
    "#);
    assert_snapshot!(instead("kind = \"greenrope\"", "kind = \"greenrope\"\nparking_group = \"5\"\ngroups = \"lists\""), @r#"
    error: `providers.crm.parking_group` belongs to ActiveCampaign user groups only.
     --> rosterd.toml:4:1
      |
    4 | parking_group = "5"
      | ^^^^^^^^^^^^^
      |
      = hint: leave it out

    error: `providers.crm.groups` belongs to ActiveCampaign accounts only.
     --> rosterd.toml:5:1
      |
    5 | groups = "lists"
      | ^^^^^^
      |
      = hint: leave it out
    "#);
}

#[test]
fn addresses_are_encrypted_and_complete() {
    assert_snapshot!(instead("kind = \"emfluence\"", "kind = \"emfluence\"\nbase_url = \"http://api.example.org/v1\""), @r#"
    error: `providers.mail.base_url` would send secrets and personal data unencrypted.
     --> rosterd.toml:9:12
      |
    9 | base_url = "http://api.example.org/v1"
      |            ^^^^^^^^^^^^^^^^^^^^^^^^^^^
      |
      = hint: write https instead of http; plain http is taken to loopback only
    "#);
    assert_snapshot!(instead("kind = \"emfluence\"", "kind = \"emfluence\"\nbase_url = \"https://api.example.org\""), @r#"
    error: `providers.mail.base_url` does not end in `/v1`.
     --> rosterd.toml:9:12
      |
    9 | base_url = "https://api.example.org"
      |            ^^^^^^^^^^^^^^^^^^^^^^^^^
      |
      = hint: write the address up to the version, as in "https://api.emailer.emfluence.com/v1"
    "#);
    assert_eq!(
        instead(
            "kind = \"emfluence\"",
            "kind = \"emfluence\"\nbase_url = \"http://127.0.0.1:9/emfluence/v1/\""
        ),
        ""
    );
    assert_snapshot!(with("[daemon]\nlisten = \"0.0.0.0:80\"\n"), @r#"
    error: `daemon.listen` is open to other machines, and `daemon.admin_token` is missing.
      --> rosterd.toml:14:10
       |
    14 | listen = "0.0.0.0:80"
       |          ^^^^^^^^^^^^
       |
       = hint: add `admin_token`, or listen on 127.0.0.1
    "#);
    assert_snapshot!(with("[daemon]\nhosts = [\"rosterd.example.org\", \"192.0.2.7\", \"2001:db8::7\", \"https://rosterd.example.org\"]\n"), @r#"
    error: `daemon.hosts` holds `https://rosterd.example.org`, and no request ever names a host like that.
      --> rosterd.toml:14:61
       |
    14 | hosts = ["rosterd.example.org", "192.0.2.7", "2001:db8::7", "https://rosterd.example.org"]
       |                                                             ^^^^^^^^^^^^^^^^^^^^^^^^^^^^^
       |
       = hint: give the bare name or address, such as rosterd.example.org, one for each name
    "#);
    for host in ["rosterd.example.org:8443", "*.example.org", "two words"] {
        let told = with(&format!("[daemon]\nhosts = [{host:?}]\n"));
        assert!(told.contains("`daemon.hosts` holds"), "{host}: {told}");
    }
    assert_snapshot!(with("[notify]\nalive = \"http://ping.example.org\"\n[providers.crm.http]\nconcurrency = 5\ntimeout = \"0s\"\n"), @r#"
    error: `notify.alive` would send secrets and personal data unencrypted.
      --> rosterd.toml:14:9
       |
    14 | alive = "http://ping.example.org"
       |         ^^^^^^^^^^^^^^^^^^^^^^^^^
       |
       = hint: write https instead of http; plain http is taken to loopback only

    error: `providers.crm.http.concurrency` is 5, and GreenRope takes 4 requests at once.
      --> rosterd.toml:16:15
       |
    16 | concurrency = 5
       |               ^
       |
       = hint: write 4 or less

    error: `providers.crm.http.timeout` leaves no time for an answer.
      --> rosterd.toml:17:11
       |
    17 | timeout = "0s"
       |           ^^^^
       |
       = hint: write a duration such as "60s"
    "#);
}

#[test]
fn an_answer_may_be_long_and_not_too_short() {
    for (text, hint) in [
        ("4 apples", "write it as \"512MiB\" or \"4GiB\""),
        ("1kB", "write \"4GiB\", or leave the line out"),
        ("99999999999GiB", "write it as \"512MiB\" or \"4GiB\""),
    ] {
        let report = with(&format!("[providers.crm.http]\nmax_answer = \"{text}\"\n"));
        assert!(
            report.contains(hint) && report.contains("max_answer"),
            "{report}"
        );
    }
    let report = with("[providers.crm.http]\nmax_answer = \"512 MiB\"\n");
    assert!(!report.contains("max_answer"), "{report}");
}

#[test]
fn scopes_make_sense() {
    assert_snapshot!(with(
        "[jobs.j.groups]\ninclude = []\nexclude = [\"id:\", \"id:4*\", \"\", 5]\npin = { \"1\" = \"7\", \"2\" = \"7\", \"3\" = true }\n"
    ), @r#"
    error: `jobs.j.groups.include` is empty, so the job covers no group.
      --> rosterd.toml:14:11
       |
    14 | include = []
       |           ^^
       |
       = hint: write ["*"] for all groups

    error: A pattern of `jobs.j.groups.exclude` names no id after `id:`.
      --> rosterd.toml:15:12
       |
    15 | exclude = ["id:", "id:4*", "", 5]
       |            ^^^^^
       |
       = hint: write it as "id:9985"

    error: A pattern of `jobs.j.groups.exclude` has a pattern in an id.
      --> rosterd.toml:15:19
       |
    15 | exclude = ["id:", "id:4*", "", 5]
       |                   ^^^^^^^
       |
       = hint: write the whole id, or a pattern on the name without `id:`

    error: `jobs.j.groups.exclude` holds an empty text.
      --> rosterd.toml:15:28
       |
    15 | exclude = ["id:", "id:4*", "", 5]
       |                            ^^
       |
       = hint: leave it out

    error: `jobs.j.groups.exclude` must be a list of texts, not a whole number.
      --> rosterd.toml:15:32
       |
    15 | exclude = ["id:", "id:4*", "", 5]
       |                                ^

    error: `jobs.j.groups.pin` pairs both `1` and `2` with `7`.
      --> rosterd.toml:16:26
       |
    16 | pin = { "1" = "7", "2" = "7", "3" = true }
       |                          ^^^
       |
       = hint: a group at the target has one partner: take one pair out

    error: `jobs.j.groups.pin.3` must be an id as text, not true or false.
      --> rosterd.toml:16:37
       |
    16 | pin = { "1" = "7", "2" = "7", "3" = true }
       |                                     ^^^^
    "#);
    assert_snapshot!(instead("target = \"mail\"", "target = \"crm\""), @r#"
    error: `jobs.j` has one and the same account as source and target.
      --> rosterd.toml:12:10
       |
    12 | target = "crm"
       |          ^^^^^
       |
       = hint: name the provider of another account
    "#);
    assert_snapshot!(with("[jobs.j.groups]\nmissing = \"delete\"\n"), @r#"
    warning: `jobs.j.groups.missing` has no effect: mode `add` removes nothing.
      --> rosterd.toml:14:11
       |
    14 | missing = "delete"
       |           ^^^^^^^^
       |
       = hint: set `mode = "managed"` if groups shall go
    "#);
    assert_snapshot!(with("jitter = \"20m\"\nschedule = \"*/15 * * * *\"\n"), @r#"
    warning: `jobs.j.jitter` is not shorter than the time between two runs, and is cut to it.
      --> rosterd.toml:13:10
       |
    13 | jitter = "20m"
       |          ^^^^^
       |
       = hint: write a shorter duration
    "#);
    assert_snapshot!(rendered(&format!("{BASE}[jobs.\"\"]\nsource = \"crm\"\n[providers.\"a b\"]\nkind = 4\n")), @r#"
    error: `jobs.` lacks `target`.
      --> rosterd.toml:13:7
       |
    13 | [jobs.""]
       |       ^^
       |
       = hint: The provider that is written. Add `target = …`.

    error: `jobs` holds an empty name.
      --> rosterd.toml:13:7
       |
    13 | [jobs.""]
       |       ^^
       |
       = hint: give it a name of letters and digits

    error: `a b` can't be a name in `providers`.
      --> rosterd.toml:15:12
       |
    15 | [providers."a b"]
       |            ^^^^^
       |
       = hint: a name has at most 64 letters, digits, hyphens, underscores and dots

    error: `providers.a b.kind` must be a text, not a whole number.
      --> rosterd.toml:16:8
       |
    16 | kind = 4
       |        ^
    "#);
}

#[test]
fn a_target_gets_what_it_needs_and_nothing_it_lacks() {
    assert_snapshot!(rendered(&BASE.replace(
        "source = \"crm\"\ntarget = \"mail\"",
        "source = \"mail\"\ntarget = \"crm\"\nmode = \"managed\"\n[jobs.j.groups]\nmissing = \"archive\""
    )), @r#"
    error: `jobs.j` may create groups at `crm`, which needs values that a source of kind emfluence does not have: `sender_name`, `sender_email`, `postal_address`, `time_zone`.
      --> rosterd.toml:12:10
       |
    12 | target = "crm"
       |          ^^^^^
       |
       = hint: add them to [providers.crm.defaults]

    error: `jobs.j.groups.missing` asks to archive groups, and GreenRope has no archive.
      --> rosterd.toml:15:11
       |
    15 | missing = "archive"
       |           ^^^^^^^^^
       |
       = hint: write "keep" or "delete"
    "#);
    assert_snapshot!(with("create_fields = true\n"), @r#"
    error: `jobs.j.create_fields` asks for new custom fields, and emfluence can't create them by its API.
      --> rosterd.toml:13:17
       |
    13 | create_fields = true
       |                 ^^^^
       |
       = hint: create them at the provider, and leave the line out
    "#);
    assert_snapshot!(with("[providers.crm.defaults]\ngroup_type = \"Secret\"\nsender_email = \"nobody\"\nsender_url = \"x\"\n"), @r#"
    error: `providers.crm.defaults.group_type` can't be `Secret`.
      --> rosterd.toml:14:14
       |
    14 | group_type = "Secret"
       |              ^^^^^^^^
       |
       = hint: GreenRope takes `Public`, `Private`, `Hidden`

    error: `providers.crm.defaults.sender_email` is not an e-mail address.
      --> rosterd.toml:15:16
       |
    15 | sender_email = "nobody"
       |                ^^^^^^^^
       |
       = hint: write it as "name@example.org"

    error: `providers.crm.defaults.sender_url` belongs to ActiveCampaign lists only.
      --> rosterd.toml:16:1
       |
    16 | sender_url = "x"
       | ^^^^^^^^^^
       |
       = hint: leave it out
    "#);
    let covered = "source = \"mail\"\ntarget = \"crm\"\n[jobs.j.groups]\ninclude = [\"id:1\"]\npin = { 1 = \"2\" }";
    assert_eq!(
        rendered(&BASE.replace("source = \"crm\"\ntarget = \"mail\"", covered)),
        ""
    );
}

#[test]
fn expressions_are_held_against_both_sides() {
    assert_snapshot!(with(
        "[jobs.j.members]\nwhere = \"source.compnay == 'x'\"\n[jobs.j.map.group]\nnotez = \"source.id\"\ntotalMembers = \"1\"\n[jobs.j.map.member]\ncustomerID = \"source.id | uper\"\ncity = \"source.\"\n"
    ), @r#"
    error: `jobs.j.members.where`: `source` has no field `compnay`.
      --> rosterd.toml:14:17
       |
    14 | where = "source.compnay == 'x'"
       |                 ^^^^^^^
       |
       = hint: did you mean `source.company`?

    error: `jobs.j.map.group.notez`: `notez` is not a field of a group at emfluence.
      --> rosterd.toml:16:1
       |
    16 | notez = "source.id"
       | ^^^^^
       |
       = hint: did you mean `notes`?

    error: `jobs.j.map.group.totalMembers`: `totalMembers` of a group is read-only at emfluence.
      --> rosterd.toml:17:1
       |
    17 | totalMembers = "1"
       | ^^^^^^^^^^^^
       |
       = hint: remove this line

    error: `jobs.j.map.member.customerID`: there is no filter `uper`.
      --> rosterd.toml:19:27
       |
    19 | customerID = "source.id | uper"
       |                           ^^^^
       |
       = hint: did you mean `upper`?

    error: `jobs.j.map.member.city`: this is not an expression: unexpected end of input, expected identifier or integer.
      --> rosterd.toml:20:15
       |
    20 | city = "source."
       |               ^
    "#);
}

#[test]
fn circles_are_refused() {
    let back = "[providers.crm.defaults]\nsender_name = \"S\"\nsender_email = \"s@example.org\"\npostal_address = \"P\"\ntime_zone = \"UTC\"\n[jobs.k]\nsource = \"mail\"\ntarget = \"crm\"\n";
    assert_snapshot!(with(back), @r#"
    error: The jobs `j` and `k` carry the same groups in a circle.
      --> rosterd.toml:10:7
       |
    10 | [jobs.j]
       |       ^
       |
       = hint: narrow `groups.include` or `groups.exclude` of one of them until no group is in all
    "#);
    assert_eq!(
        with(&format!(
            "{back}groups.include = [\"Web *\"]\n[jobs.j.groups]\nexclude = [\"web *\"]\n"
        )),
        ""
    );
    assert_snapshot!(with(&format!("{back}groups.include = [\"Web *\"]\n[jobs.j.groups]\ninclude = [\"id:7\"]\n")), @r#"
    warning: The jobs `j` and `k` might carry a group in a circle: an id and a pattern can't be compared here.
      --> rosterd.toml:10:7
       |
    10 | [jobs.j]
       |       ^
       |
       = hint: narrow `groups.include` or `groups.exclude` of one of them until no group is in all
    "#);
    let third = "[providers.third]\nkind = \"emfluence\"\nbase_url = \"https://eu.example.org/v1\"\naccess_token = { env = \"U\" }\n[jobs.m]\nsource = \"mail\"\ntarget = \"third\"\n";
    assert_snapshot!(with(&format!("{third}{}", back.replace("source = \"mail\"", "source = \"third\""))), @r#"
    error: The jobs `j`, `m` and `k` carry the same groups in a circle.
      --> rosterd.toml:10:7
       |
    10 | [jobs.j]
       |       ^
       |
       = hint: narrow `groups.include` or `groups.exclude` of one of them until no group is in all
    "#);
}

#[test]
fn findings_are_also_json() {
    let findings = parse(
        "[jobs.j]\nsorce = 1\nsource = \"a\"\ntarget = \"b\"\n",
        Path::new("r.toml"),
    )
    .unwrap_err();
    insta::assert_json_snapshot!(findings.to_json(), @r#"
    [
      {
        "column": 1,
        "file": "r.toml",
        "hint": "add a table such as [providers.crm] with a `kind`",
        "line": 1,
        "message": "The file names no provider.",
        "severity": "warning"
      },
      {
        "column": 1,
        "file": "r.toml",
        "hint": "did you mean `source`?",
        "line": 2,
        "message": "`sorce` is not a key of `jobs.j`.",
        "severity": "error"
      },
      {
        "column": 10,
        "file": "r.toml",
        "hint": "add a [providers.NAME] table",
        "line": 3,
        "message": "`jobs.j.source` names the provider `a`, which is not configured.",
        "severity": "error"
      },
      {
        "column": 10,
        "file": "r.toml",
        "hint": "add a [providers.NAME] table",
        "line": 4,
        "message": "`jobs.j.target` names the provider `b`, which is not configured.",
        "severity": "error"
      }
    ]
    "#);
}

#[test]
fn a_file_that_is_not_there_says_what_to_do() {
    let error = load(Path::new("nowhere/rosterd.toml"))
        .unwrap_err()
        .to_string();
    assert_snapshot!(error, @"there is no config file nowhere/rosterd.toml; name one with --config or ROSTERD_CONFIG, or write one with `rosterd init`");
}
