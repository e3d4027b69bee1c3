//! A run keeps the pace of its provider, however long each answer takes.

use std::time::Duration;

use rosterd::emulator::{Fault, FaultRule, MembershipState, RequestRecord, When};

use crate::support::{Bench, bench, group_of, plain_world, removing_freely, tell};

/// What ActiveCampaign allows: four requests a second, two of them under way.
const MILLIS_A_REQUEST: u64 = 250;
const PEOPLE: usize = 510;
const TARGET: &str = "campaigns";

/// A job of whose people all have just refused the group, and whose target answers each request after
/// four tenths of a second.
async fn far_away(people: usize, trouble: Option<FaultRule>) -> Bench {
    let mut world = plain_world();
    group_of(world.account_mut("crm"), "News", "person", people);
    let mut bench = bench(
        world,
        "crm",
        TARGET,
        "[jobs.test.guards]\nmax_opt_outs = \"none\"",
    );
    let report = bench.sync().await;
    assert_eq!(report.exit_code(), 0, "{}", tell(&report));
    bench.settle().await;
    // One person a request, so that few people make many requests.
    bench.reconfigure_with(|config| {
        let provider = config.providers.get_mut(TARGET).unwrap();
        provider.http.batch_size = Some(1);
    });
    bench.account("crm", |account| {
        let group = account.find_group("News").unwrap();
        for number in 0..people {
            let email = format!("person{number}@example.org");
            let contact = account.contact_by_email(&email).unwrap();
            account.opt_out_of_group(group, contact);
        }
    });
    if let Some(rule) = trouble {
        bench.emulator.add_fault(rule);
    }
    let late = Fault::Latency(Duration::from_millis(400));
    bench.emulator.add_fault(FaultRule::every(late).at(TARGET));
    bench.emulator.clear_log();
    bench
}

/// The requests to the target between the first that writes and the last, both included.
fn while_writing(bench: &Bench) -> Vec<RequestRecord> {
    let mut requests = bench.emulator.requests();
    requests.retain(|request| request.account == TARGET);
    let writes = |request: &RequestRecord| request.is_write;
    let first = requests.iter().position(writes).unwrap();
    let last = requests.iter().rposition(writes).unwrap();
    requests[first..=last].to_vec()
}

#[tokio::test(start_paused = true)]
async fn requests_overlap_as_far_as_the_provider_takes_them() {
    let bench = far_away(PEOPLE, None).await;
    let report = bench.sync().await;
    assert_eq!(report.exit_code(), 0, "{}", tell(&report));
    let requests = while_writing(&bench);
    assert!(requests.len() >= PEOPLE, "{}", requests.len());
    let took = requests.last().unwrap().millis - requests[0].millis;
    let least = (requests.len() as u64 - 1) * MILLIS_A_REQUEST;
    assert!(
        took >= least && took * 100 <= least * 105,
        "{} requests take {least} ms at the pace of the provider, and took {took}",
        requests.len()
    );
    let members = bench.members(TARGET, "News");
    let refuses = |state: &MembershipState| *state == MembershipState::OptedOut;
    assert!(members.len() == PEOPLE && members.values().all(refuses));
    bench.assert_no_misuse();
    bench.assert_idle("after the writes").await;
}

#[tokio::test(start_paused = true)]
async fn of_two_requests_under_way_one_that_is_lost_holds_up_no_other() {
    for fault in [
        Fault::SlowAnswer(Duration::from_mins(2)),
        Fault::ServerError(503),
        Fault::ServerError(400),
    ] {
        let rule = FaultRule::every(fault.clone()).at(TARGET);
        let rule = rule.on("contact_sync").when(When::EachNth(7));
        let bench = far_away(40, Some(rule)).await;
        bench.sync_until_good(&format!("{fault:?}")).await;
        let members = bench.members(TARGET, "News");
        let refuses = |state: &MembershipState| *state == MembershipState::OptedOut;
        assert!(
            members.len() == 40 && members.values().all(refuses),
            "{fault:?}"
        );
        bench.emulator.clear_faults();
        bench.assert_no_misuse();
        bench.assert_idle("after the writes").await;
    }
}

#[tokio::test(start_paused = true)]
async fn no_removal_is_under_way_while_the_next_one_is_looked_at() {
    for removal in ["unsubscribe", "detach"] {
        let mut world = plain_world();
        let group = group_of(world.account_mut("crm"), "News", "person", 30);
        let job = format!(
            "{}\n[jobs.test.members]\nremoval = \"{removal}\"",
            removing_freely("managed")
        );
        let mut bench = bench(world, "crm", TARGET, &job);
        bench.reconfigure_with(|config| {
            let provider = config.providers.get_mut(TARGET).unwrap();
            provider.http.batch_size = Some(1);
        });
        bench.settle().await;
        bench.account("crm", |account| {
            for number in 0..8 {
                let email = format!("person{number}@example.org");
                let contact = account.contact_by_email(&email).unwrap();
                account.leave(group, contact);
            }
        });
        let late = Fault::Latency(Duration::from_millis(400));
        bench.emulator.add_fault(FaultRule::every(late).at(TARGET));
        bench.emulator.clear_log();
        let report = bench.sync().await;
        assert_eq!(report.exit_code(), 0, "{removal}: {}", tell(&report));
        let requests = while_writing(&bench);
        let writes = |request: &&RequestRecord| request.is_write;
        assert_eq!(requests.iter().filter(writes).count(), 8, "{removal}");
        for (at, write) in requests.iter().enumerate().filter(|(_, it)| it.is_write) {
            let next = requests.get(at + 1).map(|next| next.millis);
            assert!(
                next.is_none_or(|next| next >= write.millis + 400),
                "{removal}: something is asked before a removal has ended: {requests:#?}"
            );
        }
        let mut members = bench.members(TARGET, "News");
        members.retain(|_, state| *state == MembershipState::Active);
        assert_eq!(members.len(), 22, "{removal}");
        bench.assert_no_misuse();
    }
}

/// What is under way shows in what is read meanwhile, as a state of its own or as a listing that moves.
#[tokio::test(start_paused = true)]
async fn nothing_else_is_under_way_while_a_lost_request_is_looked_for() {
    for fault in [Fault::ServerError(503), Fault::ResetAfterEffect] {
        let rule = FaultRule::every(fault.clone()).at(TARGET);
        let rule = rule.on("contact_sync").when(When::EachNth(7));
        let bench = far_away(40, Some(rule)).await;
        bench.sync().await;
        bench.emulator.clear_faults();
        let requests = while_writing(&bench);
        let (writes, looks): (Vec<_>, Vec<_>) = requests.iter().partition(|it| it.is_write);
        assert!(!looks.is_empty(), "{fault:?}");
        for look in looks {
            let overlaps = |write: &&&RequestRecord| look.millis.abs_diff(write.millis) < 400;
            let write = writes.iter().find(overlaps);
            assert!(write.is_none(), "{fault:?}: {write:#?} and {look:#?}");
        }
        bench.sync_until_good(&format!("{fault:?}")).await;
        let members = bench.members(TARGET, "News");
        let refuses = |state: &MembershipState| *state == MembershipState::OptedOut;
        assert!(members.len() == 40 && members.values().all(refuses));
        bench.assert_no_misuse();
    }
}

/// Imports of one person each take so long that the list is read anew between them.
#[tokio::test(start_paused = true)]
async fn nothing_is_under_way_while_a_list_is_read_anew() {
    const BACKGROUND: u64 = 8;
    let mut world = plain_world();
    let account = world.account_mut(TARGET);
    account.settings.activecampaign.background_seconds = BACKGROUND;
    account.add_group("News");
    group_of(world.account_mut("crm"), "News", "person", 250);
    let mut bench = bench(world, "crm", TARGET, "");
    bench.reconfigure_with(|config| {
        let provider = config.providers.get_mut(TARGET).unwrap();
        provider.http.batch_size = Some(1);
    });
    let report = bench.sync().await;
    assert_eq!(report.exit_code(), 0, "{}", tell(&report));
    let requests = while_writing(&bench);
    let imports: Vec<_> = requests.iter().filter(|it| it.is_write).collect();
    let overlap = |two: &[&RequestRecord]| two[1].millis < two[0].millis + BACKGROUND * 1000;
    assert!(imports.windows(2).any(overlap), "they overlap elsewhere");
    let looks = requests.iter().filter(|it| it.operation == "GET /contacts");
    let looks: Vec<u64> = looks.map(|look| look.millis).collect();
    assert!(!looks.is_empty());
    for look in looks {
        let mut before = imports.iter().filter(|import| import.millis <= look);
        let last = before.next_back().unwrap().millis;
        assert!(look >= last + BACKGROUND * 1000, "{last}, {look}");
    }
    assert_eq!(bench.members(TARGET, "News").len(), 250);
    bench.assert_no_misuse();
}

/// Somebody gave a contact the address of another one at the target, in another spelling. The requests
/// about the two, who are different people at the source, may be about one and the same to the provider.
#[tokio::test(start_paused = true)]
async fn two_requests_that_may_mean_one_address_never_overlap() {
    let spellings = ["bo@xn--bcher-kva.test", "bo@b\u{fc}cher.test"];
    let people = [spellings[0], "eve@example.org"];
    let mut world = plain_world();
    let account = world.account_mut("crm");
    let group = account.add_group("News");
    for email in people {
        let contact = account.add_person(email, "Ana", "Example");
        account.join(group, contact);
    }
    let mut bench = bench(
        world,
        "crm",
        TARGET,
        "[jobs.test.guards]\nmax_opt_outs = \"none\"\non_drift = \"keep\"",
    );
    bench.reconfigure_with(|config| {
        let provider = config.providers.get_mut(TARGET).unwrap();
        provider.http.batch_size = Some(1);
    });
    bench.settle().await;
    bench.account(TARGET, |account| {
        let eve = account.contact_by_email(people[1]).unwrap();
        account.contacts.get_mut(&eve).unwrap().email = spellings[1].to_owned();
    });
    bench.account("crm", |account| {
        for email in people {
            let contact = account.contact_by_email(email).unwrap();
            account.opt_out_of_group(group, contact);
        }
    });
    let late = Fault::Latency(Duration::from_millis(400));
    bench.emulator.add_fault(FaultRule::every(late).at(TARGET));
    bench.emulator.clear_log();
    let report = bench.sync().await;
    let mut writes = while_writing(&bench);
    writes.retain(|it| it.is_write);
    let times: Vec<u64> = writes.iter().map(|it| it.millis).collect();
    let [first, second] = times[..] else {
        panic!("{writes:#?}\n{}", tell(&report));
    };
    assert!(second >= first + 400, "{first}, {second}");
    let members = bench.members(TARGET, "News");
    let refuses = |state: &MembershipState| *state == MembershipState::OptedOut;
    assert!(
        members.len() == 2 && members.values().all(refuses),
        "{members:?}"
    );
    bench.assert_no_misuse();
}
