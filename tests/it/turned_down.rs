//! Batches that a provider turns down as a whole, and what happens beside them.

use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

use rosterd::emulator::MembershipState::Active;
use rosterd::emulator::{Account, Emulator, Fault, FaultRule, When};
use rosterd::run::RunReport;
use rosterd::state::JournalMoment;

use crate::support::readers::address;
use crate::support::{Bench, bench, group_of, plain_world, removing_freely, tell};

/// What somebody does at an account: with a group, and a contact.
type Way = fn(&mut Account, u64, u64);

/// Does something right before the first request leaves.
fn before_the_first_request(bench: &Bench, work: impl Fn(&Emulator) + Send + Sync + 'static) {
    let (emulator, seen) = (bench.emulator.clone(), AtomicBool::new(false));
    bench.store.watch_journal(move |reached| {
        if reached == JournalMoment::IntentKept && !seen.swap(true, Ordering::SeqCst) {
            work(&emulator);
        }
    });
}

/// Plays a run through its trouble and ends that; once all thirty are in the group, the source lets some
/// of them go.
async fn sync_and_let_go(bench: &Bench, numbers: &[usize]) -> RunReport {
    bench.sync().await;
    bench.store.watch_journal(|_| ());
    bench.emulator.clear_faults();
    bench.pass(90_000);
    bench.settle().await;
    assert_eq!(bench.members("mail", "News").len(), 30);
    bench.account("crm", |account| {
        let group = account.find_group("News").unwrap();
        for number in numbers {
            let contact = account.contact_by_email(&address(*number)).unwrap();
            account.leave(group, contact);
        }
    });
    bench.settle().await
}

fn refuse_batches_with(emulator: &Emulator, poison: &str, operation: &str) {
    let poison = Fault::PoisonItem(poison.to_owned());
    emulator.add_fault(FaultRule::every(poison).at("mail").on(operation));
}

/// A batch that is denied is tried in halves only as far as it is known how people stand by now: whoever
/// can't be placed is not added once more, and the provider's words are what is said of them.
#[tokio::test(start_paused = true)]
async fn a_denied_addition_is_not_sent_again_where_nobody_can_tell_who_refuses_by_now() {
    let mut world = plain_world();
    group_of(world.account_mut("crm"), "News", "reader", 30);
    let account = world.account_mut("mail");
    group_of(account, "Elsewhere", "reader", 30);
    account.add_group("News");
    let bench = bench(world, "crm", "mail", "mode = \"managed\"");
    before_the_first_request(&bench, move |emulator| {
        let denied = FaultRule::every(Fault::ServerError(403)).at("mail");
        emulator.add_fault(denied.on("groups/addContacts"));
        let unread = FaultRule::every(Fault::WrongCount(5)).at("mail");
        emulator.add_fault(unread.on("groups/getContacts"));
    });
    bench.writes();
    let report = bench.sync().await;
    bench.store.watch_journal(|_| ());
    let place = tell(&report);
    let sent = bench.writes();
    let additions = sent
        .iter()
        .filter(|line| line.operation.contains("addContacts"));
    assert_eq!(additions.count(), 1, "{sent:?} {place}");
    assert_eq!(report.exit_code(), 4, "{place}");
    assert_eq!(report.failures.len(), 30, "{place}");
    for failure in &report.failures {
        let words = &failure.message;
        assert!(
            words.contains("403") && words.contains("not sent again"),
            "{words}"
        );
    }
    bench.emulator.clear_faults();
    bench.settle().await;
    assert_eq!(bench.members("mail", "News").len(), 30);
}

/// Whoever joined while a batch was refused as a whole was not brought by it: the group keeps them when
/// the source lets them go.
#[tokio::test(start_paused = true)]
async fn whoever_joined_beside_a_refused_batch_is_not_rosterds() {
    let mut world = plain_world();
    group_of(world.account_mut("crm"), "News", "reader", 30);
    let account = world.account_mut("mail");
    group_of(account, "Elsewhere", "reader", 30);
    let news = account.add_group("News");
    let poison = account.contact_by_email("reader5@example.org").unwrap();
    let bench = bench(world, "crm", "mail", &removing_freely("managed"));
    before_the_first_request(&bench, move |emulator| {
        refuse_batches_with(emulator, &poison.to_string(), "groups/addContacts");
        emulator.with_world(|world| {
            let account = world.account_mut("mail");
            let contact = account.contact_by_email("reader3@example.org").unwrap();
            account.join(news, contact);
        });
    });
    let report = sync_and_let_go(&bench, &[3, 4]).await;
    let members = bench.members("mail", "News");
    let stays = |number| members.contains_key(&address(number));
    assert!(stays(3) && !stays(4), "{}", tell(&report));
}

/// Newcomers of a batch that was refused, whom nobody can look for, hold up nobody else.
#[tokio::test(start_paused = true)]
async fn newcomers_who_cannot_be_looked_for_hold_up_nobody_else() {
    let mut world = plain_world();
    let account = world.account_mut("crm");
    group_of(account, "News", "reader", 30);
    group_of(account, "Others", "other", 10);
    let bench = bench(world, "crm", "mail", "mode = \"managed\"");
    before_the_first_request(&bench, move |emulator| {
        refuse_batches_with(emulator, &address(5), "contacts/import");
        let unread = FaultRule::every(Fault::WrongCount(5)).at("mail");
        emulator.add_fault(unread.on("groups/getContacts"));
    });
    let report = bench.sync().await;
    bench.store.watch_journal(|_| ());
    let place = tell(&report);
    assert_eq!(report.exit_code(), 4, "{place}");
    assert_eq!(bench.members("mail", "Others").len(), 10, "{place}");
    bench.emulator.clear_faults();
    bench.pass(90_000);
    bench.settle().await;
    assert_eq!(bench.members("mail", "News").len(), 30);
    bench.assert_no_misuse();
}

/// Of newcomers for two groups one joins the second by a form meanwhile and leaves it again, refuses all
/// mail, or joins where nobody can look: that the first group surely lacks them says nothing.
#[tokio::test(start_paused = true)]
async fn a_newcomer_who_refuses_beside_a_refused_batch_is_not_imported_by_its_halves() {
    let refuses_group = |account: &mut Account, others, contact| {
        account.join(others, contact);
        account.opt_out_of_group(others, contact);
    };
    let refuses_all = |account: &mut Account, _, contact| {
        account.opt_out_of_account(contact);
    };
    let ways: [(Way, bool); 3] = [
        (refuses_group, false),
        (refuses_all, false),
        (refuses_group, true),
    ];
    for (way, is_unread) in ways {
        let mut world = plain_world();
        let account = world.account_mut("crm");
        group_of(account, "News", "reader", 30);
        group_of(account, "Others", "reader", 30);
        let account = world.account_mut("mail");
        account.add_group("News");
        let others = account.add_group("Others");
        let bench = bench(world, "crm", "mail", "mode = \"managed\"");
        before_the_first_request(&bench, move |emulator| {
            refuse_batches_with(emulator, &address(5), "contacts/import");
            if is_unread {
                let unread = FaultRule::every(Fault::WrongCount(5)).at("mail");
                emulator.add_fault(unread.on("groups/getContacts").when(When::EachNth(2)));
            }
            emulator.with_world(|world| {
                let account = world.account_mut("mail");
                let contact = account.add_person(&address(3), "Ana", "Example");
                way(account, others, contact);
            });
        });
        let report = bench.sync().await;
        bench.store.watch_journal(|_| ());
        bench.assert_no_misuse();
        let says = |words: &String| words.contains("turned out to be there by now");
        let is_told = report.warnings.iter().any(says);
        assert!(is_unread || is_told, "{}", tell(&report));
        bench.emulator.clear_faults();
        bench.pass(90_000);
        bench.settle().await;
        bench.assert_no_misuse();
        let members = bench.members("mail", "Others");
        let state = |number| members.get(&address(number)).copied();
        assert_eq!(state(4), Some(Active), "{}", tell(&report));
        assert_ne!(state(3), Some(Active), "{}", tell(&report));
    }
}

/// What was sent, lost, not seen yet and sent again is rosterd's own, although its second sending was
/// refused.
#[tokio::test(start_paused = true)]
async fn what_a_lost_request_brought_is_rosterds_whatever_is_said_to_the_second() {
    let mut world = plain_world();
    group_of(world.account_mut("crm"), "News", "reader", 30);
    let account = world.account_mut("mail");
    group_of(account, "Elsewhere", "reader", 30);
    account.add_group("News");
    let poison = account.contact_by_email(&address(5)).unwrap();
    let bench = bench(world, "crm", "mail", &removing_freely("managed"));
    let (emulator, intents) = (bench.emulator.clone(), AtomicUsize::new(0));
    bench.store.watch_journal(move |reached| {
        if reached != JournalMoment::IntentKept {
            return;
        }
        match intents.fetch_add(1, Ordering::SeqCst) {
            0 => {
                let lost = FaultRule::every(Fault::ResetAfterEffect).at("mail");
                emulator.add_fault(lost.on("groups/addContacts").when(When::First(1)));
                for operation in ["groups/getContacts", "groups/search", "contacts/search"] {
                    let lagging = Fault::LaggingRead(Duration::from_mins(10));
                    emulator.add_fault(FaultRule::every(lagging).at("mail").on(operation));
                }
            }
            2 => {
                emulator.clear_faults();
                refuse_batches_with(&emulator, &poison.to_string(), "groups/addContacts");
            }
            _ => {}
        }
    });
    let report = sync_and_let_go(&bench, &[4]).await;
    let members = bench.members("mail", "News");
    assert!(!members.contains_key(&address(4)), "{}", tell(&report));
}

/// Whoever refuses right after an import that was accepted is linked, and in no group by rosterd's doing:
/// neither counted as added nor forgotten.
#[tokio::test(start_paused = true)]
async fn whoever_refuses_right_after_an_accepted_import_is_told_and_not_counted() {
    let mut world = plain_world();
    group_of(world.account_mut("crm"), "News", "reader", 30);
    world.account_mut("mail").add_group("News");
    let bench = bench(world, "crm", "mail", "mode = \"managed\"");
    let (emulator, seen) = (bench.emulator.clone(), AtomicBool::new(false));
    bench.store.watch_journal(move |reached| {
        if reached != JournalMoment::OutcomeKept {
            return;
        }
        emulator.with_world(|world| {
            let account = world.account_mut("mail");
            let group = account.find_group("News").unwrap();
            if let Some(contact) = account.contact_by_email(&address(3))
                && !seen.swap(true, Ordering::SeqCst)
            {
                account.opt_out_of_group(group, contact);
            }
        });
    });
    let report = bench.sync().await;
    bench.store.watch_journal(|_| ());
    let place = tell(&report);
    assert_eq!(report.summary.memberships_added, 29, "{place}");
    let says = |words: &String| words.contains("turned out to be there by now");
    assert!(report.warnings.iter().any(says), "{place}");
    bench.settle().await;
    bench.assert_no_misuse();
}
