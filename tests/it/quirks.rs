//! Where the documentation leaves a choice, either answer leads to the same target.

use rosterd::emulator::{
    Counted, Fault, FaultRule, GreenRopeQuirks, Seed, Settings, UnknownGroup, When, World,
};
use rosterd::run::{Outcome, SyncOptions};

use crate::support::oracle::Oracle;
use crate::support::{bench, group_of, plain_world, tell};

const SIZE: Seed = Seed {
    seed: 11,
    groups: 6,
    members: 60,
};

/// Runs both directions with a quirk at every account.
async fn settles_with(name: &str, quirk: impl Fn(&mut Settings)) {
    for (source, target) in [
        ("crm", "mail"),
        ("mail", "crm"),
        ("crm", "crm2"),
        ("mail", "mail2"),
    ] {
        let mut world = World::seeded_in(source, &SIZE);
        world
            .accounts
            .iter_mut()
            .for_each(|account| quirk(&mut account.settings));
        let bench = bench(world, source, target, "mode = \"managed\"");
        let (from, before) = (
            bench.account(source, |account| account.clone()),
            bench.account(target, |account| account.clone()),
        );
        let report = bench.sync().await;
        let place = format!("{name}, {source} to {target}: {}", tell(&report));
        assert!(
            matches!(report.outcome, Outcome::Done | Outcome::Partial),
            "{place}"
        );
        assert!(report.failures.is_empty(), "{place}");
        assert!(
            report
                .blocked
                .iter()
                .all(|blocked| blocked.reason.as_str() == "bad_address"),
            "{place}"
        );
        let after = bench.account(target, |account| account.clone());
        Oracle {
            source: &from,
            before: &before,
            after: &after,
            source_name: source,
        }
        .judge();
        bench.assert_settled().await;
    }
}

#[tokio::test(start_paused = true)]
async fn emfluence_types_and_shapes() {
    settles_with("plain types", |settings| {
        let quirks = &mut settings.emfluence;
        (
            quirks.digits_as_numbers,
            quirks.words_as_booleans,
            quirks.mixed_flags,
        ) = (false, false, false);
        (
            quirks.no_empty_data,
            quirks.missing_as_empty,
            quirks.update_resets_flags,
        ) = (false, false, false);
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn emfluence_judges_rows_strictly() {
    settles_with("strict rows", |settings| {
        settings.emfluence.strict_rows = true;
    })
    .await;
    settles_with("one bad row", |settings| {
        settings.emfluence.bad_row_refuses_import = true;
    })
    .await;
    settles_with("a counter that lags", |settings| {
        settings.emfluence.lagging_counter = 2;
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn greenrope_counts_in_its_own_way() {
    settles_with("not the opted-out", |settings| {
        settings.greenrope.counted = Counted::NotOptedOut;
    })
    .await;
    settles_with("not the bounced", |settings| {
        settings.greenrope.counted = Counted::NotBounced;
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn greenrope_leaves_things_out() {
    settles_with("no request ids", |settings| {
        settings.greenrope.no_request_id = true;
    })
    .await;
    settles_with("strict items", |settings| {
        settings.greenrope.strict_items = true;
        settings.greenrope.no_id_in_failed_items = true;
        settings.greenrope.unknown_group = UnknownGroup::Create;
    })
    .await;
}

/// An error where the opt-outs of a group should be never means that there are none.
#[tokio::test(start_paused = true)]
async fn an_error_instead_of_opt_outs_is_no_empty_list() {
    for (source, target) in [("crm", "mail"), ("mail", "crm")] {
        let mut world = plain_world();
        group_of(world.account_mut(source), "News", "person", 4);
        group_of(world.account_mut(target), "News", "other", 2);
        world.account_mut("crm").settings.greenrope.empty_is_error = true;
        let bench = bench(world, source, target, "mode = \"mirror\"");
        bench.account("mail", |account| account.add_group("Empty"));
        let report = bench.sync().await;
        assert_eq!(report.exit_code(), 4, "{}", tell(&report));
        assert!(
            report
                .blocked
                .iter()
                .any(|blocked| blocked.reason.as_str() == "incomplete_read"),
            "{}",
            tell(&report)
        );
        assert_eq!(
            report.summary.memberships_added + report.summary.memberships_removed,
            0,
            "{}",
            tell(&report)
        );
        assert_eq!(bench.members(target, "News").len(), 2);
    }
}

/// A new account may show no list of groups at all, or call that an error. As a target it is an empty
/// one; once something is linked there, and as a source, it proves nothing. Where it shows no people
/// either, somebody has to say so.
#[tokio::test(start_paused = true)]
async fn a_new_greenrope_account_may_show_no_list_of_groups() {
    let quirks = [
        (|quirks| quirks.no_group_list = true) as fn(&mut GreenRopeQuirks),
        |quirks| quirks.empty_is_error = true,
    ];
    let cases = quirks
        .iter()
        .flat_map(|quirk| [(quirk, false), (quirk, true)]);
    for (quirk, is_silent) in cases {
        let mut world = plain_world();
        group_of(world.account_mut("mail"), "News", "person", 4);
        if !is_silent {
            let account = world.account_mut("crm");
            account.add_person("bo@example.org", "Bo", "Example");
        }
        quirk(&mut world.account_mut("crm").settings.greenrope);
        let bench = bench(world, "mail", "crm", "mode = \"managed\"");
        let runner = bench.runner();
        let believed = |sentences: &[String]| {
            let shows = |one: &String| one.contains("shows no list of groups");
            sentences.iter().any(shows)
        };
        let online = runner.check_online("crm").await.unwrap();
        assert!(
            online.groups == 0 && believed(&online.remarks),
            "{online:?}"
        );
        let predicted = runner.predict("test").await.unwrap();
        assert!(believed(&predicted.warnings), "{predicted:?}");
        assert!(believed(&bench.plan().await.plan.warnings));
        let mut report = bench.sync().await;
        if is_silent {
            assert_eq!(report.refusals.len(), 1, "{}", tell(&report));
            assert_eq!(report.refusals[0].guard, "unseen_groups");
            assert!(bench.writes().is_empty());
            report = bench.approve(&report.refusals[0].approval).await;
        }
        assert_eq!(report.summary.groups_created, 1, "{}", tell(&report));
        bench.account("crm", |account| {
            account.settings.greenrope = GreenRopeQuirks::default();
        });
        bench.settle().await;
        assert_eq!(bench.members("crm", "News").len(), 4);
        // Now the list should be there.
        let missing = FaultRule::every(Fault::MissingList);
        bench.emulator.add_fault(missing.at("crm").on("GetGroups"));
        bench.writes();
        bench.plan_error().await;
        assert!(bench.writes().is_empty());
    }
    let mut world = plain_world();
    world.account_mut("crm").settings.greenrope.no_group_list = true;
    let bench = bench(world, "crm", "mail", "mode = \"managed\"");
    assert!(bench.plan_error().await.contains("make one there by hand"));
}

/// Where rosterd remembers nothing of an account, its contacts still say that it has groups, or do not
/// say that it has none: none is made a second time for a list that did not come.
#[tokio::test(start_paused = true)]
async fn an_account_whose_contacts_are_in_groups_is_no_new_one() {
    for omit_groups in [false, true] {
        let mut world = plain_world();
        group_of(world.account_mut("mail"), "News", "person", 4);
        group_of(world.account_mut("crm"), "News", "person", 4);
        world.account_mut("crm").settings.greenrope.omit_groups = omit_groups;
        let bench = bench(world, "mail", "crm", "mode = \"managed\"");
        let missing = FaultRule::every(Fault::MissingList);
        bench.emulator.add_fault(missing.at("crm").on("GetGroups"));
        let error = bench.plan_error().await;
        assert!(
            error.contains("no list of groups") && error.contains("make one there by hand"),
            "{error}"
        );
        let result = bench.runner().check_online("crm").await;
        assert!(result.is_err() && bench.writes().is_empty());
    }
}

/// A creation in doubt is never settled by an answer that has no list.
#[tokio::test(start_paused = true)]
async fn a_lost_creation_is_not_settled_by_an_answer_without_a_list() {
    for (fault, is_new) in [
        (Fault::ResetAfterEffect, false),
        (Fault::ResetBeforeEffect, true),
    ] {
        let mut world = plain_world();
        group_of(world.account_mut("mail"), "News", "person", 4);
        let account = world.account_mut("crm");
        account.settings.greenrope.no_group_list = is_new;
        account.add_person("bo@example.org", "Bo", "Example");
        let bench = bench(
            world,
            "mail",
            "crm",
            "mode = \"managed\"\ngroups.adopt = \"never\"",
        );
        let lost = FaultRule::every(fault).at("crm").on("CreateGroup");
        bench.emulator.add_fault(lost.when(When::First(1)));
        let missing = FaultRule::every(Fault::MissingList);
        bench.emulator.add_fault(missing.at("crm").on("GetGroups"));
        bench.rest().await;
        let synced = bench.runner().sync("test", SyncOptions::default()).await;
        assert_ne!(synced.map_or(1, |report| report.exit_code()), 0);
        bench.emulator.clear_faults();
        bench.pass(90_000);
        if is_new {
            assert!(bench.plan_error().await.contains("make one there by hand"));
            bench.account("crm", |account| account.add_group("By hand"));
        }
        bench.settle().await;
        assert_eq!(bench.members("crm", "News").len(), 4);
    }
}
