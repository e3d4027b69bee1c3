//! What a look at the accounts says of the rights that the jobs will need, before anything is
//! written.

use axum::body::{Body, to_bytes};
use axum::extract::Request;
use axum::http::StatusCode;
use axum::middleware::{Next, from_fn};
use axum::response::IntoResponse;
use rosterd::emulator::{CustomField, Fault, FaultRule, Login, Rights, World};
use rosterd::run::SyncOptions;

use crate::support::readers::{address, on};
use crate::support::{bench, bench_of, group_of, plain_world, tell};

/// A world whose accounts of a name are reached by somebody with an ordinary job.
fn world(account: &str, permissions: &[&str], rights: Rights) -> World {
    let mut world = plain_world();
    let account = world.account_mut(account);
    account.add_group("News");
    let staff = account.add_user_group("Staff");
    account
        .user_group_mut(staff)
        .permissions
        .extend(permissions.iter().map(|name| (*name).to_owned()));
    let user = account.add_user("wanda", "wanda@example.org", staff);
    let login = Login::of_user(&account.name, u32::try_from(user).unwrap());
    account.logins[0] = Login {
        rights,
        owner: account.logins[0].owner,
        ..login
    };
    world
}

/// What is lacking at a provider that a job with some config lines writes to.
async fn lacks(world: World, target: &str, job: &str) -> Vec<String> {
    let bench = bench(world, "crm", target, job);
    let report = bench
        .runner()
        .check_online(target)
        .await
        .unwrap_or_else(|error| panic!("{target}: {error}"));
    assert!(bench.writes().is_empty(), "looking writes nothing");
    report.lacks
}

#[tokio::test(start_paused = true)]
async fn the_permissions_of_the_user_group_of_a_key_are_held_against_the_jobs() {
    let few = [
        "pg_subscriber_add",
        "pg_subscriber_import",
        "pg_list_edit",
        "pg_user_edit",
        "pg_group_edit",
    ];
    let lists = lacks(
        world("campaigns", &few, Rights::all()),
        "campaigns",
        "[jobs.test.members]\nremoval = \"unsubscribe\"",
    )
    .await;
    insta::assert_snapshot!(lists.join("\n"), @r"
    the user group of the key's user lacks pg_list_add, which creating lists takes; grant it there, or use an administrator's key
    the user group of the key's user lacks pg_subscriber_edit, which changing contacts and their lists takes; grant it there, or use an administrator's key
    ");
    let fields = "create_fields = true\n[jobs.test.groups]\nmissing = \"delete\"\n[jobs.test.members]\nremoval = \"unsubscribe\"";
    let fields = lacks(world("campaigns", &few, Rights::all()), "campaigns", fields).await;
    assert_eq!(fields.len(), 4, "{fields:?}");
    let staff = lacks(
        world("campaigns", &few, Rights::all()),
        "staff",
        "create_users = true",
    )
    .await;
    insta::assert_snapshot!(staff.join("\n"), @r"
    the user group of the key's user lacks pg_group_add, which creating user groups takes; grant it there, or use an administrator's key
    the user group of the key's user lacks pg_user_add, which creating users takes; grant it there, or use an administrator's key
    ");
    assert_eq!(
        lacks(world("campaigns", &few, Rights::all()), "staff", "")
            .await
            .len(),
        1,
        "no job creates users"
    );
    // An administrator may do everything, and nobody asks.
    assert!(
        lacks(
            plain_world(),
            "campaigns",
            "[jobs.test.members]\nremoval = \"unsubscribe\""
        )
        .await
        .is_empty()
    );
}

#[tokio::test(start_paused = true)]
async fn the_permissions_of_a_token_show_where_a_read_takes_them() {
    for (rights, expected) in [
        (Rights::all(), &[][..]),
        (
            Rights {
                create_groups: false,
                ..Rights::all()
            },
            &["Create Groups"][..],
        ),
        (
            Rights {
                contacts_edit: false,
                ..Rights::all()
            },
            &["Contacts (Edit)"][..],
        ),
        (
            Rights {
                create_groups: false,
                contacts_edit: false,
                ..Rights::all()
            },
            &["Create Groups", "Contacts (Edit)"][..],
        ),
        (
            Rights {
                contacts_delete: false,
                ..Rights::all()
            },
            &[][..],
        ),
    ] {
        let lacks = lacks(world("mail", &[], rights), "mail", "").await;
        assert_eq!(lacks.len(), expected.len(), "{rights:?}: {lacks:?}");
        assert!(
            lacks
                .iter()
                .zip(expected)
                .all(|(said, name)| said.contains(&format!("the permission {name},"))),
            "{lacks:?}"
        );
    }
}

#[tokio::test(start_paused = true)]
async fn an_account_that_no_job_writes_to_needs_no_rights_to_write() {
    let bench = bench_of(
        world("campaigns", &[], Rights::all()),
        "[jobs.test]\nsource = \"campaigns\"\ntarget = \"mail\"\n",
    );
    let report = bench.runner().check_online("campaigns").await.unwrap();
    assert_eq!((report.lacks.len(), report.remarks.len()), (0, 1));
}

/// A custom field whose label is not its system name.
fn level() -> CustomField {
    CustomField {
        id: 1,
        name: "custom1".to_owned(),
        label: "Level".to_owned(),
        data_type: "Text".to_owned(),
        max_length: 50,
        ..CustomField::default()
    }
}

/// An expression over custom fields by their labels, or over all of them, needs their names, which
/// not every token may list.
#[tokio::test(start_paused = true)]
async fn a_token_that_may_not_list_the_custom_fields_shows_where_a_job_reads_all_of_them() {
    let rights = Rights {
        client_admin: false,
        ..Rights::all()
    };
    for (line, lacks) in [
        ("where = \"source.custom[source.first_name] != ''\"", 1),
        ("where = \"source.custom['Level'] != 'Gold'\"", 1),
        ("where = \"source.custom['custom1'] != 'Gold'\"", 0),
    ] {
        let job = format!(
            "[jobs.test]\nsource = \"mail\"\ntarget = \"crm\"\n[jobs.test.members]\n{line}\n"
        );
        let mut world = world("mail", &[], rights);
        let mail = world.account_mut("mail");
        group_of(mail, "Readers", "reader", 2);
        mail.fields.push(level());
        let bench = bench_of(world, &job);
        let report = bench.runner().check_online("mail").await.unwrap();
        assert_eq!(report.lacks.len(), lacks, "{line}: {:?}", report.lacks);
        let report = bench.sync().await;
        let waits = if lacks > 0 { 4 } else { 0 };
        assert_eq!(report.exit_code(), waits, "{line}: {}", tell(&report));
    }
}

/// What the other account shows is not held against this one.
#[tokio::test(start_paused = true)]
async fn a_label_of_the_other_account_is_no_lack_of_this_one() {
    for target in ["mail", "campaigns"] {
        let mut world = plain_world();
        group_of(world.account_mut("crm"), "Readers", "reader", 2);
        world.account_mut(target).fields.push(level());
        let line = "[jobs.test.map.member]\n\"custom.Level\" = \"source.company\"";
        let bench = bench(world, "crm", target, line);
        let runner = bench.runner();
        for provider in ["crm", target] {
            let report = runner.check_online(provider).await.unwrap();
            assert_eq!(report.lacks, [""; 0], "{target}");
        }
        // At the target it is.
        let denied = FaultRule::every(Fault::ServerError(403)).at(target);
        for definitions in ["customFields/search", "GET /fields"] {
            bench.emulator.add_fault(denied.clone().on(definitions));
        }
        let report = runner.check_online(target).await.unwrap();
        assert_eq!(report.lacks.len(), 1, "{target}: {:?}", report.lacks);
    }
}

/// Some whose creation is denied say that a right is lacking, and the rest of the newcomers wait.
/// Whoever is created to hold a refusal is tried all the same.
#[tokio::test(start_paused = true)]
async fn a_creation_that_a_refusal_waits_for_is_tried_whatever_was_denied_before() {
    for target in ["crm", "mail2"] {
        let mut world = plain_world();
        group_of(world.account_mut("mail"), "News", "reader", 8);
        world.account_mut(target).add_group("News");
        let bench = bench(
            world,
            "mail",
            target,
            "[jobs.test.guards]\nmax_opt_outs = \"none\"",
        );
        for number in 0..6 {
            on(&bench, "mail", number, |account, _, contact| {
                account.opt_out_of_account(contact)
            });
        }
        let router =
            bench
                .emulator
                .router()
                .layer(from_fn(|request: Request, next: Next| async move {
                    let (parts, body) = request.into_parts();
                    let body = to_bytes(body, 1 << 20).await.unwrap();
                    let text = url::form_urlencoded::parse(&body);
                    let text: Vec<String> =
                        text.map(|(key, value)| format!("{key} {value}")).collect();
                    let text = text.join(" ");
                    let is_denied = |number: usize| text.contains(&address(number));
                    let writes = ["contacts/save", "contacts/import", "AddContactsRequest"];
                    let writes = writes
                        .iter()
                        .any(|write| parts.uri.path().ends_with(write) || text.contains(write));
                    if writes && (0..4).any(is_denied) {
                        return StatusCode::FORBIDDEN.into_response();
                    }
                    next.run(Request::from_parts(parts, Body::from(body))).await
                }));
        bench.rest().await;
        let runner = bench.runner_through(router);
        let report = runner.sync("test", SyncOptions::default()).await;
        let told = report.as_ref().map_or_else(ToString::to_string, tell);
        let refuses = |number: &usize| {
            bench.account(target, |account| {
                let contact = account.contact_by_email(&address(*number));
                contact.is_some_and(|id| account.contacts[&id].opted_out.is_some())
            })
        };
        let holds: Vec<usize> = (0..8).filter(refuses).collect();
        assert_eq!(holds, [4, 5], "{target}: {told}");
    }
}

/// A login that sees a part of the account makes no second list of a name that it may not see.
#[tokio::test(start_paused = true)]
async fn a_login_that_sees_a_part_makes_no_list_that_may_be_there() {
    let mut world = plain_world();
    group_of(world.account_mut("crm"), "News", "person", 4);
    let account = world.account_mut("campaigns");
    account.add_group("News");
    let staff = account.add_user_group("Staff");
    for name in ["pg_list_add", "pg_list_edit", "pg_subscriber_import"] {
        let group = account.user_group_mut(staff);
        group.permissions.insert(name.to_owned());
    }
    let user = account.add_user("wanda", "wanda@example.org", staff);
    let login = Login::of_user(&account.name, u32::try_from(user).unwrap());
    account.logins[0] = Login {
        rights: Rights::all(),
        owner: account.logins[0].owner,
        ..login
    };
    let bench = bench(world, "crm", "campaigns", "mode = \"managed\"");
    let report = bench.sync().await;
    assert_eq!(report.exit_code(), 4, "{}", tell(&report));
    assert_eq!(bench.sent(), []);
    let blocked = &report.blocked[0].detail;
    assert!(
        blocked.contains("make the group there by hand"),
        "{blocked}"
    );
}
