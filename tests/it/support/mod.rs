//! An emulated world, a config that points at it, and a runner over both.

pub mod browser;
pub mod eventful;
pub mod oracle;
pub mod readers;

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::Duration;

use jiff::Timestamp;
use rosterd::config::settled::{Config, Credentials, Secret};
use rosterd::emulator::{
    Account, CustomField, Emulator, FaultRule, Kind, MembershipState, RequestRecord, World,
};
use rosterd::http::Transport;
use rosterd::model::{OwnRemovals, ProviderKind};
use rosterd::plan::SEAT;
use rosterd::run::{Planned, RunError, RunReport, Runner, RunnerOptions, SavedPlan, SyncOptions};
use rosterd::state::{Change, Store};

/// Emulated accounts, a state database and a config, for one test.
pub(crate) struct Bench {
    pub emulator: Emulator,
    pub store: Arc<Store>,
    config: Config,
    seconds: Arc<AtomicI64>,
}

/// One job from `source` to `target`, with further config lines of the job (`mode = "managed"`,
/// tables and all).
pub fn bench(world: World, source: &str, target: &str, job: &str) -> Bench {
    bench_of(
        world,
        &format!("[jobs.test]\nsource = \"{source}\"\ntarget = \"{target}\"\n{job}\n"),
    )
}

/// Config lines of the job for a mode, with guards that let any number of people leave.
pub fn removing_freely(mode: &str) -> String {
    format!(
        "mode = \"{mode}\"\n[jobs.test.guards]\nmax_membership_removals = \"none\"\nmax_membership_removals_per_group = \"none\""
    )
}

/// Several jobs, as config text.
pub fn bench_of(world: World, jobs: &str) -> Bench {
    let emulator = Emulator::new(world);
    let text = format!("{}\n{jobs}\n", providers(&emulator));
    Bench {
        config: config(&emulator, &text),
        emulator,
        store: Arc::new(Store::in_memory()),
        seconds: Arc::new(AtomicI64::new(1_800_000_000)),
    }
}

/// The seconds of a day, for [`Bench::pass`].
pub const DAY: i64 = 86_400;

/// The title of the user group that takes whoever leaves another one, where an emulated account has
/// it.
pub const PARKING: &str = "Parking";

/// A custom field of emfluence.
pub fn shoe_size() -> CustomField {
    CustomField {
        name: "custom1".to_owned(),
        label: "Shoe size".to_owned(),
        data_type: "Text".to_owned(),
        max_length: 50,
        ..CustomField::default()
    }
}

/// The provider of a kind in the plain world, and the account that it stands for; of each kind there
/// is a second one.
pub fn provider(kind: ProviderKind, second: bool) -> (String, String) {
    let (name, account) = match kind {
        ProviderKind::Emfluence => ("mail", "mail"),
        ProviderKind::GreenRope => ("crm", "crm"),
        ProviderKind::ActiveCampaignLists => ("campaigns", "campaigns"),
        ProviderKind::ActiveCampaignUsers => ("staff", "campaigns"),
    };
    let end = if second { "2" } else { "" };
    (format!("{name}{end}"), format!("{account}{end}"))
}

/// A world with empty accounts of plain behaviour: `crm` and `crm2` at GreenRope, `mail` and
/// `mail2` at emfluence, `campaigns` and `campaigns2` at ActiveCampaign, which have a user group to
/// park users in.
pub fn plain_world() -> World {
    let mut world = World::empty();
    for (kind, name, number) in [
        (Kind::GreenRope, "crm", 45_429),
        (Kind::Emfluence, "mail", 71_001),
        (Kind::GreenRope, "crm2", 45_430),
        (Kind::Emfluence, "mail2", 71_002),
        (Kind::ActiveCampaign, "campaigns", 81_001),
        (Kind::ActiveCampaign, "campaigns2", 81_002),
    ] {
        let account = world.add_account(Account::new(kind, name, number));
        if kind == Kind::ActiveCampaign {
            account.add_user_group(PARKING);
        }
    }
    world
}

/// Adds a group with `count` people, `<prefix>0@example.org` and so on, and returns the group's id.
pub fn group_of(account: &mut Account, name: &str, prefix: &str, count: usize) -> u64 {
    let group = account.add_group(name);
    for number in 0..count {
        let email = format!("{prefix}{number}@example.org");
        let contact = account
            .contact_by_email(&email)
            .unwrap_or_else(|| account.add_person(&email, "Ana", "Example"));
        account.join(group, contact);
    }
    group
}

/// The name of the provider that stands for the user groups of an ActiveCampaign account: `staff`
/// for `campaigns`.
pub fn staff_of(account: &str) -> String {
    if account.contains("campaigns") {
        account.replace("campaigns", "staff")
    } else {
        format!("{account}-staff")
    }
}

/// Config text with one provider per emulated account, under the account's name; the lists of an
/// ActiveCampaign account bear that name, and its user groups the name of [`staff_of`].
pub fn providers(emulator: &Emulator) -> String {
    let accounts: Vec<_> = emulator.with_world(|world| {
        world
            .accounts
            .iter()
            .map(|account| (account.credentials(), account.find_user_group(PARKING)))
            .collect()
    });
    let mut text = String::new();
    for (account, parking) in accounts {
        let name = &account.account;
        let url = format!("http://127.0.0.1:1{}", account.base_path);
        match account.kind {
            rosterd::emulator::Kind::Emfluence => {
                write!(
                    text,
                    "[providers.{name}]\nkind = \"emfluence\"\nbase_url = \"{url}\"\naccess_token = {{ env = \"ROSTERD_TEST_{name}\" }}\n"
                )
                .expect("a text takes everything");
            }
            rosterd::emulator::Kind::ActiveCampaign => {
                let common = format!(
                    "kind = \"activecampaign\"\nbase_url = \"{url}\"\napi_key = {{ env = \"ROSTERD_TEST_{name}\" }}\n"
                );
                let parking = parking
                    .map(|id| format!("parking_group = \"{id}\"\n"))
                    .unwrap_or_default();
                write!(
                    text,
                    "[providers.{name}]\n{common}groups = \"lists\"\n[providers.{name}.defaults]\nsender_name = \"Example Society\"\nsender_addr1 = \"1 Example Street\"\nsender_city = \"Springfield\"\nsender_zip = \"62701\"\nsender_country = \"USA\"\nsender_url = \"https://www.example.org\"\nsender_reminder = \"You signed up at www.example.org\"\n[providers.{}]\n{common}groups = \"user-groups\"\n{parking}",
                    staff_of(name)
                )
                .expect("a text takes everything");
            }
            rosterd::emulator::Kind::GreenRope => {
                write!(
                    text,
                    "[providers.{name}]\nkind = \"greenrope\"\nbase_url = \"{url}\"\naccount_id = \"{}\"\nemail = \"{}\"\npassword = {{ env = \"ROSTERD_TEST_{name}\" }}\n[providers.{name}.defaults]\nsender_name = \"Example Society\"\nsender_email = \"news@example.org\"\npostal_address = \"1 Example Street, Springfield, IL, 62701, USA\"\ntime_zone = \"America/Chicago\"\n",
                    account.account_id, account.email
                )
                .expect("a text takes everything");
            }
        }
    }
    text
}

/// Settles config text and puts the emulated secrets in the place of the named ones.
pub fn config(emulator: &Emulator, text: &str) -> Config {
    config_as(emulator, text, &BTreeMap::new())
}

/// The same where some accounts are known to the config under other names.
pub fn config_as(emulator: &Emulator, text: &str, names: &BTreeMap<String, String>) -> Config {
    let (mut config, _) = rosterd::config::parse(text, Path::new("rosterd.toml"))
        .unwrap_or_else(|problems| panic!("{problems}"));
    let accounts: Vec<_> =
        emulator.with_world(|world| world.accounts.iter().map(Account::credentials).collect());
    for account in accounts {
        for name in BTreeSet::from([account.account.clone(), staff_of(&account.account)]) {
            let name = names.get(&name).unwrap_or(&name);
            let Some(provider) = config.providers.get_mut(name) else {
                continue;
            };
            match &mut provider.credentials {
                Credentials::AccessToken(secret) | Credentials::ApiKey(secret) => {
                    *secret = Secret::Known(account.token.clone().into());
                }
                Credentials::Password { password, .. } => {
                    *password = Secret::Known(account.password.clone().into());
                }
                Credentials::AuthToken { token, .. } => {
                    *token = Secret::Known(account.token.clone().into());
                }
            }
        }
    }
    config.name_accounts();
    config
}

impl Bench {
    /// A runner over the bench; each call is like a new process.
    pub fn runner(&self) -> Runner {
        self.runner_of(RunnerOptions::default())
    }

    /// A runner with some options of its own; transport and clock are those of the bench.
    pub fn runner_of(&self, options: RunnerOptions) -> Runner {
        self.runner_over(Transport::Local(self.emulator.router()), options)
    }

    fn runner_over(&self, transport: Transport, options: RunnerOptions) -> Runner {
        let seconds = self.seconds.clone();
        let clock: rosterd::run::Clock = Arc::new(move || {
            let second = seconds.fetch_add(1, Ordering::Relaxed);
            Timestamp::from_second(second).expect("a moment in 2027")
        });
        let options = RunnerOptions {
            transport: Some(transport),
            clock,
            ..options
        };
        Runner::new(Arc::new(self.config.clone()), self.store.clone(), options)
    }

    /// A runner whose requests go through a router of the test's own.
    pub fn runner_through(&self, router: axum::Router) -> Runner {
        self.runner_over(Transport::Local(router), RunnerOptions::default())
    }

    /// The same accounts at another moment, with another database, as a process finds them that
    /// starts after a power cut.
    pub fn woken(&self, world: World, store: Store) -> Bench {
        Bench {
            emulator: Emulator::new(world),
            store: Arc::new(store),
            config: self.config.clone(),
            seconds: self.seconds.clone(),
        }
    }

    /// Sets the clock of the accounts to that of the runs.
    pub fn set_clocks_alike(&self) {
        let now =
            Timestamp::from_second(self.seconds.load(Ordering::Relaxed)).expect("a moment in 2027");
        self.emulator.with_world(|world| world.clock.now = now);
    }

    /// Lets time pass for the runs, not for the accounts.
    pub fn pass(&self, seconds: i64) {
        self.seconds.fetch_add(seconds, Ordering::Relaxed);
    }

    /// Goes on with another config of the same accounts and the same database.
    pub fn reconfigure(&mut self, jobs: &str) {
        let text = format!("{}\n{jobs}\n", providers(&self.emulator));
        self.config = config(&self.emulator, &text);
    }

    /// Goes on with a config that is changed in place.
    pub fn reconfigure_with(&mut self, change: impl FnOnce(&mut Config)) {
        change(&mut self.config);
    }

    /// What is remembered of rosterd's own removals at an account.
    pub fn own_removals(&self, provider: &str) -> OwnRemovals {
        let account = self.config.providers[provider].state_key();
        self.store.own_removals(&account).unwrap()
    }

    /// Has what is remembered of a field of somebody, by id and address, stand under another name.
    pub fn remember_under(&self, (id, address): (&str, &str), field: &str, name: &str) {
        let mut fields = self.store.member_fields("test", id).unwrap();
        let base = fields.remove(field).unwrap();
        fields.insert(name.into(), base);
        let changed = Change::MemberBase {
            job: "test".to_owned(),
            source: id.to_owned(),
            address: address.to_owned(),
            source_hash: 0,
            target_hash: 0,
            fields,
        };
        self.store.record(&[changed]).unwrap();
    }

    /// Loses the state database.
    pub fn lose_state(&mut self) {
        self.store = Arc::new(Store::in_memory());
    }

    /// Lets a minute of the paused time pass: a new process knows nothing of the requests that the
    /// one before it sent.
    pub async fn rest(&self) {
        tokio::time::sleep(Duration::from_mins(1)).await;
    }

    /// Plans the job.
    pub async fn plan(&self) -> Planned {
        self.plan_of("test").await
    }

    /// Plans a job by name.
    pub async fn plan_of(&self, job: &str) -> Planned {
        self.rest().await;
        self.runner()
            .plan(job)
            .await
            .unwrap_or_else(|error| panic!("{error}"))
    }

    /// Says why the job can't be planned.
    pub async fn plan_error(&self) -> String {
        self.rest().await;
        match self.runner().plan("test").await {
            Ok(_) => panic!("planned"),
            Err(error) => error.to_string(),
        }
    }

    /// Runs the job.
    pub async fn sync(&self) -> RunReport {
        self.sync_of("test").await
    }

    /// Runs a job by name.
    pub async fn sync_of(&self, job: &str) -> RunReport {
        self.rest().await;
        let report = self
            .runner()
            .sync(job, SyncOptions::default())
            .await
            .unwrap_or_else(|error| panic!("{error}"));
        self.assert_history_adds_up(&report);
        report
    }

    /// Fails when the history of a run tells of another number of things than its summary.
    fn assert_history_adds_up(&self, report: &RunReport) {
        let mut told: BTreeMap<String, u64> = BTreeMap::new();
        for item in self.store.run_items(&report.run) {
            let item = item.unwrap();
            if item.outcome == "done" {
                let has_none = matches!(item.op.as_str(), "add_memberships" | "set_opt_out");
                // Where a member is in one group at a time, an addition says which one they left.
                let mut others = item.fields.keys().filter(|field| *field != SEAT);
                assert!(!has_none || others.next().is_none(), "{item:?}");
                *told.entry(item.op).or_default() += 1;
            }
        }
        let mut told = |ops: &[&str]| ops.iter().filter_map(|op| told.remove(*op)).sum::<u64>();
        let summary = &report.summary;
        for (counted, ops) in [
            (summary.groups_created, ["create_group"].as_slice()),
            (summary.groups_adopted, &["adopt_group"]),
            (summary.groups_updated, &["update_group", "rename_group"]),
            (summary.groups_archived, &["archive_group"]),
            (summary.groups_deleted, &["delete_group"]),
            (summary.members_created, &["create_members"]),
            (
                summary.members_updated,
                &["update_member", "change_address"],
            ),
            (summary.memberships_added, &["add_memberships"]),
            (summary.memberships_removed, &["remove_memberships"]),
            (summary.opt_outs, &["set_opt_out"]),
        ] {
            assert_eq!(told(ops), counted, "{ops:?}: {}", tell(report));
        }
    }

    /// Runs the job, which must end well with nothing left to do and leave an empty plan.
    pub async fn settle(&self) -> RunReport {
        let report = self.sync().await;
        assert_eq!(report.exit_code(), 0, "{}", tell(&report));
        self.assert_settled().await;
        report
    }

    /// Runs the job, whose faults end with this run, and again after a day each until a run ends
    /// well, which the fourth must do at the latest.
    pub async fn sync_until_good(&self, place: &str) {
        let mut report = self.sync().await;
        self.emulator.clear_faults();
        for _ in 0..3 {
            if report.exit_code() == 0 {
                break;
            }
            self.pass(90_000);
            report = self.sync().await;
        }
        assert_eq!(report.exit_code(), 0, "{place}: {}", tell(&report));
    }

    /// Ends a run of the job without warning at its nth write, whose effect is or is not there by
    /// the fault. Returns whether there was such a write.
    pub async fn ends_at_write(&self, nth: usize, fault: FaultRule) -> bool {
        let run = async |runner: Runner| {
            let ended = runner.sync("test", SyncOptions::default()).await;
            assert!(ended.is_ok());
        };
        self.dies_once(fault, |writes| writes.len() >= nth, run)
            .await
    }

    /// Ends what a process does without warning once its writes are these, of which the last one's
    /// effect is or is not there by the fault. Returns whether it came to that.
    pub async fn dies_once(
        &self,
        fault: FaultRule,
        reached: impl Fn(&[RequestRecord]) -> bool,
        work: impl AsyncFnOnce(Runner),
    ) -> bool {
        self.emulator.add_fault(fault);
        let reached = async {
            loop {
                let mut writes = self.emulator.requests();
                writes.retain(|request| request.is_write);
                if reached(&writes) {
                    return;
                }
                tokio::time::sleep(Duration::from_millis(50)).await;
            }
        };
        let died = tokio::select! {
            biased;
            () = reached => true,
            () = work(self.runner()) => false,
        };
        self.emulator.clear_faults();
        died
    }

    /// Fails when a further run writes anything.
    pub async fn assert_idle(&self, place: &str) {
        self.writes();
        let report = self.sync().await;
        let writes = self.writes();
        assert!(
            writes.is_empty() && report.exit_code() == 0,
            "{place}: {writes:#?}\n{}",
            tell(&report)
        );
    }

    /// Fails unless there is nothing to do, neither by plan nor by request.
    pub async fn assert_settled(&self) {
        self.writes();
        let plan = self.plan().await;
        assert!(plan.plan.is_empty(), "{:#?}", operations(&plan));
        let report = self.sync().await;
        let writes = self.writes();
        assert!(writes.is_empty(), "{writes:#?}\n{}", tell(&report));
    }

    /// Tries to run the job with an approval.
    pub async fn approve(&self, id: &str) -> RunReport {
        self.rest().await;
        let options = SyncOptions {
            approve: Some(id.to_owned()),
            trigger: "manual",
            unless_paused: false,
        };
        self.runner()
            .sync("test", options)
            .await
            .unwrap_or_else(|error| panic!("{error}"))
    }

    /// Applies a saved plan.
    pub async fn apply(
        &self,
        fingerprint: &str,
        approve: Option<&str>,
    ) -> Result<RunReport, RunError> {
        self.rest().await;
        self.runner()
            .apply(
                &SavedPlan {
                    job: "test".to_owned(),
                    fingerprint: fingerprint.to_owned(),
                    ..SavedPlan::default()
                },
                approve,
            )
            .await
    }

    /// The write requests since the last call.
    pub fn writes(&self) -> Vec<RequestRecord> {
        self.assert_no_misuse();
        let writes = self
            .emulator
            .requests()
            .into_iter()
            .filter(|request| request.is_write)
            .collect();
        self.emulator.clear_log();
        writes
    }

    /// The write requests since the last call, as operation and number of items.
    pub fn sent(&self) -> Vec<(String, usize)> {
        self.writes()
            .into_iter()
            .map(|write| (write.operation, write.items))
            .collect()
    }

    /// Reads or edits an account.
    pub fn account<R>(&self, name: &str, work: impl FnOnce(&mut Account) -> R) -> R {
        self.emulator
            .with_world(|world| work(world.account_mut(name)))
    }

    /// The members of a group by address, with their states; the group must exist.
    pub fn members(&self, account: &str, group: &str) -> BTreeMap<String, MembershipState> {
        self.account(account, |account| {
            let id = account
                .find_group(group)
                .unwrap_or_else(|| panic!("no group \"{group}\""));
            account
                .members_of(id)
                .into_iter()
                .map(|(contact, state)| (account.contacts[&contact].email.clone(), state))
                .collect()
        })
    }

    /// Fails when a client did something that the provider pages forbid, or when a refusal was
    /// undone by a request.
    pub fn assert_no_misuse(&self) {
        let misuse = self.emulator.misuse();
        assert!(misuse.is_empty(), "{misuse:#?}");
        let by_request = |event: &rosterd::emulator::HistoryEvent| {
            matches!(event.actor, rosterd::emulator::Actor::Request(_))
        };
        let undone: Vec<_> = self
            .emulator
            .history()
            .into_iter()
            .filter(|event| by_request(event) && event.change.undoes_opt_out())
            .collect();
        assert!(undone.is_empty(), "{undone:#?}");
    }
}

/// The operations of a plan as `op "group" who, who`.
pub fn operations(planned: &Planned) -> Vec<String> {
    let plan = &planned.plan;
    plan.operations
        .iter()
        .map(|edit| {
            let group = edit
                .pair()
                .map(|pair| format!(" \"{}\"", plan.pair(pair).name))
                .unwrap_or_default();
            let mut people: Vec<&str> = edit
                .members()
                .iter()
                .map(|person| planned.address(*person))
                .collect();
            let more = people.len().saturating_sub(5);
            people.truncate(5);
            let more = if more > 0 {
                format!(" and {more} more")
            } else {
                String::new()
            };
            let space = if people.is_empty() { "" } else { " " };
            format!("{}{group}{space}{}{more}", edit.op(), people.join(", "))
        })
        .collect()
}

/// Fails unless two accounts of the same lines are meant, and shows only where they differ.
pub fn assert_same(found: &[String], expected: &[String], place: &str) {
    let without = |lines: &[String], others: &[String]| -> Vec<String> {
        lines
            .iter()
            .filter(|line| !others.contains(line))
            .cloned()
            .collect()
    };
    let (more, missing) = (without(found, expected), without(expected, found));
    assert!(
        found == expected,
        "{place}\ntoo much: {more:#?}\nmissing: {missing:#?}"
    );
}

/// A report in few words, for failing tests.
pub fn tell(report: &RunReport) -> String {
    format!(
        "{:?} {:?}\nerror: {:?}\nblocked: {:#?}\nfailures: {:#?}\nrefusals: {:#?}\nwarnings: {:#?}\nwithheld: {:?}",
        report.outcome,
        report.summary,
        report.error,
        report.blocked,
        report.failures,
        report.refusals,
        report.warnings,
        report.withheld_by_reason
    )
}

/// What an account holds, one line per group, contact and membership, free of ids and times: two
/// accounts with the same lines are the same to everybody who uses them.
pub fn digest(account: &Account) -> Vec<String> {
    let mut lines = Vec::new();
    for contact in account.contacts.values() {
        let (out, bounced) = (contact.opted_out.is_some(), contact.bounced.is_some());
        lines.push(format!(
            "contact {} {:?} {:?} {out} {bounced}",
            contact.email, contact.profile, contact.custom
        ));
    }
    for group in account.groups.values() {
        lines.push(format!(
            "group {:?} {:?} {:?} {:?} {:?}",
            group.name,
            group.status,
            group.visibility,
            (
                &group.friendly_name,
                &group.description,
                &group.external_id,
                group.protected,
                &group.notes
            ),
            (
                &group.sender_name,
                &group.sender_email,
                &group.postal_address,
                &group.time_zone
            )
        ));
        for (contact, membership) in &group.members {
            lines.push(format!(
                "member {:?} {} {:?}",
                group.name, account.contacts[contact].email, membership.state
            ));
        }
    }
    lines.sort();
    lines
}

/// Has a subscriber hear what this thread logs, until the guard is dropped.
///
/// While there is one subscriber only, a place that logs and that another thread, which hears nothing,
/// meets first counts as one that nobody hears. So there is another one, for good.
pub fn hear(
    subscriber: impl tracing::Subscriber + Send + Sync + 'static,
) -> tracing::subscriber::DefaultGuard {
    static ANOTHER: std::sync::OnceLock<tracing::Dispatch> = std::sync::OnceLock::new();
    ANOTHER.get_or_init(|| tracing::Dispatch::new(tracing_subscriber::registry()));
    tracing::subscriber::set_default(subscriber)
}
