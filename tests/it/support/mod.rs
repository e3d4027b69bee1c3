//! An emulated world, a config that points at it, and a runner over both.

use std::path::Path;
use std::sync::Arc;

use jiff::Timestamp;
use rosterd::config::settled::{Config, Credentials, Secret};
use rosterd::emulator::{Account, Emulator, RequestRecord, World};
use rosterd::http::Transport;
use rosterd::run::{Planned, RunReport, Runner, RunnerOptions, SyncOptions};
use rosterd::state::Store;

/// Emulated accounts, a state database and a config, for one test.
pub struct Bench {
    pub emulator: Emulator,
    pub store: Arc<Store>,
    config: Config,
    clock: rosterd::run::Clock,
}

/// One job from `source` to `target`, with further config lines of the job (`mode = "managed"`, tables and all).
pub fn bench(world: World, source: &str, target: &str, job: &str) -> Bench {
    let emulator = Emulator::new(world);
    let text = format!("{}\n[jobs.test]\nsource = \"{source}\"\ntarget = \"{target}\"\n{job}\n", providers(&emulator));
    Bench { config: config(&emulator, &text), emulator, store: Arc::new(Store::in_memory()), clock: clock() }
}

/// Config text with one provider per emulated account, under the account's name.
pub fn providers(emulator: &Emulator) -> String {
    let accounts: Vec<_> = emulator.with_world(|world| world.accounts.iter().map(Account::credentials).collect());
    let mut text = String::new();
    for account in accounts {
        let name = &account.account;
        let url = format!("http://127.0.0.1:1{}", account.base_path);
        match account.kind {
            rosterd::emulator::Kind::Emfluence => {
                text += &format!(
                    "[providers.{name}]\nkind = \"emfluence\"\nbase_url = \"{url}\"\naccess_token = {{ env = \"ROSTERD_TEST_{name}\" }}\n"
                );
            }
            // No job can name such an account yet.
            rosterd::emulator::Kind::ActiveCampaign => {}
            rosterd::emulator::Kind::GreenRope => {
                text += &format!(
                    "[providers.{name}]\nkind = \"greenrope\"\nbase_url = \"{url}\"\naccount_id = \"{}\"\nemail = \"{}\"\npassword = {{ env = \"ROSTERD_TEST_{name}\" }}\n[providers.{name}.defaults]\nsender_name = \"Example Society\"\nsender_email = \"news@example.org\"\npostal_address = \"1 Example Street, Springfield, IL, 62701, USA\"\ntime_zone = \"America/Chicago\"\n",
                    account.account_id, account.email
                );
            }
        }
    }
    text
}

/// Settles config text and puts the emulated secrets in the place of the named ones.
pub fn config(emulator: &Emulator, text: &str) -> Config {
    let (mut config, _) = rosterd::config::parse(text, Path::new("rosterd.toml")).unwrap_or_else(|problems| panic!("{problems}"));
    let accounts: Vec<_> = emulator.with_world(|world| world.accounts.iter().map(Account::credentials).collect());
    for account in accounts {
        let Some(provider) = config.providers.get_mut(&account.account) else { continue };
        match &mut provider.credentials {
            Credentials::AccessToken(secret) => *secret = Secret::Known(account.token.into()),
            Credentials::Password { password, .. } => *password = Secret::Known(account.password.into()),
            Credentials::AuthToken { token, .. } => *token = Secret::Known(account.token.into()),
        }
    }
    config
}

impl Bench {
    /// A runner over the bench; each call is like a new process.
    pub fn runner(&self) -> Runner {
        let options = RunnerOptions {
            transport: Some(Transport::Local(self.emulator.router())),
            clock: self.clock.clone(),
            ..RunnerOptions::default()
        };
        Runner::new(Arc::new(self.config.clone()), self.store.clone(), options)
    }

    /// Plans the job.
    pub async fn plan(&self) -> Planned {
        self.runner().plan("test").await.unwrap_or_else(|error| panic!("{error}"))
    }

    /// Runs the job.
    pub async fn sync(&self) -> RunReport {
        self.runner().sync("test", SyncOptions::default()).await.unwrap_or_else(|error| panic!("{error}"))
    }

    /// The write requests since the last call.
    pub fn writes(&self) -> Vec<RequestRecord> {
        let writes = self.emulator.requests().into_iter().filter(|request| request.is_write).collect();
        self.emulator.clear_log();
        writes
    }

    /// Fails when a client did something that the provider pages forbid.
    pub fn assert_no_misuse(&self) {
        let misuse = self.emulator.misuse();
        assert!(misuse.is_empty(), "{misuse:#?}");
    }
}

/// A clock that goes one second further each time it is asked.
pub fn clock() -> rosterd::run::Clock {
    let ticks = std::sync::atomic::AtomicI64::new(0);
    Arc::new(move || {
        let tick = ticks.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
        Timestamp::from_second(1_800_000_000 + tick).expect("a moment in 2027")
    })
}
