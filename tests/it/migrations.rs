//! A migration while its question waits, and what it may call verified.

use futures_util::future::BoxFuture;
use rosterd::emulator::{Fault, FaultRule, When};
use rosterd::run::{Assessed, Confirm, Estimate, Planned};

use crate::support::readers::PAIRS;
use crate::support::{Bench, bench, group_of, plain_world, tell};

/// Somebody who does something before they say yes.
struct Person<F>(F);

impl<F: Fn() + Send + Sync> Confirm for Person<F> {
    fn show(&self, _: &Planned, _: &Assessed, _: &Estimate) {}

    fn is_asked(&self) -> bool {
        true
    }

    fn command(&self) -> String {
        "rosterd migrate test".to_owned()
    }

    fn ask(&self) -> BoxFuture<'_, bool> {
        self.0();
        Box::pin(std::future::ready(true))
    }
}

fn readers(source: &str, target: &str) -> Bench {
    let mut world = plain_world();
    group_of(world.account_mut(source), "News", "reader", 6);
    bench(world, source, target, "mode = \"managed\"")
}

#[tokio::test(start_paused = true)]
async fn whoever_refuses_while_the_question_waits_is_not_added() {
    for (source, target) in PAIRS {
        let place = format!("{source} to {target}");
        let bench = readers(source, target);
        let person = Person(|| {
            bench.pass(3 * 3600);
            bench.account(source, |account| {
                let group = account.find_group("News").unwrap();
                let refuser = account.contact_by_email("reader0@example.org").unwrap();
                if !account.opt_out_of_account(refuser) {
                    account.opt_out_of_group(group, refuser);
                }
            });
        });
        let refused = bench.runner().migrate("test", None, &person).await;
        let error = refused.expect_err(&place);
        assert_eq!(error.exit_code(), 3, "{place}: {error}");
        assert!(
            error.to_string().contains("rosterd migrate test"),
            "{error}"
        );
        assert!(bench.writes().is_empty(), "{place}");

        // What is asked for anew is done, as nothing has changed by then.
        let person = Person(|| bench.pass(3 * 3600));
        let report = bench.runner().migrate("test", None, &person).await.unwrap();
        assert_eq!(report.exit_code(), 0, "{place}: {}", tell(&report));
        let mailed = bench.account(target, |account| {
            account.mailed_by(account.find_group("News").unwrap())
        });
        assert_eq!(mailed.len(), 5, "{place}: {mailed:?}");
        assert!(
            !mailed.contains(&"reader0@example.org".to_owned()),
            "{place}"
        );
    }
}

#[tokio::test(start_paused = true)]
async fn a_group_that_was_not_read_to_its_end_is_not_verified() {
    for nth in 1..60 {
        let bench = readers("crm", "mail");
        bench.emulator.add_fault(FaultRule {
            when: When::Nth(nth),
            ..FaultRule::every(Fault::WrongCount(3)).on("GetContacts")
        });
        let report = bench.runner().migrate("test", None, &Person(|| {})).await;
        // Where the fault strikes earlier, the run is another story.
        let Ok(report) = report else { continue };
        let migration = report.migration.as_ref().unwrap();
        let Some(Ok(verified)) = &migration.verified else {
            continue;
        };
        if verified.not_whole > 0 {
            assert!(!verified.is_whole());
            assert_eq!(report.exit_code(), 4, "{nth}: {}", tell(&report));
            return;
        }
    }
    panic!("no fault struck the last reading");
}
