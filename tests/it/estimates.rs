//! What is predicted of requests is what is sent.

use std::collections::BTreeMap;
use std::sync::Mutex;

use futures_util::future::BoxFuture;
use rosterd::emulator::{Seed, World};
use rosterd::model::ProviderKind;
use rosterd::run::{Assessed, Confirm, Estimate, Planned, RunReport};

use crate::support::{Bench, bench, provider, tell};

const SIZE: Seed = Seed {
    seed: 3,
    groups: 30,
    members: 400,
};

/// Says yes, and keeps what was shown.
#[derive(Default)]
struct Yes {
    shown: Mutex<Option<Estimate>>,
}

impl Confirm for Yes {
    fn show(&self, _: &Planned, _: &Assessed, estimate: &Estimate) {
        *self.shown.lock().unwrap() = Some(estimate.clone());
    }

    fn is_asked(&self) -> bool {
        true
    }

    fn command(&self) -> String {
        "rosterd migrate test".to_owned()
    }

    fn ask(&self) -> BoxFuture<'_, bool> {
        Box::pin(std::future::ready(true))
    }
}

/// The job of a pair that carries as much as both can hold.
fn job(source: ProviderKind, target: ProviderKind) -> String {
    let users = ProviderKind::ActiveCampaignUsers;
    let mut job = String::new();
    if source == users && target != source {
        job += "users_as_contacts = true\n";
    }
    if target == users {
        job += "create_users = true\n[jobs.test.members]\nopt_outs = \"skip\"\n";
    } else {
        job += "mode = \"managed\"\n";
    }
    job + "[jobs.test.guards]\nmax_opt_outs = \"none\"\nmax_membership_removals = \"none\"\nmax_membership_removals_per_group = \"none\"\n"
}

fn of(counts: &BTreeMap<String, u64>, name: &str) -> u64 {
    counts.get(name).copied().unwrap_or_default()
}

/// Notes what was predicted otherwise than it came by more than a tenth.
fn compare(wrong: &mut Vec<String>, place: &str, predicted: u64, sent: u64) {
    if predicted.abs_diff(sent) * 10 > sent {
        wrong.push(format!("{place}: predicted {predicted}, sent {sent}"));
    }
}

/// Plans, runs, and holds one against the other.
async fn one_run(
    bench: &Bench,
    [source, target]: [&String; 2],
    wrong: &mut Vec<String>,
    what: &str,
) {
    let planned = bench.plan().await;
    bench.rest().await;
    bench.emulator.clear_log();
    let report: RunReport = bench.sync().await;
    assert!(report.error.is_none(), "{what}: {}", tell(&report));
    let cost = &planned.cost;
    let place = format!("{what}, {source} to {target}");
    compare(
        wrong,
        &format!("{place}, reads of {source}"),
        of(&cost.reads, source),
        of(&report.reads, source),
    );
    compare(
        wrong,
        &format!("{place}, reads of {target}"),
        of(&cost.reads, target),
        of(&report.reads, target),
    );
    compare(
        wrong,
        &format!("{place}, writes"),
        of(&cost.requests, target),
        of(&report.requests, target),
    );
}

/// Somebody leaves, somebody comes, somebody is called otherwise, and somebody refuses.
fn go_on(bench: &Bench, account: &str, kind: ProviderKind) {
    if kind == ProviderKind::ActiveCampaignUsers {
        return;
    }
    bench.account(account, |account| {
        let groups: Vec<u64> = account.groups.keys().copied().collect();
        for group in groups.iter().step_by(3) {
            let members = account.members_of(*group);
            if let Some((leaver, _)) = members.first() {
                account.leave(*group, *leaver);
            }
            if let Some((renamed, _)) = members.get(1) {
                account.change_contact(*renamed, [("last_name", "Renamed")], []);
            }
            if let Some((refuser, _)) = members.get(2) {
                account.opt_out_of_account(*refuser);
            }
            let new = account.add_person(&format!("new{group}@example.org"), "New", "Comer");
            account.join(*group, new);
        }
    });
}

/// Holds what is predicted of a source's pairs against what is sent.
async fn hold(source: ProviderKind) {
    let mut wrong = Vec::new();
    for target in ProviderKind::ALL {
        let (from, account) = provider(source, false);
        let world = World::seeded_all(&account, &SIZE).without_pace();
        // One that is empty, and one that holds some of it already.
        for second in [true, false] {
            let (to, at) = provider(target, second);
            if at == account {
                continue;
            }
            let bench = bench(world.clone(), &from, &to, &job(source, target));
            one_run(&bench, [&from, &to], &mut wrong, "first run").await;
            if second {
                go_on(&bench, &account, source);
                one_run(&bench, [&from, &to], &mut wrong, "later run").await;
            }
        }
        let (to, _) = provider(target, true);
        let bench = bench(world, &from, &to, &job(source, target));
        let yes = Yes::default();
        let migrated = bench.runner().migrate("test", None, &yes).await;
        let report = migrated.unwrap_or_else(|error| panic!("{from} to {to}: {error}"));
        let asked_after = report.migration.as_ref().unwrap().asked_after;
        let estimate = yes.shown.lock().unwrap().take().unwrap();
        let predicted: u64 = estimate.accounts.iter().map(|account| account.reads).sum();
        let sent = report.reads.values().sum::<u64>() - asked_after;
        let place = format!("migration, {from} to {to}");
        compare(&mut wrong, &format!("{place}, reads"), predicted, sent);
        let predicted = estimate.accounts.iter().map(|account| account.writes).sum();
        let sent = report.requests.values().sum();
        compare(&mut wrong, &format!("{place}, writes"), predicted, sent);
        // The copy of the source, which the migration changed nothing of.
        bench.rest().await;
        let copied = bench.runner().read_everything(&from).await.unwrap();
        compare(
            &mut wrong,
            &format!("copy before {place}"),
            estimate.accounts[0].copying,
            copied.requests,
        );
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
}

#[tokio::test(start_paused = true)]
async fn what_leads_from_emfluence_sends_what_was_predicted() {
    hold(ProviderKind::Emfluence).await;
}

#[tokio::test(start_paused = true)]
async fn what_leads_from_greenrope_sends_what_was_predicted() {
    hold(ProviderKind::GreenRope).await;
}

#[tokio::test(start_paused = true)]
async fn what_leads_from_lists_sends_what_was_predicted() {
    hold(ProviderKind::ActiveCampaignLists).await;
}

#[tokio::test(start_paused = true)]
async fn what_leads_from_user_groups_sends_what_was_predicted() {
    hold(ProviderKind::ActiveCampaignUsers).await;
}
