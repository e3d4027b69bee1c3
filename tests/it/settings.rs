//! Each setting of a job or an account does what it says, seen from the accounts.

use rosterd::emulator::{Account, Fault, FaultRule, GroupKind, GroupStatus, MembershipState, When};
use rosterd::run::Outcome;

use crate::support::{Bench, bench_of, group_of, plain_world};

/// A GreenRope account with one group of three, and the emfluence account as `prepare` leaves it.
fn over(job: &str, prepare: impl FnOnce(&mut Account, &mut Account)) -> Bench {
    let mut world = plain_world();
    group_of(world.account_mut("crm"), "Donors", "donor", 3);
    let mut mail = world.account("mail").clone();
    prepare(world.account_mut("crm"), &mut mail);
    *world.account_mut("mail") = mail;
    bench_of(
        world,
        &format!("[jobs.test]\nsource = \"crm\"\ntarget = \"mail\"\nmode = \"managed\"\n{job}\n"),
    )
}

/// The same from emfluence to GreenRope.
fn back(job: &str, prepare: impl FnOnce(&mut Account)) -> Bench {
    let mut world = plain_world();
    group_of(world.account_mut("mail"), "Donors", "donor", 3);
    prepare(world.account_mut("mail"));
    bench_of(
        world,
        &format!("[jobs.test]\nsource = \"mail\"\ntarget = \"crm\"\nmode = \"managed\"\n{job}\n"),
    )
}

fn id_of(bench: &Bench, account: &str, group: &str) -> u64 {
    bench.account(account, |account| {
        account
            .find_group(group)
            .unwrap_or_else(|| panic!("no group \"{group}\""))
    })
}

fn blocked(report: &rosterd::run::RunReport) -> Vec<&'static str> {
    report
        .blocked
        .iter()
        .map(|blocked| blocked.reason.as_str())
        .collect()
}

#[tokio::test(start_paused = true)]
async fn created_groups_are_protected_unless_the_config_says_otherwise() {
    for (job, expected) in [("", true), ("[jobs.test.groups]\nprotect = false", false)] {
        let bench = over(job, |_, _| {});
        bench.settle().await;
        let id = id_of(&bench, "mail", "Donors");
        assert_eq!(
            bench.account("mail", |mail| mail.group(id).map(|group| group.protected)),
            Some(expected)
        );
    }
}

#[tokio::test(start_paused = true)]
async fn a_dynamic_group_is_left_out_or_copied_as_it_is_today() {
    let dynamic = |mail: &mut Account| {
        let id = group_of(mail, "Recent", "recent", 2);
        mail.group_mut(id).kind = GroupKind::Dynamic;
    };
    let bench = back("", dynamic);
    bench.settle().await;
    assert_eq!(bench.account("crm", |crm| crm.find_group("Recent")), None);
    let bench = back("[jobs.test.groups]\ndynamic = \"snapshot\"", dynamic);
    bench.settle().await;
    assert_eq!(bench.members("crm", "Recent").len(), 2);
}

#[tokio::test(start_paused = true)]
async fn a_pinned_pair_needs_no_common_name() {
    let mut world = plain_world();
    let source = group_of(world.account_mut("crm"), "Donors", "donor", 3);
    let target = world.account_mut("mail").add_group("Supporters");
    let job = format!(
        "[jobs.test]\nsource = \"crm\"\ntarget = \"mail\"\n[jobs.test.groups]\npin = {{ \"{source}\" = \"{target}\" }}\n[jobs.test.map.group]\ngroupName = \"'Supporters'\"\n"
    );
    let bench = bench_of(world, &job);
    bench.settle().await;
    assert_eq!(bench.members("mail", "Supporters").len(), 3);
    assert_eq!(
        bench.account("mail", |mail| mail.find_group("Donors")),
        None
    );
}

/// The provider trims and squeezes the blanks of names.
#[tokio::test(start_paused = true)]
async fn a_name_that_the_provider_spells_otherwise_is_settled_after_one_run() {
    let bench = back("", |mail| {
        let donors = mail.find_group("Donors").unwrap();
        mail.group_mut(donors).name = "Big   Donors ".to_owned();
    });
    bench.settle().await;
    assert_eq!(bench.members("crm", "Big Donors").len(), 3);
    bench.account("mail", |mail| {
        let donors = mail.find_group("Big   Donors ").unwrap();
        mail.group_mut(donors).name = "Bigger   Donors".to_owned();
    });
    bench.settle().await;
    assert_eq!(bench.members("crm", "Bigger Donors").len(), 3);
    assert_eq!(bench.account("crm", |crm| crm.groups.len()), 1);

    // So it is where the answer was lost.
    bench.account("mail", |mail| {
        group_of(mail, "Old   Friends", "friend", 2);
    });
    bench.emulator.add_fault(
        FaultRule::every(Fault::ResetAfterEffect)
            .at("crm")
            .on("CreateGroup")
            .when(When::First(1)),
    );
    bench.sync().await;
    bench.emulator.clear_faults();
    bench.sync().await;
    bench.settle().await;
    assert_eq!(bench.members("crm", "Old Friends").len(), 2);
    assert_eq!(bench.account("crm", |crm| crm.groups.len()), 2);
}

#[tokio::test(start_paused = true)]
async fn a_mapping_archives_and_restores_a_group() {
    let job = "[jobs.test.map.group]\nstatus = \"'Archived' if source.notes == 'over' else 'Active'\"\nnotes = \"source.active_members ~ ' of ' ~ source.member_count\"\n[jobs.test.guards]\nmax_group_removals = 1";
    let mut world = plain_world();
    let from = group_of(world.account_mut("mail"), "Donors", "donor", 3);
    let bench = bench_of(
        world,
        &format!("[jobs.test]\nsource = \"mail\"\ntarget = \"mail2\"\nmode = \"managed\"\n{job}"),
    );
    bench.settle().await;
    let there = || {
        bench.account("mail2", |archive| {
            let id = archive.find_group("Donors").unwrap();
            (
                archive.group(id).unwrap().status,
                archive.members_of(id).len(),
            )
        })
    };
    assert_eq!(there(), (GroupStatus::Active, 3));
    bench.account("mail", |mail| {
        mail.group_mut(from).notes = "over".to_owned();
    });
    let report = bench.settle().await;
    assert_eq!(report.summary.groups_archived, 1);
    assert_eq!(there(), (GroupStatus::Archived, 3));
    bench.account("mail", |mail| {
        mail.group_mut(from).notes = String::new();
        let (contact, _) = mail.members_of(from)[0];
        mail.leave(from, contact);
    });
    bench.sync().await;
    bench.settle().await;
    assert_eq!(there().0, GroupStatus::Active);
}

#[tokio::test(start_paused = true)]
async fn a_group_of_the_same_name_is_adopted_or_blocks() {
    let same = |_: &mut Account, mail: &mut Account| {
        mail.add_group("Donors");
    };
    let bench = over("", same);
    let report = bench.settle().await;
    assert_eq!(
        (report.summary.groups_adopted, report.summary.groups_created),
        (1, 0)
    );
    let bench = over("[jobs.test.groups]\nadopt = \"never\"", same);
    let report = bench.sync().await;
    assert_eq!(
        (report.outcome, blocked(&report)),
        (Outcome::Partial, vec!["name_taken"])
    );
    assert!(bench.members("mail", "Donors").is_empty());
}

#[tokio::test(start_paused = true)]
async fn a_group_whose_source_is_gone_is_kept_archived_or_deleted() {
    for (missing, there) in [
        ("keep", Some(GroupStatus::Active)),
        ("archive", Some(GroupStatus::Archived)),
        ("delete", None),
    ] {
        let job = format!(
            "[jobs.test.groups]\nmissing = \"{missing}\"\n[jobs.test.guards]\nmax_group_removals = 1"
        );
        let bench = over(&job, |crm, _| {
            group_of(crm, "Former", "former", 2);
        });
        bench.settle().await;
        let id = id_of(&bench, "mail", "Former");
        bench.account("crm", |crm| {
            crm.delete_group(crm.find_group("Former").expect("it was made"));
        });
        let report = bench.sync().await;
        assert!(
            report.refusals.is_empty(),
            "{missing}: {:?}",
            report.refusals
        );
        assert_eq!(
            bench.account("mail", |mail| mail.group(id).map(|group| group.status)),
            there,
            "{missing}"
        );
    }
}

#[tokio::test(start_paused = true)]
async fn no_request_holds_more_items_than_the_configured_cap() {
    let mut world = plain_world();
    group_of(world.account_mut("crm"), "Donors", "donor", 23);
    let bench = bench_of(
        world,
        "[providers.mail.http]\nbatch_size = 10\n[jobs.test]\nsource = \"crm\"\ntarget = \"mail\"\n",
    );
    bench.sync().await;
    let sent = bench.sent();
    assert!(sent.iter().any(|(_, items)| *items > 1), "{sent:?}");
    assert!(sent.iter().all(|(_, items)| *items <= 10), "{sent:?}");
    assert_eq!(bench.members("mail", "Donors").len(), 23);
}

#[tokio::test(start_paused = true)]
async fn people_are_created_only_where_that_is_allowed() {
    let bench = over("[jobs.test.members]\ncreate = false", |_, mail| {
        mail.add_contact("donor1@example.org");
    });
    let report = bench.settle().await;
    assert_eq!(
        bench
            .members("mail", "Donors")
            .into_keys()
            .collect::<Vec<_>>(),
        ["donor1@example.org"]
    );
    assert_eq!(report.withheld_by_reason.get("no_contact"), Some(&2));
}

#[tokio::test(start_paused = true)]
async fn profiles_are_changed_only_where_that_is_allowed() {
    for (job, expected) in [
        ("", "Renamed"),
        ("[jobs.test.members]\nupdate = false", "Donna"),
    ] {
        let bench = over(job, |crm, _| {
            let id = crm
                .contact_by_email("donor0@example.org")
                .expect("it was made");
            crm.change_contact(id, [("first_name", "Donna")], []);
        });
        bench.settle().await;
        bench.account("crm", |crm| {
            let id = crm
                .contact_by_email("donor0@example.org")
                .expect("it was made");
            crm.change_contact(id, [("first_name", "Renamed")], []);
        });
        bench.settle().await;
        let name = bench.account("mail", |mail| {
            let id = mail
                .contact_by_email("donor0@example.org")
                .expect("it was synced");
            mail.contact(id)
                .map(|contact| contact.get("first_name").to_owned())
        });
        assert_eq!(name.as_deref(), Some(expected));
    }
}

#[tokio::test(start_paused = true)]
async fn opt_outs_are_carried_or_only_bar() {
    for (carry, carried) in [("carry", true), ("skip", false)] {
        let job = format!(
            "[jobs.test.members]\nopt_outs = \"{carry}\"\n[jobs.test.guards]\nmax_opt_outs = \"none\""
        );
        let bench = over(&job, |_, _| {});
        bench.settle().await;
        bench.account("crm", |crm| {
            crm.opt_out_of_account(
                crm.contact_by_email("donor0@example.org")
                    .expect("it was made"),
            )
        });
        bench.sync().await;
        let refuses = bench.account("mail", |mail| {
            let id = mail
                .contact_by_email("donor0@example.org")
                .expect("it was synced");
            mail.contact(id)
                .is_some_and(|contact| contact.opted_out.is_some())
        });
        assert_eq!(refuses, carried, "{carry}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_group_that_mails_newcomers_is_filled_only_on_demand() {
    let mails = |_: &mut Account, mail: &mut Account| {
        let id = mail.add_group("Donors");
        mail.group_mut(id).auto_response = Some(7);
    };
    let bench = over("", mails);
    let report = bench.sync().await;
    assert_eq!(blocked(&report), ["target_refused"]);
    assert!(bench.members("mail", "Donors").is_empty());
    let bench = over("allow_auto_response = true", mails);
    bench.sync().await;
    assert_eq!(bench.members("mail", "Donors").len(), 3);
}

#[tokio::test(start_paused = true)]
async fn a_login_that_sees_a_part_proves_nothing_by_absence() {
    let job = "[jobs.test.groups]\nmissing = \"delete\"\n[jobs.test.guards]\nmax_group_removals = \"none\"";
    for (shared, kept) in [(true, true), (false, false)] {
        let mut world = plain_world();
        group_of(world.account_mut("mail"), "Donors", "donor", 2);
        group_of(world.account_mut("mail"), "Former", "former", 2);
        let text = format!(
            "[jobs.test]\nsource = \"mail\"\ntarget = \"crm\"\nmode = \"managed\"\n{job}\n"
        );
        let mut bench = bench_of(world, &text);
        bench.settle().await;
        bench.account("mail", |mail| {
            mail.delete_group(mail.find_group("Former").expect("it was made"));
        });
        if shared {
            bench.reconfigure_with(|config| {
                config
                    .providers
                    .get_mut("mail")
                    .expect("it is configured")
                    .shared_access = true;
            });
        }
        bench.sync().await;
        assert_eq!(
            bench.account("crm", |crm| crm.find_group("Former").is_some()),
            kept,
            "shared access: {shared}"
        );
    }
}

#[tokio::test(start_paused = true)]
async fn a_share_is_judged_from_the_floor_on() {
    for (floor, refused) in [(3, false), (2, true)] {
        let job = format!("[jobs.test.guards]\nfloor = {floor}\nmax_membership_removals = \"10%\"");
        let bench = over(&job, |crm, _| {
            group_of(crm, "Big", "big", 12);
        });
        bench.settle().await;
        bench.account("crm", |crm| {
            let group = crm.find_group("Big").expect("it was made");
            for person in ["big0@example.org", "big1@example.org"] {
                crm.leave(group, crm.contact_by_email(person).expect("it was made"));
            }
        });
        let report = bench.sync().await;
        assert_eq!(
            report.outcome == Outcome::Refused,
            refused,
            "{:?}",
            report.refusals
        );
        let active = bench
            .members("mail", "Big")
            .values()
            .filter(|state| **state == MembershipState::Active)
            .count();
        assert_eq!(active, if refused { 12 } else { 10 });
    }
}
