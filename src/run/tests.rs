//! What a run holds while it is under way (rule 8).

use std::path::Path;

use std::sync::Arc;

use super::*;
use crate::state::{Guard, LockError, Store};

const CONFIG: &str = r#"
[providers.crm]
kind = "greenrope"
account_id = "1"
email = "ops@example.org"
password = { env = "ROSTERD_TEST_NOBODY" }
[providers.mail]
kind = "emfluence"
base_url = "https://mail.test/v1"
access_token = { env = "ROSTERD_TEST_NOBODY" }
[jobs.test]
source = "crm"
target = "mail"
"#;

fn runner() -> Runner {
    let (config, _) = crate::config::parse(CONFIG, Path::new("rosterd.toml")).unwrap();
    let store = Arc::new(Store::in_memory());
    Runner::new(Arc::new(config), store, RunnerOptions::default())
}

/// The three locks of the job, one by one, as another process takes them.
fn take(runner: &Runner, which: &str) -> Result<Guard, LockError> {
    let locks = runner.store().locks();
    match which {
        "job" => locks.lock_job("test"),
        provider => locks.lock_account(&runner.config().providers[provider].account_key()),
    }
}

const LOCKS: [&str; 3] = ["job", "crm", "mail"];

/// No secret can be had here, so whatever gets past the locks ends otherwise.
#[tokio::test]
async fn each_of_the_three_locks_alone_keeps_every_kind_of_run_out() {
    for which in LOCKS {
        let runner = runner();
        let held = take(&runner, which).unwrap();
        let saved = SavedPlan {
            job: "test".to_owned(),
            fingerprint: "f".to_owned(),
            ..SavedPlan::default()
        };
        for (kind, error) in [
            (
                "sync",
                runner.sync("test", SyncOptions::default()).await.err(),
            ),
            ("plan", runner.plan("test").await.err()),
            ("apply", runner.apply(&saved, None).await.err()),
        ] {
            let error = error.unwrap();
            assert!(
                matches!(error, RunError::Busy(_)) && error.exit_code() == 5,
                "{kind} while {which} is held: {error}"
            );
        }
        // Whoever found one taken keeps none of the others.
        for other in LOCKS.into_iter().filter(|other| *other != which) {
            take(&runner, other).unwrap();
        }
        drop(held);
        let error = runner.plan("test").await.err().unwrap();
        assert!(!matches!(error, RunError::Busy(_)), "{which}: {error}");
    }
}

#[tokio::test]
async fn a_run_holds_its_three_locks_and_gives_them_back_when_it_ends() {
    let runner = runner();
    let job = runner.job("test").unwrap();
    let held = runner.hold(job, Access::Write).await.unwrap();
    for which in LOCKS {
        assert!(
            matches!(take(&runner, which), Err(LockError::Busy { .. })),
            "{which}"
        );
    }
    drop(held);
    for which in LOCKS {
        take(&runner, which).unwrap();
    }
}
