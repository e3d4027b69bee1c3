use insta::assert_snapshot;

use super::*;
use crate::config::settled::{Credentials, Removal};
use crate::model::ProviderKind;

/// Lists and user groups of one account, and an account of another kind.
const BASE: &str = r#"
[providers.campaigns]
kind = "activecampaign"
base_url = "https://example.api-us1.com/"
api_key = { env = "K" }
groups = "lists"
[providers.campaigns.defaults]
sender_name = "Example Society"
sender_addr1 = "1 Example Street"
sender_city = "Springfield"
sender_zip = "62701"
sender_country = "USA"
sender_url = "https://www.example.org"
sender_reminder = "You signed up at www.example.org"
[providers.staff]
kind = "activecampaign"
base_url = "https://example.api-us1.com"
api_key = { env = "K" }
groups = "user-groups"
parking_group = 5
[providers.mail]
kind = "emfluence"
access_token = { env = "T" }
[jobs.j]
source = "mail"
target = "campaigns"
"#;

/// Replaces parts of the base and returns what is said.
fn instead(changes: &[(&str, &str)]) -> String {
    let mut text = BASE.to_owned();
    for (old, new) in changes {
        assert!(text.contains(old), "{old}");
        text = text.replacen(old, new, 1);
    }
    rendered(&text)
}

/// Says something to the job between two providers.
fn job(source: &str, target: &str, lines: &str) -> String {
    let job = format!("source = \"{source}\"\ntarget = \"{target}\"\n{lines}");
    instead(&[("source = \"mail\"\ntarget = \"campaigns\"\n", &job)])
}

#[test]
fn an_account_has_the_pace_of_its_service() {
    assert_eq!(rendered(BASE), "");
    let known = config(BASE);
    let campaigns = &known.providers["campaigns"];
    assert_eq!(campaigns.kind, ProviderKind::ActiveCampaignLists);
    assert_eq!(
        (
            campaigns.http.requests_per_minute,
            campaigns.http.concurrency
        ),
        (Some(240), 2)
    );
    assert!(
        matches!(campaigns.credentials, Credentials::ApiKey(_))
            && campaigns.parking_group.is_none()
    );
    assert_eq!(campaigns.defaults.len(), 7);
    let staff = &known.providers["staff"];
    assert_eq!(
        (staff.kind, staff.parking_group.as_deref()),
        (ProviderKind::ActiveCampaignUsers, Some("5"))
    );
    assert_eq!(
        staff.account_key(),
        campaigns.account_key(),
        "one account has one lock"
    );
    assert_ne!(
        staff.groups_key(),
        campaigns.groups_key(),
        "and two kinds of group"
    );
    let job = &known.jobs["j"];
    assert_eq!(
        (
            job.members.removal,
            job.members.readd,
            job.members.create_users
        ),
        (Removal::Unsubscribe, false, false)
    );
    assert!(!job.users_as_contacts);
}

#[test]
fn one_host_is_one_account_whatever_the_key() {
    let second = |host: &str| {
        let lists = format!(
            "[providers.letters]\nkind = \"activecampaign\"\nbase_url = \"{host}\"\napi_key = {{ env = \"L\" }}\ngroups = \"lists\"\n[providers.staff]"
        );
        instead(&[("[providers.staff]", &lists)])
    };
    for host in ["https://example.api-us1.com", "https://other.api-us1.com"] {
        assert_eq!(second(host), "", "two names may stand for one account");
    }
    // A rehearsal serves several accounts under one address.
    let local = BASE.replace("https://example.api-us1.com", "http://127.0.0.1:9");
    let staff = local.replacen(
        "api_key = { env = \"K\" }\ngroups = \"user",
        "api_key = { env = \"L\" }\ngroups = \"user",
        1,
    );
    let keys = |text: &str| {
        let known = config(text);
        (
            known.providers["campaigns"].account_key(),
            known.providers["staff"].account_key(),
        )
    };
    let (campaigns, other) = keys(&staff);
    assert_ne!(campaigns, other);
    let (campaigns, other) = keys(&BASE.replacen(
        "{ env = \"K\" }\ngroups = \"user",
        "{ env = \"L\" }\ngroups = \"user",
        1,
    ));
    assert_eq!(
        campaigns, other,
        "two keys of one account share its lock and its pace"
    );
}

#[test]
fn what_counts_as_a_group_has_to_be_said() {
    assert_snapshot!(instead(&[("groups = \"lists\"\n", "")]), @r#"
    error: `providers.campaigns` lacks `groups`: ActiveCampaign has two things that could be a group. `groups = "lists"` means the lists, whose members are contacts and get mail; `groups = "user-groups"` means the groups of the people who log in to the account, with their permissions.
     --> rosterd.toml:2:12
      |
    2 | [providers.campaigns]
      |            ^^^^^^^^^
      |
      = hint: write `groups = "lists"` to sync audiences, `groups = "user-groups"` to sync staff
    "#);
    assert_snapshot!(instead(&[("groups = \"lists\"\n", "groups = \"list\"\n")]), @r#"
    error: `providers.campaigns.groups` must be one of `lists`, `user-groups`.
     --> rosterd.toml:6:10
      |
    6 | groups = "list"
      |          ^^^^^^
      |
      = hint: did you mean `lists`?
    "#);
}

#[test]
fn an_account_needs_a_host_and_a_key() {
    assert_snapshot!(instead(&[("base_url = \"https://example.api-us1.com/\"\napi_key = { env = \"K\" }\n", "")]), @r#"
    error: `providers.campaigns` lacks `api_key`.
     --> rosterd.toml:2:12
      |
    2 | [providers.campaigns]
      |            ^^^^^^^^^
      |
      = hint: add api_key = { env = "NAME" } or { file = "PATH" }, the key that Settings > Developer shows

    error: `providers.campaigns` lacks `base_url`.
     --> rosterd.toml:2:12
      |
    2 | [providers.campaigns]
      |            ^^^^^^^^^
      |
      = hint: add the address that Settings > Developer shows, as in "https://example.api-us1.com"
    "#);
    assert_snapshot!(instead(&[("api-us1.com/", "api-us1.com/admin/api.php")]), @r#"
    error: `providers.campaigns.base_url` ends in `/admin/api.php`, which rosterd adds itself.
     --> rosterd.toml:4:12
      |
    4 | base_url = "https://example.api-us1.com/admin/api.php"
      |            ^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^
      |
      = hint: write the host alone, as in "https://example.api-us1.com"
    "#);
    assert_snapshot!(instead(&[("api-us1.com/", "api-us1.com/api/3/")]), @r#"
    error: `providers.campaigns.base_url` ends in `/api/3`, which rosterd adds itself.
     --> rosterd.toml:4:12
      |
    4 | base_url = "https://example.api-us1.com/api/3/"
      |            ^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^
      |
      = hint: write the host alone, as in "https://example.api-us1.com"
    "#);
    assert_snapshot!(instead(&[("{ env = \"K\" }", "\"0123456789abcdef\"")]), @r#"
    error: `providers.campaigns.api_key` holds a secret in plain text.
    --> rosterd.toml:5:11
     = hint: give it as { env = "NAME" }, { file = "PATH" }, { credential = "NAME" } (systemd) or { command = ["PROGRAM", "ARGUMENT"] }
    "#);
}

#[test]
fn the_service_bounds_pace_and_concurrency() {
    let http =
        "[providers.campaigns.http]\nrequests_per_minute = 301\nconcurrency = 3\n[providers.staff]";
    assert_snapshot!(instead(&[("[providers.staff]", http)]), @r"
    error: `providers.campaigns.http.requests_per_minute` is above 300: ActiveCampaign takes five requests a second from an account.
      --> rosterd.toml:16:23
       |
    16 | requests_per_minute = 301
       |                       ^^^
       |
       = hint: write 240, which leaves room for other users of the account, or 300 at most

    error: `providers.campaigns.http.concurrency` is 3, and rosterd sends ActiveCampaign at most 2 requests at once.
      --> rosterd.toml:17:15
       |
    17 | concurrency = 3
       |               ^
       |
       = hint: write 2 or less
    ");
    let local = "http://127.0.0.1:8099/activecampaign";
    let fast = "[providers.campaigns.http]\nrequests_per_minute = 100000\n[providers.staff]";
    assert_eq!(
        instead(&[
            ("https://example.api-us1.com/", local),
            ("[providers.staff]", fast)
        ]),
        ""
    );
}

#[test]
fn keys_of_lists_and_of_user_groups_are_told_apart() {
    assert_snapshot!(instead(&[("groups = \"lists\"\n", "groups = \"lists\"\nparking_group = \"5\"\n")]), @r#"
    error: `providers.campaigns.parking_group` belongs to ActiveCampaign user groups only.
     --> rosterd.toml:7:1
      |
    7 | parking_group = "5"
      | ^^^^^^^^^^^^^
      |
      = hint: leave it out
    "#);
    assert_snapshot!(
        instead(&[("parking_group = 5\n", "parking_group = 5\n[providers.staff.defaults]\nsender_zip = \"62701\"\n")]),
        @r#"
    error: `providers.staff.defaults.sender_zip` belongs to ActiveCampaign lists only.
      --> rosterd.toml:22:1
       |
    22 | sender_zip = "62701"
       | ^^^^^^^^^^
       |
       = hint: leave it out
    "#
    );
    assert_snapshot!(job("mail", "campaigns", "create_users = true\nusers_as_contacts = true\n"), @r"
    error: `jobs.j.create_users` belongs to ActiveCampaign user groups as the target only.
      --> rosterd.toml:27:1
       |
    27 | create_users = true
       | ^^^^^^^^^^^^
       |
       = hint: leave it out

    error: `jobs.j.users_as_contacts` belongs to ActiveCampaign user groups as the source only.
      --> rosterd.toml:28:1
       |
    28 | users_as_contacts = true
       | ^^^^^^^^^^^^^^^^^
       |
       = hint: leave it out
    ");
    assert_snapshot!(job("mail", "staff", "[jobs.j.members]\nremoval = \"detach\"\nreadd = true\n"), @r#"
    error: `jobs.j.members.removal` belongs to ActiveCampaign lists as the target only.
      --> rosterd.toml:28:1
       |
    28 | removal = "detach"
       | ^^^^^^^
       |
       = hint: leave it out

    error: `jobs.j.members.readd` belongs to ActiveCampaign lists as the target only.
      --> rosterd.toml:29:1
       |
    29 | readd = true
       | ^^^^^
       |
       = hint: leave it out
    "#);
    assert_snapshot!(job("campaigns", "mail", "[jobs.j.members]\nreadd = true\n"), @r"
    error: `jobs.j.members.readd` belongs to ActiveCampaign lists as the target only.
      --> rosterd.toml:28:1
       |
    28 | readd = true
       | ^^^^^
       |
       = hint: leave it out
    ");
    assert_eq!(job("mail", "staff", "create_users = true\n"), "");
}

#[test]
fn a_list_needs_a_whole_sender() {
    assert_snapshot!(instead(&[("sender_zip = \"62701\"\n", ""), ("sender_reminder = \"You signed up at www.example.org\"\n", "")]), @r#"
    error: `jobs.j` may create groups at `campaigns`, which needs values that a source of kind emfluence does not have: `sender_zip`, `sender_reminder`.
      --> rosterd.toml:24:10
       |
    24 | target = "campaigns"
       |          ^^^^^^^^^^^
       |
       = hint: add them to [providers.campaigns.defaults]
    "#);
    assert_eq!(job("mail", "staff", ""), "", "a user group needs none");
    let other = "[providers.other]\nkind = \"activecampaign\"\nbase_url = \"https://other.api-us1.com\"\napi_key = { env = \"O\" }\ngroups = \"lists\"\n";
    assert_eq!(
        job("campaigns", "other", other),
        "",
        "the source's lists have one"
    );
}

#[test]
fn a_list_has_no_archive_and_a_removal_is_not_what_it_seems() {
    assert_snapshot!(job("mail", "campaigns", "mode = \"managed\"\n[jobs.j.groups]\nmissing = \"archive\"\n"), @r#"
    warning: `jobs.j` takes people off lists by an unsubscription, which ActiveCampaign shows like a refusal of their own; rosterd remembers which ones it wrote.
      --> rosterd.toml:26:10
       |
    26 | target = "campaigns"
       |          ^^^^^^^^^^^
       |
       = hint: write `removal = "unsubscribe"` under `members` to confirm that, or "detach" to take the membership away without a trace

    error: `jobs.j.groups.missing` asks to archive groups, and ActiveCampaign has no archive.
      --> rosterd.toml:29:11
       |
    29 | missing = "archive"
       |           ^^^^^^^^^
       |
       = hint: write "keep" or "delete"
    "#);
    assert_eq!(
        job(
            "mail",
            "campaigns",
            "mode = \"mirror\"\n[jobs.j.members]\nremoval = \"unsubscribe\"\n"
        ),
        ""
    );
    assert_snapshot!(job("mail", "staff", "create_fields = true\n"), @r"
    error: `jobs.j.create_fields` asks for new custom fields, and ActiveCampaign has none for its users.
      --> rosterd.toml:27:17
       |
    27 | create_fields = true
       |                 ^^^^
       |
       = hint: leave the line out
    ");
}

#[test]
fn staff_is_not_mailed_unasked() {
    assert_snapshot!(job("staff", "campaigns", ""), @r#"
    error: `jobs.j` would turn people who log in to `staff` into contacts at `campaigns`, who get mail.
      --> rosterd.toml:25:10
       |
    25 | source = "staff"
       |          ^^^^^^^
       |
       = hint: if staff shall be mailed, add `users_as_contacts = true` to the job
    "#);
    assert_eq!(
        job("staff", "campaigns", "users_as_contacts = true\n"),
        "",
        "lists and user groups of one account are not the same groups"
    );
    let said = |from: &str, to: &str| {
        implicit_job(&config(BASE), from, to)
            .unwrap_err()
            .to_string()
    };
    assert_snapshot!(said("staff", "mail"), @"Users who log in to `staff` would become contacts at `mail`: configure a job with `users_as_contacts = true` if that is meant.");
    assert_snapshot!(implicit_job(&config(&BASE.replace("parking_group = 5\n", "")), "mail", "staff").unwrap_err(), @"Users may have to leave their groups at `staff`: add `parking_group` to [providers.staff], the id of an ordinary user group.");
    assert!(implicit_job(&config(BASE), "mail", "staff").is_ok());
}

#[test]
fn users_who_leave_need_a_place_to_go() {
    let without = |lines: &str| {
        let job = format!("source = \"mail\"\ntarget = \"staff\"\n{lines}");
        instead(&[
            ("parking_group = 5\n", ""),
            ("source = \"mail\"\ntarget = \"campaigns\"\n", &job),
        ])
    };
    assert_snapshot!(without(""), @r#"
    error: `jobs.j` may have to move users out of their groups (a refusal of mail, which a user group can't hold, ends the membership), and `providers.staff.parking_group` does not say where to.
      --> rosterd.toml:25:10
       |
    25 | target = "staff"
       |          ^^^^^^^
       |
       = hint: add `parking_group = "ID"` to [providers.staff], the id of an ordinary user group without rights; or write `opt_outs = "skip"` under `members`
    "#);
    assert_snapshot!(without("mode = \"mirror\"\n"), @r#"
    error: `jobs.j` may have to move users out of their groups (mode `mirror` takes out whom the source lacks), and `providers.staff.parking_group` does not say where to.
      --> rosterd.toml:25:10
       |
    25 | target = "staff"
       |          ^^^^^^^
       |
       = hint: add `parking_group = "ID"` to [providers.staff], the id of an ordinary user group without rights
    "#);
    assert_snapshot!(without("mode = \"managed\"\n[jobs.j.groups]\nmissing = \"delete\"\n"), @r#"
    error: `jobs.j` may have to move users out of their groups (people leave the source, and groups without a source are deleted), and `providers.staff.parking_group` does not say where to.
      --> rosterd.toml:25:10
       |
    25 | target = "staff"
       |          ^^^^^^^
       |
       = hint: add `parking_group = "ID"` to [providers.staff], the id of an ordinary user group without rights
    "#);
    assert_eq!(without("[jobs.j.members]\nopt_outs = \"skip\"\n"), "");
}

#[test]
fn the_parking_group_is_never_in_scope() {
    assert_snapshot!(job("mail", "staff", "[jobs.j.groups]\npin = { \"17\" = 5 }\n"), @r#"
    error: `jobs.j.groups.pin` names the parking group of the target, which is never in scope.
      --> rosterd.toml:28:16
       |
    28 | pin = { "17" = 5 }
       |                ^
       |
       = hint: name another group: users are moved to the parking group when they leave theirs
    "#);
    assert_snapshot!(
        job("staff", "mail", "users_as_contacts = true\n[jobs.j.groups]\ninclude = [\"*\", \"id:5\"]\npin = { 5 = \"17\" }\n"),
        @r#"
    error: `jobs.j.groups.include` names the parking group of the source, which is never in scope.
      --> rosterd.toml:29:17
       |
    29 | include = ["*", "id:5"]
       |                 ^^^^^^
       |
       = hint: name another group: users are moved to the parking group when they leave theirs

    error: `jobs.j.groups.pin` names the parking group of the source, which is never in scope.
      --> rosterd.toml:30:9
       |
    30 | pin = { 5 = "17" }
       |         ^
       |
       = hint: name another group: users are moved to the parking group when they leave theirs
    "#
    );
}

#[test]
fn rights_and_limits_are_mapped_like_any_other_field() {
    let sound = "pg_list_add = \"true\"\nlimit_mail = \"1000\"\nlimit_mail_type = \"'month'\"\nlists = \"['3']\"\n";
    assert_eq!(
        job("mail", "staff", &format!("[jobs.j.map.group]\n{sound}")),
        ""
    );
    let wrong = "pg_lst_add = \"true\"\nlist_edit = \"true\"\npg_user_add = \"'often'\"\nlimit_mail = \"'many'\"\nlimit_mail_type = \"'hourly'\"\nsdate = \"'today'\"\n\"permissions.form_edit\" = \"true\"\n";
    assert_snapshot!(job("mail", "staff", &format!("[jobs.j.map.group]\n{wrong}")), @r#"
    error: `jobs.j.map.group.pg_lst_add`: `pg_lst_add` is not a field of a user group at ActiveCampaign.
      --> rosterd.toml:28:1
       |
    28 | pg_lst_add = "true"
       | ^^^^^^^^^^
       |
       = hint: did you mean `pg_list_add`?

    error: `jobs.j.map.group.list_edit`: `list_edit` is not a field of a user group at ActiveCampaign.
      --> rosterd.toml:29:1
       |
    29 | list_edit = "true"
       | ^^^^^^^^^
       |
       = hint: did you mean `pg_list_edit`?

    error: `jobs.j.map.group.pg_user_add`: the result does not fit a field of type boolean.
      --> rosterd.toml:30:1
       |
    30 | pg_user_add = "'often'"
       | ^^^^^^^^^^^
       |
       = hint: it takes true or false

    error: `jobs.j.map.group.limit_mail`: the result does not fit a field of type integer.
      --> rosterd.toml:31:1
       |
    31 | limit_mail = "'many'"
       | ^^^^^^^^^^
       |
       = hint: it takes a whole number, as in `source.member_count | int`

    error: `jobs.j.map.group.limit_mail_type`: the result is not one of day, week, month, month1st, monthcdate, year, ever.
      --> rosterd.toml:32:1
       |
    32 | limit_mail_type = "'hourly'"
       | ^^^^^^^^^^^^^^^

    error: `jobs.j.map.group.sdate`: `sdate` of a user group is read-only at ActiveCampaign.
      --> rosterd.toml:33:1
       |
    33 | sdate = "'today'"
       | ^^^^^
       |
       = hint: remove this line

    error: `jobs.j.map.group.permissions.form_edit`: `permissions.form_edit` is not a field of a user group at ActiveCampaign.
      --> rosterd.toml:34:1
       |
    34 | "permissions.form_edit" = "true"
       | ^^^^^^^^^^^^^^^^^^^^^^^
       |
       = hint: did you mean `pg_form_edit`?
    "#);
    assert_snapshot!(job("mail", "staff", "[jobs.j.map.group]\nlimit_campaign_type = \"'week'\"\n"), @r#"
    error: `jobs.j.map.group.limit_campaign_type` is not taken without its limit.
      --> rosterd.toml:28:1
       |
    28 | limit_campaign_type = "'week'"
       | ^^^^^^^^^^^^^^^^^^^
       |
       = hint: add a line for `limit_campaign`, or leave this one out
    "#);
    assert_snapshot!(job("mail", "campaigns", "[jobs.j.map.group]\nprivate = \"true\"\nfulladdress = \"source.name\"\npg_list_add = \"true\"\n"), @r#"
    error: `jobs.j.map.group.fulladdress`: `fulladdress` of a list is read-only at ActiveCampaign.
      --> rosterd.toml:29:1
       |
    29 | fulladdress = "source.name"
       | ^^^^^^^^^^^
       |
       = hint: remove this line

    error: `jobs.j.map.group.pg_list_add`: `pg_list_add` is not a field of a list at ActiveCampaign.
      --> rosterd.toml:30:1
       |
    30 | pg_list_add = "true"
       | ^^^^^^^^^^^
       |
       = hint: `rosterd schema fields` lists the fields
    "#);
    assert_snapshot!(job("staff", "mail", "users_as_contacts = true\n[jobs.j.map.group]\nnotes = \"source.permissions.list_add ~ source.limits.mail ~ source.permisions.list_add\"\n"), @r#"
    error: `jobs.j.map.group.notes`: `source` has no field `permisions`.
      --> rosterd.toml:29:68
       |
    29 | notes = "source.permissions.list_add ~ source.limits.mail ~ source.permisions.list_add"
       |                                                                    ^^^^^^^^^^
       |
       = hint: did you mean `source.permissions`?
    "#);
}
