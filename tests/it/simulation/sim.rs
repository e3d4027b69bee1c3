//! One simulated world with its jobs, its database and its clock, and the steps that can be taken
//! in it.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::Duration;

use jiff::Timestamp;
use rosterd::config::settled::Config;
use rosterd::emulator::{
    Account, Actor, Emulator, Fault, FaultRule, Garbage, Kind, MisuseKind, When, World,
};
use rosterd::http::Transport;
use rosterd::plan::BlockedReason;
use rosterd::run::{
    Outcome, Planned, RunError, RunReport, Runner, RunnerOptions, SavedPlan, SyncOptions,
};
use rosterd::state::Store;
use tokio_util::sync::CancellationToken;

use super::dice::Dice;
use super::edits::edit;
use super::hands::{News, at_source, at_target};
use super::humans::is_usable;
use super::job::{Job, jobs, text, wild_jobs};
use super::judge::{Judge, Memory};
use super::logs::Logs;
use super::staff::{edit_staff, furnish_staff};
use super::wire::{Kill, Stop, Trip, Wire};
use super::world::{ACCOUNTS, joinable, world};
use crate::support::{config, config_as, providers, tell};

/// One step of a story; its numbers come from its own seed, so that leaving out another step does
/// not change it.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Step {
    pub what: What,
    pub seed: u64,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum What {
    /// People edit an account.
    Edit,
    /// A run without trouble.
    Sync,
    /// A plan that is looked at and applied, perhaps after something has changed.
    Apply,
    /// A run with faults.
    Faults,
    /// A run that ends in the middle without a word.
    Kill,
    /// A run that is asked to stop.
    Stop,
    /// The database is gone.
    Lose,
    /// The database is copied.
    Copy,
    /// The database goes back to the copy.
    Restore,
    /// The clock of the runs is set forward or back.
    Clock,
    /// Tokens end.
    Expire,
    /// Who is who is turned over at a source or a target.
    Hands,
    /// What is broken of addresses is mended.
    Mend,
    /// An operator parts groups, or changes names or pins in the config.
    Operate,
    /// All jobs run at once, on one runner.
    Both,
    /// A run during which people edit the accounts.
    Meanwhile,
}

/// Whether who is who is turned over in the world of a seed.
pub(crate) fn is_wild(seed: u64) -> bool {
    seed % 2 == 1
}

/// The steps of a seed.
pub(crate) fn script(seed: u64) -> Vec<Step> {
    let mut dice = Dice::new(seed.wrapping_mul(31).wrapping_add(7));
    let mut steps = Vec::new();
    if dice.chance(70) {
        steps.push(Step {
            what: What::Sync,
            seed: dice.next(),
        });
    }
    if is_wild(seed) {
        for _ in 0..dice.below(11) + 4 {
            let what = match dice.below(40) {
                0..=4 => What::Edit,
                5..=12 => What::Sync,
                13..=22 => What::Hands,
                23 => What::Mend,
                24..=26 => What::Operate,
                27..=29 => What::Both,
                30 | 31 => What::Meanwhile,
                32..=35 => What::Faults,
                36 | 37 => What::Kill,
                38 => What::Apply,
                _ => What::Clock,
            };
            steps.push(Step {
                what,
                seed: dice.next(),
            });
        }
        return steps;
    }
    for _ in 0..dice.below(9) + 3 {
        let what = match dice.below(34) {
            0..=11 => What::Edit,
            12..=15 => What::Sync,
            16 | 17 => What::Apply,
            18..=24 => What::Faults,
            25..=28 => What::Kill,
            29 => What::Stop,
            30 => What::Lose,
            31 => *dice.pick(&[What::Copy, What::Copy, What::Restore]),
            32 => What::Clock,
            _ => What::Expire,
        };
        steps.push(Step {
            what,
            seed: dice.next(),
        });
    }
    steps
}

/// How a run came to its end.
pub(crate) enum Ending {
    Report(Box<RunReport>),
    Error(RunError),
    Died,
}

impl Ending {
    fn code(&self) -> Option<u8> {
        match self {
            Ending::Report(report) => Some(report.exit_code()),
            Ending::Error(error) => Some(error.exit_code()),
            Ending::Died => None,
        }
    }
}

/// How a run is to be made.
#[derive(Default)]
struct Way {
    kill: Option<Kill>,
    stop: Option<Stop>,
    /// At which request the clock is set, and by how many seconds.
    step: Option<(usize, i64)>,
    approve: Option<String>,
    saved: Option<SavedPlan>,
    /// Whether something may go wrong.
    trouble: bool,
    /// At which request somebody edits an account, and what.
    meddle: Option<(usize, u64)>,
    /// Whether all jobs run at once.
    all: bool,
}

pub(crate) struct Sim {
    pub wire: Arc<Wire>,
    pub jobs: Vec<Job>,
    pub story: Vec<String>,
    emulator: Emulator,
    config: Arc<Config>,
    seconds: Arc<AtomicI64>,
    copy: Option<(tempfile::TempDir, Memory)>,
    secrets: Vec<String>,
    logs: Logs,
    blind: BTreeSet<String>,
    /// Whether people come and go by themselves.
    busy: bool,
    /// Whether an account takes no notice of a parameter.
    is_overlooking: bool,
    /// The names of providers that an operator has changed.
    names: BTreeMap<String, String>,
    /// Addresses that are broken: account, contact and the address to come back.
    broken: Vec<(&'static str, u64, String)>,
    /// The last event that was told.
    told: u64,
}

impl Sim {
    pub fn new(seed: u64) -> Sim {
        let mut dice = Dice::new(seed);
        let all = [
            Kind::Emfluence,
            Kind::GreenRope,
            Kind::Emfluence,
            Kind::GreenRope,
            Kind::ActiveCampaign,
        ];
        let third = if is_wild(seed) { 50 } else { 25 };
        let mut kinds: Vec<Kind> = (0..if dice.chance(third) { 3 } else { 2 })
            .map(|_| *dice.pick(&all))
            .collect();
        if dice.chance(30) {
            kinds[1] = Kind::ActiveCampaign;
        }
        let mut world = world(&mut dice, &kinds);
        if !is_wild(seed) {
            let jobs = jobs(&mut dice, &kinds);
            return Sim::of(world, jobs);
        }
        furnish_staff(&mut dice, &mut world);
        let jobs = wild_jobs(&mut dice, &kinds, &world);
        let sim = Sim::of(world, jobs);
        sim.wire.lock().judge.wild = true;
        sim.wire.look();
        sim
    }

    /// A world and jobs that somebody else chose.
    pub fn of(world: World, jobs: Vec<Job>) -> Sim {
        let logs = Logs::default();
        let start = world.clone();
        let secrets = world
            .accounts
            .iter()
            .flat_map(|account| {
                account
                    .logins
                    .iter()
                    .flat_map(|login| [login.password.clone(), login.token.clone()])
            })
            .filter(|secret| !secret.is_empty())
            .collect();
        let emulator = Emulator::new(world);
        let text = format!("{}\n{}", providers(&emulator), text(&jobs, &start));
        let config = Arc::new(config(&emulator, &text));
        let store = Arc::new(Store::in_memory());
        let wire = Wire::new(emulator.clone(), Judge::new(jobs.clone(), start), store);
        wire.look();
        let kinds: Vec<_> = emulator.with_world(|world| {
            world
                .accounts
                .iter()
                .map(|account| (account.name.clone(), account.kind))
                .collect()
        });
        let mut sim = Sim {
            jobs,
            story: Vec::new(),
            emulator,
            config,
            seconds: wire.seconds.clone(),
            wire,
            copy: None,
            secrets,
            logs,
            blind: BTreeSet::new(),
            busy: false,
            is_overlooking: false,
            names: BTreeMap::new(),
            broken: Vec::new(),
            told: 0,
        };
        sim.tell(format!("accounts: {kinds:?}"));
        for job in sim.jobs.clone() {
            sim.tell(format!("{job:?}"));
        }
        sim
    }

    pub fn tell(&mut self, line: String) {
        self.story.push(line);
    }

    /// What rules were broken so far.
    pub fn complaints(&self) -> Vec<String> {
        self.wire.lock().judge.complaints.clone()
    }

    pub fn complain(&self, rule: &str, text: String) {
        self.wire.lock().judge.complain(rule, text);
    }

    pub fn world(&self) -> World {
        self.emulator.with_world(|world| world.clone())
    }

    /// Lets time pass for the runs, not for the accounts.
    pub fn pass(&self, seconds: i64) {
        self.seconds.fetch_add(seconds, Ordering::Relaxed);
    }

    /// Edits an account as a person does.
    pub fn person<R>(&mut self, account: &str, work: impl FnOnce(&mut Account) -> R) -> R {
        let result = self
            .emulator
            .with_world(|world| work(world.account_mut(account)));
        self.wire.look();
        result
    }

    pub fn lose(&mut self) {
        let mut state = self.wire.lock();
        state.store = Arc::new(Store::in_memory());
        state.judge.memory = Memory::default();
        state.judge.forget();
        state.judge.surely.clear();
        state.judge.pristine = false;
    }

    fn is_wild(&self) -> bool {
        self.wire.lock().judge.wild
    }

    /// Whether an account is the target of a job.
    fn is_target(&self, account: &str) -> bool {
        self.jobs.iter().any(|job| job.target == account)
    }

    /// Somebody turns over who is who.
    async fn hands(&mut self, dice: &mut Dice) {
        self.wait().await;
        let account = ACCOUNTS[dice.below(self.world().accounts.len())].0;
        if self.is_target(account) {
            if let Some(told) = self.person(account, |account| at_target(dice, account)) {
                self.tell(format!("{account}: {told}"));
            }
            return;
        }
        let Some((told, news)) = self.person(account, |account| at_source(dice, account)) else {
            return;
        };
        self.tell(format!("{account}: {told}"));
        for news in news {
            let judge = &mut self.wire.lock().judge;
            match news {
                News::Exchanged(one, other) => judge.turn_over(account, one, other, false),
                News::United(one, other) => judge.turn_over(account, one, other, true),
                News::Broken(id, address) => self.broken.push((account, id, address)),
            }
        }
    }

    /// Whoever has an unusable address gets the old one back, where nobody else has it now.
    pub fn mend(&mut self) {
        for (account, id, address) in std::mem::take(&mut self.broken) {
            let told = self.person(account, |account| {
                let broken = account
                    .contacts
                    .get(&id)
                    .is_some_and(|contact| !is_usable(&contact.email));
                if !broken || account.contact_by_email(&address).is_some() {
                    return false;
                }
                account.change_address(id, &address);
                true
            });
            if told {
                self.tell(format!("{account}: the address of {id} is {address} again"));
            }
        }
    }

    /// Something that an operator does between runs.
    async fn operate(&mut self, number: usize, dice: &mut Dice) {
        self.wait().await;
        let job = self.jobs[number].clone();
        let pairs: Vec<(usize, u64, u64)> = {
            let state = self.wire.lock();
            let pairs = state.judge.pairs.iter();
            pairs.filter(|pair| pair.0 == number).copied().collect()
        };
        match dice.below(4) {
            0 => {
                let Some((_, source, target)) = dice.any(&pairs) else {
                    return;
                };
                let parted = self
                    .wire
                    .lock()
                    .store
                    .forget_link(job.name, &source.to_string());
                assert!(parted.unwrap());
                let mut told = format!(
                    "groups {source} and {target} of job {} are parted",
                    job.name
                );
                if !job.to_users && dice.chance(60) {
                    self.person(job.target, |account| account.delete_group(target));
                    told.push_str(", and the one at the target is deleted");
                }
                let mut state = self.wire.lock();
                let memory = &mut state.judge.memory;
                memory
                    .brought
                    .retain(|(of, group, _)| (*of, *group) != (number, target));
                memory
                    .held
                    .retain(|(of, group, _)| (*of, *group) != (number, target));
                drop(state);
                self.tell(told);
            }
            1 => self.rename_job(number),
            2 => {
                // A job of another provider is another job.
                let side = *dice.pick(&[job.source, job.target]);
                let name = format!("{side}-{}", dice.below(3));
                self.tell(format!("provider {side} is called {name} from here on"));
                self.names.insert(side.to_owned(), name);
                for other in 0..self.jobs.len() {
                    if [self.jobs[other].source, self.jobs[other].target].contains(&side) {
                        self.rename_job(other);
                    }
                }
            }
            _ => {
                if job.to_users || job.from_users {
                    return;
                }
                let any =
                    |dice: &mut Dice, name: &str| dice.any(&joinable(self.world().account(name)));
                let (Some(here), Some(there)) = (any(dice, job.source), any(dice, job.target))
                else {
                    return;
                };
                let pins = &mut self.jobs[number].pins;
                pins.clear();
                if dice.chance(80) {
                    pins.push((here, there));
                }
                let told = format!("job {} pins {pins:?} from here on", job.name);
                self.tell(told);
            }
        }
        self.configure();
    }

    /// A job is another one by name: it knows nothing of what the former one did.
    fn rename_job(&mut self, number: usize) {
        const NAMES: [[&str; 4]; 2] =
            [["one", "uno", "eins", "un"], ["two", "due", "zwei", "deux"]];
        let former = self.jobs[number].name;
        let names = NAMES[number];
        let at = names.iter().position(|name| *name == former).unwrap_or(0);
        let name = names[(at + 1) % names.len()];
        self.tell(format!("job {former} is called {name} from here on"));
        self.jobs[number].name = name;
        let mut state = self.wire.lock();
        let memory = &mut state.judge.memory;
        memory.brought.retain(|(of, ..)| *of != number);
        memory.held.retain(|(of, ..)| *of != number);
        memory.people.retain(|(of, _), _| *of != number);
    }

    /// Reads the config as it is by now.
    fn configure(&mut self) {
        let jobs = self.jobs.clone();
        let mut config = format!(
            "{}\n{}",
            providers(&self.emulator),
            text(&jobs, &self.world())
        );
        for (name, other) in &self.names {
            config = config
                .replace(
                    &format!("[providers.{name}]"),
                    &format!("[providers.{other}]"),
                )
                .replace(
                    &format!("[providers.{name}."),
                    &format!("[providers.{other}."),
                )
                .replace(
                    &format!("source = \"{name}\""),
                    &format!("source = \"{other}\""),
                )
                .replace(
                    &format!("target = \"{name}\""),
                    &format!("target = \"{other}\""),
                );
        }
        self.config = Arc::new(config_as(&self.emulator, &config, &self.names));
        self.wire.lock().judge.jobs = jobs;
        self.wire.look();
    }

    fn runner(&self, stop: CancellationToken) -> Runner {
        let seconds = self.seconds.clone();
        let clock: rosterd::run::Clock = Arc::new(move || {
            let second = seconds.fetch_add(1, Ordering::Relaxed);
            Timestamp::from_second(second).expect("a moment in this century")
        });
        let transport = Some(Transport::Local(self.wire.router()));
        let store = self.wire.lock().store.clone();
        Runner::new(
            self.config.clone(),
            store,
            RunnerOptions {
                transport,
                clock,
                stop,
                ..RunnerOptions::default()
            },
        )
    }

    pub async fn step(&mut self, step: Step) {
        let mut dice = Dice::new(step.seed);
        let job = dice.below(self.jobs.len());
        match step.what {
            What::Edit => {
                self.wait().await;
                for _ in 0..=dice.below(4) {
                    let account = ACCOUNTS[dice.below(self.world().accounts.len())].0;
                    if let Some(told) = self.person(account, |account| edit(&mut dice, account)) {
                        self.tell(format!("{account}: {told}"));
                    }
                    if self.is_wild()
                        && let Some(told) =
                            self.person(account, |account| edit_staff(&mut dice, account))
                    {
                        self.tell(format!("{account}: {told}"));
                    }
                }
            }
            What::Sync => {
                self.sync(job, dice.chance(60)).await;
            }
            What::Apply => self.apply(job, &mut dice).await,
            What::Faults => {
                self.faults(job, &mut dice);
                let way = Way {
                    trouble: true,
                    ..Way::default()
                };
                self.go(job, way).await;
                self.mend_all();
            }
            What::Kill => {
                let after = dice.chance(50);
                let kill = if dice.chance(70) {
                    Kill::Write {
                        nth: dice.below(8) + 1,
                        after,
                    }
                } else {
                    Kill::Request {
                        nth: dice.below(30) + 1,
                        after,
                    }
                };
                self.tell(format!("the next run dies at {kill:?}"));
                if dice.chance(20) {
                    self.faults(job, &mut dice);
                }
                self.go(
                    job,
                    Way {
                        kill: Some(kill),
                        trouble: true,
                        ..Way::default()
                    },
                )
                .await;
                self.mend_all();
            }
            What::Stop => {
                let stop = if dice.chance(40) {
                    Stop::Import
                } else {
                    Stop::Request(dice.below(25) + 1)
                };
                self.tell(format!("the next run is asked to stop at {stop:?}"));
                self.go(
                    job,
                    Way {
                        stop: Some(stop),
                        trouble: true,
                        ..Way::default()
                    },
                )
                .await;
            }
            What::Lose => {
                self.tell("the database is lost".to_owned());
                self.lose();
            }
            What::Copy => {
                self.tell("the database is copied".to_owned());
                let directory = tempfile::tempdir().unwrap();
                let state = self.wire.lock();
                state
                    .store
                    .backup_to(&directory.path().join("copy.db"))
                    .unwrap();
                let memory = state.judge.memory.clone();
                drop(state);
                self.copy = Some((directory, memory));
            }
            What::Restore => {
                if let Some((directory, memory)) = &self.copy {
                    let now = Timestamp::from_second(self.seconds.load(Ordering::Relaxed)).unwrap();
                    let mut state = self.wire.lock();
                    state
                        .store
                        .restore_from(&directory.path().join("copy.db"), now)
                        .unwrap();
                    state.judge.memory = memory.clone();
                    state.judge.forget();
                    state.judge.pristine = false;
                    state
                        .judge
                        .surely
                        .retain(|known| memory.brought.contains(known));
                    drop(state);
                    self.tell("the database goes back to the copy".to_owned());
                }
            }
            What::Clock => {
                let jump = *dice.pick(&[-90_000, -3_600, 7_200, 90_000, 10 * 86_400, 500 * 86_400]);
                if dice.chance(50) {
                    self.tell(format!("the clock jumps by {jump} s"));
                    self.pass(jump);
                } else {
                    let nth = dice.below(25) + 1;
                    self.tell(format!("the clock jumps by {jump} s at request {nth}"));
                    let way = Way {
                        step: Some((nth, jump)),
                        ..Way::default()
                    };
                    self.go(job, way).await;
                }
            }
            What::Hands => {
                for _ in 0..=dice.below(2) {
                    self.hands(&mut dice).await;
                }
            }
            What::Mend => self.mend(),
            What::Operate => self.operate(job, &mut dice).await,
            What::Both => {
                let way = Way {
                    all: true,
                    ..Way::default()
                };
                self.go(job, way).await;
            }
            What::Meanwhile => {
                let meddle = Some((dice.below(25) + 1, dice.next()));
                let way = Way {
                    meddle,
                    trouble: true,
                    ..Way::default()
                };
                self.go(job, way).await;
            }
            What::Expire => {
                self.tell("all tokens end".to_owned());
                self.emulator.expire_tokens();
            }
        }
    }

    /// A run without trouble; a refusal is approved where that is asked for.
    pub async fn sync(&mut self, job: usize, approve: bool) -> Ending {
        let ending = self.go(job, Way::default()).await;
        let approval = match &ending {
            Ending::Report(report) if approve && report.outcome == Outcome::Refused => {
                report.refusals[0].approval.clone()
            }
            _ => return ending,
        };
        self.go(
            job,
            Way {
                approve: Some(approval),
                ..Way::default()
            },
        )
        .await
    }

    /// Plans a job.
    pub async fn plan(&mut self, job: usize) -> Option<Planned> {
        self.rest().await;
        self.begin(job, &Way::default());
        let result = self
            .runner(CancellationToken::new())
            .plan(self.jobs[job].name)
            .await;
        self.end(job);
        match result {
            Ok(planned) => Some(planned),
            Err(_) if self.is_mute() => None,
            Err(error) => {
                self.complain("calm", format!("planning failed: {error}"));
                None
            }
        }
    }

    async fn apply(&mut self, job: usize, dice: &mut Dice) {
        self.wait().await;
        let Some(planned) = self.plan(job).await else {
            return;
        };
        let mut changed = false;
        if dice.chance(40) {
            let account = ACCOUNTS[dice.below(self.world().accounts.len())].0;
            if let Some(told) = self.person(account, |account| edit(dice, account)) {
                self.tell(format!("a plan is made; then {account}: {told}"));
                changed = true;
            }
        }
        let saved = SavedPlan {
            job: self.jobs[job].name.to_owned(),
            fingerprint: planned.plan.fingerprint.clone(),
            basis: Some(planned.plan.basis.clone()),
            empty: planned.plan.is_empty(),
            undo: None,
        };
        let approve = planned
            .plan
            .refusals
            .first()
            .map(|refusal| refusal.approval.clone());
        self.tell("the plan is applied".to_owned());
        let ending = self
            .go(
                job,
                Way {
                    saved: Some(saved),
                    approve,
                    ..Way::default()
                },
            )
            .await;
        let sent = self.sent();
        match ending {
            Ending::Error(RunError::PlanMoved(_)) if !sent.is_empty() => {
                self.complain(
                    "apply",
                    format!("the plan had moved, and {sent:?} was sent"),
                );
            }
            Ending::Error(RunError::PlanMoved(words))
                if !changed
                    && !self.jobs[job].remembers
                    && !words.contains("a plan is used once") =>
            {
                self.complain(
                    "apply",
                    format!("nothing has changed, and the plan had moved: {words}"),
                );
            }
            _ => {}
        }
    }

    /// Tells what the requests of the last run have changed.
    fn tell_changes(&mut self) {
        let history = self.emulator.history();
        let fresh = history
            .iter()
            .filter(|event| event.seq > self.told && matches!(event.actor, Actor::Request(_)));
        let changes: Vec<String> = fresh
            .map(|event| {
                format!("{:?}", event.change)
                    .replace(" {", ":")
                    .replace(" }", "")
            })
            .collect();
        self.told = history.last().map_or(0, |event| event.seq);
        if !changes.is_empty() {
            self.tell(format!("  -> {}", changes.join("; ")));
        }
    }

    /// Puts random faults in force.
    fn faults(&mut self, job: usize, dice: &mut Dice) {
        for _ in 0..=dice.below(2) {
            if dice.chance(35) {
                self.oddity(job, dice);
                continue;
            }
            let wild = self.is_wild();
            let fault = match dice.below(18) {
                0 => Fault::TooManyRequests {
                    retry_after: Some(20),
                },
                1 => Fault::TooManyRequests { retry_after: None },
                2 => Fault::ServerError(503),
                3 => Fault::ServerError(500),
                4 => Fault::ResetBeforeEffect,
                5 | 6 | 15 | 16 if !wild || dice.chance(50) => Fault::ResetAfterEffect,
                7 => Fault::TruncatedBody,
                8 => Fault::EmptyBody,
                9 => Fault::HtmlWith200,
                10 => Fault::WrongCount(*dice.pick(&[-1, 1, 3])),
                11 => Fault::MissingList,
                12 => Fault::PartialBatchFailure {
                    every: dice.below(3) + 1,
                },
                13 => Fault::SlowDrip {
                    bytes: 100,
                    pause: 40,
                },
                14 if wild => dice
                    .pick(&[
                        Fault::LateEffect(Duration::from_secs(3)),
                        Fault::LaggingRead(Duration::from_secs(4)),
                    ])
                    .clone(),
                5 | 6 if wild => Fault::LateEffect(Duration::from_secs(2)),
                15 if wild => Fault::LaggingRead(Duration::from_secs(3)),
                _ => dice
                    .pick(&[
                        Fault::ExpiredToken,
                        Fault::SlowAnswer(Duration::from_mins(10)),
                        Fault::Latency(Duration::from_mins(3)),
                    ])
                    .clone(),
            };
            let when = match dice.below(6) {
                0 => When::Every,
                1 => When::First(dice.below(5) as u64 + 1),
                2 => When::EachNth(dice.below(4) as u64 + 2),
                3 => When::Chance {
                    share: 0.3,
                    seed: dice.next(),
                },
                _ => When::Nth(dice.below(14) as u64 + 1),
            };
            let mut rule = FaultRule::every(fault.clone()).when(when);
            let entry = &self.jobs[job];
            let account = *dice.pick(&[entry.target, entry.target, entry.source]);
            rule = rule.at(account);
            let kind = self.world().account(account).kind;
            let mut told = format!("{} at {account} {when:?}", fault.name());
            let late = matches!(fault, Fault::LateEffect(_));
            if dice.chance(if late { 90 } else { 40 }) {
                let operations: &[&str] = match kind {
                    Kind::Emfluence if late => {
                        &["groups/save", "contacts/import", "groups/addContacts"]
                    }
                    Kind::GreenRope if late => {
                        &["CreateGroup", "AddContacts", "AddContactsToGroup"]
                    }
                    Kind::ActiveCampaign if late => {
                        &["list_add", "group_add", "user_add", "contact_sync"]
                    }
                    Kind::Emfluence => &[
                        "groups/search",
                        "groups/getContacts",
                        "contacts/search",
                        "contacts/import",
                        "groups/addContacts",
                        "groups/save",
                    ],
                    Kind::GreenRope => &[
                        "GetGroups",
                        "GetContacts",
                        "AddContacts",
                        "EditContacts",
                        "AddContactsToGroup",
                        "UnsubscribeContacts",
                    ],
                    Kind::ActiveCampaign => &[
                        "POST /import/bulk_import",
                        "POST /import/bulk_import",
                        "GET /import/info",
                        "GET /contacts",
                        "contact_sync",
                        "list_add",
                        "list_list",
                    ],
                };
                let operation = *dice.pick(operations);
                rule = rule.on(operation);
                write!(told, " on {operation}").unwrap();
                let listing = matches!(operation, "groups/getContacts" | "GetContacts");
                let broken = matches!(
                    fault,
                    Fault::WrongCount(_)
                        | Fault::MissingList
                        | Fault::TruncatedBody
                        | Fault::EmptyBody
                        | Fault::HtmlWith200
                );
                if listing && broken && when == When::Every {
                    self.blind.insert(account.to_owned());
                }
            }
            self.emulator.add_fault(rule);
            self.tell(format!("fault: {told}"));
        }
    }

    /// Puts one of the oddities in force that look like ordinary answers, or that concern one record
    /// alone.
    fn oddity(&mut self, job: usize, dice: &mut Dice) {
        let entry = &self.jobs[job];
        let name = *dice.pick(&[entry.target, entry.source]);
        let is_source = name == entry.source && !self.is_target(name);
        let world = self.world();
        let account = world.account(name);
        let (listings, filters): (&[&str], &[&str]) = match account.kind {
            Kind::Emfluence => (
                &["groups/search", "groups/getContacts", "contacts/search"],
                &["suppressed", "held", "email", "page", "rpp", "groupID"],
            ),
            Kind::GreenRope => (
                &["GetGroups", "GetContacts"],
                &["Unsubscribed_startdate", "Bounced_startdate", "group_id"],
            ),
            Kind::ActiveCampaign => (
                &["list_list", "GET /contacts", "contact_list", "GET /users"],
                &[
                    "filters[listid]",
                    "listid",
                    "status",
                    "id_greater",
                    "include",
                    "offset",
                    "ids",
                ],
            ),
        };
        let contacts: Vec<u64> = account.contacts.keys().copied().collect();
        let Some(person) = dice.any(&contacts).map(|id| &account.contacts[&id]) else {
            return;
        };
        let groups: Vec<&str> = account
            .groups
            .values()
            .map(|group| group.name.as_str())
            .collect();
        let texts = [
            dice.any(&groups).unwrap_or_default(),
            person.get("first_name"),
            person.get("city"),
            person.email.as_str(),
        ];
        let text = (*dice.pick(&texts)).to_owned();
        let fault = match dice.below(9) {
            0 | 1 => Fault::ShortPage,
            2 => Fault::SignUp,
            3 if is_source => Fault::Turnover,
            3 | 4 => Fault::IgnoredParameter((*dice.pick(filters)).to_owned()),
            5 if is_usable(&person.email) => Fault::CrashesOn(person.email.clone()),
            6 if is_usable(&person.email) => Fault::PoisonItem(person.email.clone()),
            _ if text.len() > 3 => Fault::Garbled {
                text,
                with: *dice.pick(&[
                    Garbage::Surrogate,
                    Garbage::Control,
                    Garbage::Foreign,
                    Garbage::Entity,
                ]),
            },
            _ => return,
        };
        self.busy |= matches!(fault, Fault::SignUp | Fault::Turnover);
        self.is_overlooking |= matches!(fault, Fault::IgnoredParameter(_));
        let when = match dice.below(4) {
            0 => When::Nth(dice.below(10) as u64 + 1),
            1 => When::EachNth(dice.below(4) as u64 + 2),
            _ => When::Every,
        };
        let mut rule = FaultRule::every(fault.clone()).at(name).when(when);
        let mut told = format!("{fault:?} at {name} {when:?}");
        let reads = matches!(fault, Fault::ShortPage | Fault::SignUp | Fault::Turnover);
        if reads && dice.chance(60) {
            let operation = *dice.pick(listings);
            rule = rule.on(operation);
            write!(told, " on {operation}").unwrap();
        }
        self.emulator.add_fault(rule);
        self.tell(format!("fault: {told}"));
    }

    /// Ends all faults.
    fn mend_all(&mut self) {
        self.emulator.clear_faults();
        self.blind.clear();
        self.busy = false;
        self.is_overlooking = false;
    }

    /// Whether an account holds no group and calls that an error.
    pub fn is_mute(&self) -> bool {
        self.world()
            .accounts
            .iter()
            .any(|account| account.settings.greenrope.empty_is_error && account.groups.is_empty())
    }

    /// Lets a minute of the paused time pass: a new process knows nothing of the requests that the
    /// one before it sent.
    async fn rest(&self) {
        tokio::time::sleep(Duration::from_mins(1)).await;
    }

    /// Lets whatever an account does in the background come to its end.
    async fn wait(&self) {
        tokio::time::sleep(Duration::from_mins(10)).await;
        self.wire.look();
    }

    fn begin(&mut self, job: usize, way: &Way) -> CancellationToken {
        let token = CancellationToken::new();
        self.wire.look();
        let start = self.world();
        let mut state = self.wire.lock();
        let last = state.seq;
        let stop = way.stop.map(|stop| (stop, token.clone()));
        state.trip = Trip {
            kill: way.kill,
            stop,
            step: way.step,
            busy: self.busy,
            meddle: way.meddle,
            ..Trip::default()
        };
        let beside = (0..self.jobs.len())
            .filter(|other| way.all && *other != job)
            .collect();
        state
            .judge
            .begin(job, &start, self.blind.clone(), last, beside);
        token
    }

    /// The run is over: what is left to look at.
    fn end(&mut self, job: usize) {
        self.wire.look();
        for misuse in self.emulator.misuse() {
            // What the account remembers of a membership that is gone, rosterd can't read.
            // How user groups are asked for where the newer interface shows none.
            if misuse.operation == "group_list" && misuse.kind == MisuseKind::MissingParameter {
                continue;
            }
            // What comes into effect later than anybody waits for is sent again.
            let is_late = |name: &str| name == "fault: late_effect";
            if misuse.kind == MisuseKind::AddedExistingMember
                && self
                    .emulator
                    .requests()
                    .iter()
                    .any(|request| is_late(&request.outcome))
            {
                continue;
            }
            // What an account takes no notice of, it misses.
            let missed = [MisuseKind::MissingParameter, MisuseKind::PageBeyondEnd];
            if missed.contains(&misuse.kind) && self.is_overlooking {
                continue;
            }
            // Who refuses all mail between a look and a request gets none by being in a group.
            let meddled = !self.wire.lock().trip.meddled.is_empty();
            if misuse.kind == MisuseKind::AddedOptedOut && meddled {
                continue;
            }
            if misuse.kind == MisuseKind::Resubscribed
                && misuse.detail.contains("taken out and added again")
            {
                continue;
            }
            self.complain("misuse", format!("{misuse:?}"));
        }
        let source = self.jobs[job].source;
        let written = self.emulator.requests().into_iter().find(|request| {
            request.is_write && request.account == source && !self.is_target(source)
        });
        if let Some(request) = written {
            self.complain(
                "rule 10",
                format!("the source was written to: {}", request.operation),
            );
        }
        self.emulator.clear_log();
        for line in self.logs.take() {
            if line.contains('@') || self.secrets.iter().any(|secret| line.contains(secret)) {
                self.complain("rule 7", format!("a log line says too much: {line}"));
            }
        }
    }

    fn sent(&self) -> Vec<(String, usize)> {
        self.wire.lock().trip.sent.clone()
    }

    /// The writes of the last run.
    pub fn writes(&self) -> Vec<(String, usize)> {
        self.sent()
    }

    async fn go(&mut self, job: usize, way: Way) -> Ending {
        self.rest().await;
        let token = self.begin(job, &way);
        let runner = self.runner(token);
        let died = self.wire.lock().trip.died.clone();
        let name = self.jobs[job].name;
        // As the service does it: on one runner, and whoever finds an account taken comes later.
        let besides: Vec<&'static str> = (0..self.jobs.len())
            .filter(|other| way.all && *other != job)
            .map(|other| self.jobs[other].name)
            .collect();
        let aside = async {
            for name in besides {
                let options = SyncOptions {
                    approve: None,
                    trigger: "schedule",
                    unless_paused: false,
                };
                match runner.sync(name, options).await {
                    Ok(report) if matches!(report.exit_code(), 0 | 3 | 4) => {}
                    Err(RunError::Busy(_)) => {}
                    Ok(report) => return Some(tell(&report)),
                    Err(error) => return Some(error.to_string()),
                }
            }
            None
        };
        let run = async {
            match &way.saved {
                Some(saved) => runner.apply(saved, way.approve.as_deref()).await,
                None => {
                    runner
                        .sync(
                            name,
                            SyncOptions {
                                approve: way.approve.clone(),
                                trigger: "manual",
                                unless_paused: false,
                            },
                        )
                        .await
                }
            }
        };
        let ending = tokio::select! {
            biased;
            () = died.notified() => Ending::Died,
            (result, aside) = async { tokio::join!(run, aside) } => {
                if let Some(words) = aside {
                    self.complain("calm", format!("a run beside another one failed: {words}"));
                }
                match result {
                    Ok(report) => Ending::Report(Box::new(report)),
                    Err(error) => Ending::Error(error),
                }
            }
        };
        drop(runner);
        let stopped = self.wire.lock().trip.stopped;
        let waited = stopped.map(|at| at.elapsed());
        if let Some(waited) = waited.filter(|waited| *waited > Duration::from_mins(1)) {
            self.complain(
                "stop",
                format!("a run went on for {waited:?} when it was asked to stop"),
            );
        }
        self.end(job);
        let meddled = std::mem::take(&mut self.wire.lock().trip.meddled);
        for told in meddled {
            self.tell(format!("while the next run goes on, {told}"));
        }
        let approved = if way.all {
            " beside the others"
        } else if way.approve.is_some() {
            ", approved"
        } else {
            ""
        };
        let words = match &ending {
            Ending::Report(report) => format!(
                "{:?}, {:?}, refusals {:?}",
                report.outcome,
                report.summary,
                report.refusals.len()
            ),
            Ending::Error(error) => format!("error {error}"),
            Ending::Died => "dead".to_owned(),
        };
        let sent = self.sent();
        self.tell(format!("job {name} runs{approved}: {words}, sent {sent:?}"));
        self.tell_changes();
        if let Ending::Report(report) = &ending {
            let blocked = report
                .blocked
                .iter()
                .map(|blocked| format!("{:?} {:?}", blocked.member, blocked.reason));
            let failed = report
                .failures
                .iter()
                .map(|failure| format!("{} {:?} {}", failure.op, failure.member, failure.message));
            let open: Vec<String> = blocked.chain(failed).collect();
            if !open.is_empty() {
                self.tell(format!("  open: {}", open.join("; ")));
            }
        }
        let said = match &ending {
            Ending::Report(report) => report.error.clone().unwrap_or_default(),
            Ending::Error(error) => error.to_string(),
            Ending::Died => String::new(),
        };
        if self.secrets.iter().any(|secret| said.contains(secret)) {
            self.complain("rule 7", format!("an error says too much: {said}"));
        }
        let moved = way.saved.is_some() && matches!(ending, Ending::Error(RunError::PlanMoved(_)));
        match (way.trouble || self.is_mute(), ending.code()) {
            (false, Some(0 | 3 | 4)) | (true, None | Some(0 | 1 | 3 | 4)) => {}
            (_, code) => {
                let told = if let Ending::Report(report) = &ending {
                    tell(report)
                } else {
                    words
                };
                self.complain("calm", format!("a run ended with {code:?}: {told}"));
            }
        }
        let alone = !way.all || self.jobs.len() == 1;
        if ending.code() == Some(3) && alone && !sent.is_empty() {
            self.complain("guards", format!("a run was refused and sent {sent:?}"));
        }
        // Where there is nothing to apply, nobody looks.
        let applies_nothing = way.saved.as_ref().is_some_and(|saved| saved.empty);
        let unseen = applies_nothing || (way.all && self.jobs.len() > 1);
        if let (false, false, false, Ending::Report(report)) = (unseen, way.trouble, moved, &ending)
        {
            let waits = report
                .blocked
                .iter()
                .any(|blocked| blocked.reason == BlockedReason::AddressTaken);
            self.wire
                .lock()
                .judge
                .learn(report.outcome == Outcome::Refused, waits);
        }
        self.wire.lock().judge.run = None;
        ending
    }
}
