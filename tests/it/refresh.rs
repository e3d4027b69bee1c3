//! A target that was read a short while ago is not read again while nothing changes.

use rosterd::emulator::{
    Fault, FaultRule, Garbage, GroupKind, GroupStatus, RequestRecord, Seed, World,
};
use rosterd::run::{Outcome, RunReport};

use crate::support::{Bench, bench, group_of, plain_world};

const SIZE: Seed = Seed {
    seed: 7,
    groups: 8,
    members: 120,
};
const HOUR: i64 = 3600;
const JOB: &str =
    "[jobs.test]\nsource = \"crm\"\ntarget = \"mail\"\nmode = \"managed\"\nrefresh = \"6h\"\n";

struct Watch {
    bench: Bench,
}

impl Watch {
    /// A bench that was synced until the target is remembered.
    async fn settled(source: &str, target: &str, job: &str) -> Watch {
        let watch = Watch {
            bench: bench(World::seeded_in(source, &SIZE), source, target, job),
        };
        let first = watch.bench.sync().await;
        assert!(
            matches!(first.outcome, Outcome::Done | Outcome::Partial),
            "{:?}",
            first.error
        );
        let second = watch.bench.sync().await;
        assert_ne!(
            watch.reads_of(target),
            0,
            "what was written has to be read once"
        );
        assert!(
            second.requests.values().all(|requests| *requests == 0),
            "{:?}",
            second.requests
        );
        watch
    }

    fn requests(&self) -> Vec<RequestRecord> {
        let requests = self.bench.emulator.requests();
        self.bench.emulator.clear_log();
        requests
    }

    fn reads_of(&self, account: &str) -> usize {
        self.requests()
            .iter()
            .filter(|request| request.account == account)
            .count()
    }

    /// Syncs and tells how many requests the target got.
    async fn sync(&self, target: &str) -> (RunReport, usize) {
        self.bench.emulator.clear_log();
        let report = self.bench.sync().await;
        let count = self.reads_of(target);
        (report, count)
    }
}

fn says_it(report: &RunReport) -> bool {
    report
        .warnings
        .iter()
        .any(|warning| warning.starts_with("The target was not read; it was read "))
}

async fn is_left_alone(source: &str, target: &str) {
    let watch = Watch::settled(source, target, "mode = \"managed\"\nrefresh = \"6h\"").await;
    watch.bench.pass(2 * HOUR);
    let (report, asked) = watch.sync(target).await;
    assert_eq!(asked, 0, "{:?}", report.warnings);
    assert!(
        says_it(&report)
            && report
                .warnings
                .iter()
                .any(|warning| warning.contains("read 2 h ago")),
        "{:?}",
        report.warnings
    );
    assert_eq!(report.reads[target], 0);
    assert!(report.reads[source] > 0);

    let (_, asked) = watch.sync(target).await;
    assert_eq!(asked, 0, "what is remembered serves more than once");
    let plan = watch.bench.plan().await;
    assert!(
        plan.plan.is_empty()
            && plan
                .plan
                .warnings
                .iter()
                .any(|warning| warning.starts_with("The target was not read"))
    );
    assert_eq!(watch.reads_of(target), 0);

    watch.bench.pass(5 * HOUR);
    let (report, asked) = watch.sync(target).await;
    assert_ne!(asked, 0, "the memory is too old");
    assert!(!says_it(&report));
    let (_, asked) = watch.sync(target).await;
    assert_eq!(asked, 0, "and was renewed");
    watch.bench.assert_no_misuse();
}

#[tokio::test(start_paused = true)]
async fn an_emfluence_target_in_which_nothing_has_to_change_is_left_alone() {
    is_left_alone("crm", "mail").await;
}

#[tokio::test(start_paused = true)]
async fn a_greenrope_target_in_which_nothing_has_to_change_is_left_alone() {
    is_left_alone("mail", "crm").await;
}

#[tokio::test(start_paused = true)]
async fn without_refresh_the_target_is_always_read() {
    let watch = Watch::settled("crm", "mail", "mode = \"managed\"").await;
    let (report, asked) = watch.sync("mail").await;
    assert!(asked > 0 && !says_it(&report));
}

/// The first static group of an account that mails somebody, and the first whom it mails.
fn somebody(world: &World, account: &str) -> (u64, u64) {
    let account = world.account(account);
    let mut groups = account
        .groups
        .values()
        .filter(|group| group.kind == GroupKind::Static && group.status == GroupStatus::Active);
    groups
        .find_map(|group| {
            Some((
                group.id,
                account.contact_by_email(account.mailed_by(group.id).first()?)?,
            ))
        })
        .expect("the seed puts people into groups")
}

#[tokio::test(start_paused = true)]
async fn a_change_at_the_source_has_the_target_read_and_the_source_not_read_twice() {
    let watch = Watch::settled("crm", "mail", "mode = \"managed\"\nrefresh = \"6h\"").await;
    watch.bench.emulator.clear_log();
    watch.bench.sync().await;
    let source_alone = watch.reads_of("crm");

    let (_, person) = watch
        .bench
        .emulator
        .with_world(|world| somebody(world, "crm"));
    watch.bench.emulator.with_world(|world| {
        let id = world
            .account_mut("crm")
            .add_person("new-here@example.org", "Nea", "Wolf");
        let group = somebody(world, "crm").0;
        world.account_mut("crm").join(group, id);
    });
    watch.bench.emulator.clear_log();
    let report = watch.bench.sync().await;
    let requests = watch.requests();
    assert_eq!(report.summary.memberships_added, 1, "{report:?}");
    assert!(!says_it(&report));
    let of_source = requests
        .iter()
        .filter(|request| request.account == "crm")
        .count();
    assert_eq!(of_source, source_alone, "the source is read once");
    watch.bench.emulator.with_world(|world| {
        assert!(
            world
                .account("mail")
                .contact_by_email("new-here@example.org")
                .is_some()
        );
    });

    let (report, asked) = watch.sync("mail").await;
    assert!(
        asked > 0 && !says_it(&report),
        "a run that wrote leaves no memory"
    );
    let (_, asked) = watch.sync("mail").await;
    assert_eq!(asked, 0);

    watch.bench.emulator.with_world(|world| {
        world
            .account_mut("crm")
            .change_contact(person, [("first_name", "Renamed")], []);
    });
    let (report, asked) = watch.sync("mail").await;
    assert!(asked > 0, "a changed profile has to be compared");
    assert_eq!(report.summary.members_updated, 1, "{:?}", report.summary);
    watch.bench.assert_no_misuse();
}

#[tokio::test(start_paused = true)]
async fn an_outdated_memory_never_leads_to_a_write() {
    let watch = Watch::settled("crm", "mail", "mode = \"managed\"\nrefresh = \"6h\"").await;
    // Somebody who is not known there yet joins, refuses all mail at the target, and only then at
    // the source.
    watch.bench.emulator.with_world(|world| {
        let mail = world.account_mut("mail");
        let there = mail.add_contact("late@example.org");
        mail.opt_out_of_account(there);
        let group = somebody(world, "crm").0;
        let id = world
            .account_mut("crm")
            .add_person("late@example.org", "La", "Te");
        world.account_mut("crm").join(group, id);
    });
    let (report, asked) = watch.sync("mail").await;
    assert!(asked > 0);
    assert_eq!(
        report.summary.memberships_added, 0,
        "the refusal was seen before anything was written"
    );
    assert!(watch.bench.writes().is_empty());
}

#[tokio::test(start_paused = true)]
async fn another_config_a_write_of_another_job_or_a_doubt_has_the_target_read() {
    let mut watch = Watch::settled("crm", "mail", "mode = \"managed\"\nrefresh = \"6h\"").await;
    watch
        .bench
        .reconfigure(&format!("{JOB}[jobs.test.guards]\nfloor = 11"));
    let (_, asked) = watch.sync("mail").await;
    assert_ne!(asked, 0, "another config");
    assert_eq!(watch.sync("mail").await.1, 0);

    watch.bench.pass(7 * HOUR);
    watch.bench.emulator.add_fault(
        FaultRule::every(Fault::WrongCount(1))
            .at("mail")
            .on("groups/getContacts"),
    );
    let (report, _) = watch.sync("mail").await;
    watch.bench.emulator.clear_faults();
    assert_eq!(
        report.outcome,
        Outcome::Partial,
        "a listing that is not whole blocks its group"
    );
    assert_ne!(
        watch.sync("mail").await.1,
        0,
        "an incomplete reading is not remembered"
    );
}

#[tokio::test(start_paused = true)]
async fn whatever_another_job_writes_ends_the_memory() {
    let mut watch = Watch::settled("crm", "mail", "mode = \"managed\"\nrefresh = \"6h\"").await;
    assert_eq!(watch.sync("mail").await.1, 0);
    watch.bench.emulator.with_world(|world| {
        let crm2 = world.account_mut("crm2");
        let person = crm2.add_person("elsewhere@example.org", "El", "Where");
        let group = crm2.add_group("Elsewhere");
        crm2.join(group, person);
    });
    watch.bench.reconfigure(&format!(
        "{JOB}[jobs.other]\nsource = \"crm2\"\ntarget = \"mail\"\n"
    ));
    let report = watch.bench.sync_of("other").await;
    assert!(report.requests["mail"] > 0, "{report:?}");
    let (report, asked) = watch.sync("mail").await;
    assert!(asked > 0 && !says_it(&report));
}

#[tokio::test(start_paused = true)]
async fn a_saved_plan_is_held_against_a_fresh_reading() {
    let watch = Watch::settled("crm", "mail", "mode = \"managed\"\nrefresh = \"6h\"").await;
    let plan = watch.bench.plan().await.plan;
    assert_eq!(watch.reads_of("mail"), 0);
    watch
        .bench
        .apply(&plan.fingerprint, None)
        .await
        .expect("nothing has moved");
    assert_ne!(watch.reads_of("mail"), 0);
}

/// An odd record that is none of the job's business keeps nothing from being remembered; one that the
/// job names is looked at again, so that the run after its correction says so.
#[tokio::test(start_paused = true)]
async fn records_that_can_not_be_read_are_looked_at_again_where_the_job_names_them() {
    for is_concerned in [false, true] {
        let mut world = plain_world();
        group_of(world.account_mut("mail"), "News", "reader", 4);
        let crm = world.account_mut("crm");
        group_of(crm, "News", "reader", 4);
        let odd = if is_concerned {
            crm.contact_by_email("reader2@example.org").unwrap()
        } else {
            crm.add_person("odd@example.org", "Odd", "Example")
        };
        let profile = &mut crm.contact_mut(odd).profile;
        profile.insert("last_name".to_owned(), "Oddity".to_owned());
        let watch = Watch {
            bench: bench(
                world,
                "mail",
                "crm",
                "mode = \"managed\"\nrefresh = \"6h\"\n[jobs.test.members]\nupdate = false",
            ),
        };
        let fault = FaultRule::every(Fault::Garbled {
            text: "Oddity".to_owned(),
            with: Garbage::Control,
        });
        watch
            .bench
            .emulator
            .add_fault(fault.at("crm").on("GetContacts"));
        for _ in 0..2 {
            watch.bench.sync().await;
        }
        let (report, asked) = watch.sync("crm").await;
        assert_eq!(report.exit_code(), if is_concerned { 4 } else { 0 });
        assert_eq!(asked > 0, is_concerned, "{:?}", report.warnings);
        watch.bench.emulator.clear_faults();
        let (report, asked) = watch.sync("crm").await;
        assert_eq!(report.exit_code(), 0, "{:?}", report.warnings);
        assert_eq!(asked > 0, is_concerned, "{:?}", report.warnings);
    }
}
