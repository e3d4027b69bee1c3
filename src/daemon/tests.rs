//! The service against the emulated accounts, on paused time.

mod life;
mod turns;

use std::path::Path;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use jiff::Timestamp;
use tokio::sync::mpsc::{UnboundedSender, unbounded_channel};
use tokio::task::JoinHandle;
use tokio::time::{Instant, sleep};

use super::systemd::Manager;
use super::{ServiceOptions, service};
use crate::config::{self, Config};
use crate::emulator::{Account, Emulator, Fault, FaultRule, Kind, World};
use crate::http::Transport;
use crate::run::RunnerOptions;
use crate::signals::Asked;
use crate::state::{Locks, Outcome, RunRecord, Store};

/// What a list can't be created without.
const SENDER: &str = "[providers.campaigns.defaults]\nsender_name = \"Example Society\"\nsender_addr1 = \"1 Example Street\"\nsender_city = \"Springfield\"\nsender_zip = \"62701\"\nsender_country = \"USA\"\nsender_url = \"https://www.example.org\"\nsender_reminder = \"You signed up at www.example.org\"\n";

const QUARTERLY: &str = "schedule = \"*/15 * * * *\"\nmode = \"managed\"\n";

/// A service that began at ten o'clock, and what it works on.
struct Bench {
    emulator: Emulator,
    directory: tempfile::TempDir,
    text: Arc<Mutex<String>>,
    began: Instant,
    manager: Manager,
}

impl Bench {
    fn new(job: &str) -> Self {
        Bench::of(&only(job))
    }

    fn of(jobs: &str) -> Self {
        let mut world = World::empty();
        let crm = world.add_account(Account::new(Kind::GreenRope, "crm", 45_429));
        let group = crm.add_group("Donors");
        for number in 0..40 {
            let contact = crm.add_person(&format!("person{number}@example.org"), "Ana", "Silva");
            crm.join(group, contact);
        }
        world.add_account(Account::new(Kind::Emfluence, "mail", 71_001));
        world.add_account(Account::new(Kind::ActiveCampaign, "campaigns", 81_001));
        let emulator = Emulator::new(world.without_pace());
        let directory = tempfile::tempdir().unwrap();
        let text = Arc::new(Mutex::new(text(&emulator, directory.path(), jobs)));
        Bench {
            emulator,
            directory,
            text,
            began: Instant::now(),
            manager: Manager::default(),
        }
    }

    fn change(&self, job: &str) {
        self.change_jobs(&only(job));
    }

    fn change_jobs(&self, jobs: &str) {
        *self.text.lock().unwrap() = text(&self.emulator, self.directory.path(), jobs);
    }

    /// Reads the config as it is now.
    fn reader(&self) -> impl Fn() -> Result<Config, String> + Send + 'static {
        let path = self.directory.path().join("rosterd.toml");
        let text = self.text.clone();
        move || {
            let text = text.lock().unwrap();
            config::parse(&text, &path)
                .map(|(config, _)| config)
                .map_err(|findings| findings.to_string())
        }
    }

    fn config(&self) -> Config {
        self.reader()().unwrap()
    }

    fn clock(&self) -> crate::run::Clock {
        let began = self.began;
        Arc::new(move || {
            let ten: Timestamp = "2026-11-22T10:00:00Z".parse().unwrap();
            ten + jiff::SignedDuration::try_from(began.elapsed()).unwrap()
        })
    }

    fn start(&self) -> (UnboundedSender<Asked>, JoinHandle<anyhow::Result<u8>>) {
        self.start_reading(self.reader())
    }

    /// The same, where the config is read in another way.
    fn start_reading(
        &self,
        read: impl Fn() -> Result<Config, String> + Send + 'static,
    ) -> (UnboundedSender<Asked>, JoinHandle<anyhow::Result<u8>>) {
        let runner = RunnerOptions {
            transport: Some(Transport::Local(self.emulator.router())),
            clock: self.clock(),
            ..RunnerOptions::default()
        };
        let (ask, asked) = unbounded_channel();
        let config = read().unwrap();
        (
            ask,
            tokio::spawn(service::serve(ServiceOptions {
                config,
                reload: Box::new(read),
                make_run: super::as_sync(),
                runner,
                manager: self.manager.clone(),
                longest_sleep: super::LONGEST_SLEEP,
                asked,
            })),
        )
    }

    fn store(&self) -> Store {
        Store::open(&self.directory.path().join("rosterd.db"), Timestamp::now()).unwrap()
    }

    /// The runs so far, oldest first.
    fn runs(&self) -> Vec<RunRecord> {
        let mut runs = self.store().history(None, 1000).unwrap();
        runs.reverse();
        runs
    }

    /// The runs so far as start and outcome.
    fn told(&self) -> Vec<String> {
        let tell = |run: &RunRecord| {
            assert_eq!(run.trigger, "schedule");
            format!(
                "{} {}",
                run.started.strftime("%H:%M"),
                run.outcome.map_or("running", Outcome::as_str)
            )
        };
        self.runs().iter().map(tell).collect()
    }

    fn mailed(&self) -> usize {
        self.mailed_by("Donors").unwrap_or(0)
    }

    /// How many people a group at the target mails; nothing where there is no such group.
    fn mailed_by(&self, group: &str) -> Option<usize> {
        self.emulator.with_world(|world| {
            let mail = world.account("mail");
            mail.find_group(group)
                .map(|group| mail.mailed_by(group).len())
        })
    }

    /// Makes groups at the source that hold nobody.
    fn add_groups(&self, names: &[&str]) {
        self.emulator.with_world(|world| {
            for name in names {
                world.account_mut("crm").add_group(name);
            }
        });
    }

    fn assert_no_misuse(&self) {
        let misuse = self.emulator.misuse();
        assert!(misuse.is_empty(), "{misuse:?}");
    }
}

/// The config of one job from `crm` to `mail`, with further lines.
fn only(job: &str) -> String {
    format!("[jobs.crm-to-mail]\nsource = \"crm\"\ntarget = \"mail\"\n{job}")
}

fn text(emulator: &Emulator, directory: &Path, jobs: &str) -> String {
    let [crm, mail, campaigns] = ["crm", "mail", "campaigns"]
        .map(|name| emulator.with_world(|world| world.account(name).credentials()));
    for account in [&crm, &mail, &campaigns] {
        let secret = if account.kind == Kind::GreenRope {
            &account.password
        } else {
            &account.token
        };
        std::fs::write(directory.join(&account.account), secret).unwrap();
    }
    format!(
        "[providers.crm]\nkind = \"greenrope\"\nbase_url = \"http://127.0.0.1{}\"\naccount_id = \"{}\"\nemail = \"{}\"\npassword = {{ file = \"crm\" }}\n\
         [providers.mail]\nkind = \"emfluence\"\nbase_url = \"http://127.0.0.1{}\"\naccess_token = {{ file = \"mail\" }}\nhttp = {{ max_retries = 0 }}\n\
         [providers.campaigns]\nkind = \"activecampaign\"\nbase_url = \"http://127.0.0.1{}\"\napi_key = {{ file = \"campaigns\" }}\ngroups = \"lists\"\n{SENDER}\
         [daemon]\ngrace = \"30s\"\n{jobs}",
        crm.base_path, crm.account_id, crm.email, mail.base_path, campaigns.base_path
    )
}

fn minutes(number: u64) -> Duration {
    Duration::from_mins(number)
}

#[tokio::test(start_paused = true)]
async fn a_job_runs_on_its_schedule_until_the_service_stops() {
    let bench = Bench::new(QUARTERLY);
    let (ask, served) = bench.start();
    sleep(minutes(40)).await;
    assert!(!served.is_finished());
    ask.send(Asked::Stop).unwrap();
    assert_eq!(served.await.unwrap().unwrap(), 0);
    assert_eq!(bench.told(), ["10:15 done", "10:30 done"]);
    assert_eq!(bench.mailed(), 40);
    bench.assert_no_misuse();
}

#[tokio::test(start_paused = true)]
async fn a_missed_run_is_made_up_for_once_after_a_restart() {
    let bench = Bench::new(QUARTERLY);
    let (ask, served) = bench.start();
    sleep(minutes(20)).await;
    ask.send(Asked::Stop).unwrap();
    served.await.unwrap().unwrap();
    sleep(minutes(120)).await;
    let (ask, served) = bench.start();
    sleep(minutes(2)).await;
    ask.send(Asked::Stop).unwrap();
    served.await.unwrap().unwrap();
    assert_eq!(bench.told(), ["10:15 done", "12:20 done"]);
}

#[tokio::test(start_paused = true)]
async fn a_second_service_ends_with_the_code_of_a_lock_that_is_taken() {
    let bench = Bench::new(QUARTERLY);
    let _held = Locks::new(&bench.directory.path().join("rosterd.db"))
        .lock_service()
        .unwrap();
    let (_ask, served) = bench.start();
    assert_eq!(served.await.unwrap().unwrap(), 5);
}

#[tokio::test(start_paused = true)]
async fn a_failing_job_slows_down_and_recovers() {
    let bench = Bench::new(QUARTERLY);
    bench
        .emulator
        .add_fault(FaultRule::every(Fault::ServerError(503)).at("mail"));
    let (ask, served) = bench.start();
    sleep(minutes(4 * 60)).await;
    let failed = bench.runs();
    assert!(
        failed
            .iter()
            .all(|run| run.outcome == Some(Outcome::Failed)),
        "{:?}",
        bench.told()
    );
    assert!((3..=6).contains(&failed.len()), "{:?}", bench.told());
    bench.emulator.clear_faults();
    sleep(minutes(5 * 60)).await;
    ask.send(Asked::Stop).unwrap();
    served.await.unwrap().unwrap();
    let last: Vec<String> = bench.told().into_iter().rev().take(3).collect();
    assert!(last.iter().all(|run| run.ends_with("done")), "{last:?}");
    let runs = bench.runs();
    let [.., before, after] = runs.as_slice() else {
        panic!("{runs:?}")
    };
    assert_eq!(
        after.started.duration_since(before.started).as_secs() / 60,
        15,
        "one good run, and the job is back on its schedule"
    );
    assert_eq!(bench.mailed(), 40);
}

#[tokio::test(start_paused = true)]
async fn a_refused_job_waits_and_goes_on_by_itself() {
    let bench = Bench::new(QUARTERLY);
    let (ask, served) = bench.start();
    sleep(minutes(20)).await;
    let lost: Vec<u64> = bench.emulator.with_world(|world| {
        let crm = world.account_mut("crm");
        let group = crm.find_group("Donors").unwrap();
        let lost: Vec<u64> = crm
            .members_of(group)
            .into_iter()
            .map(|(contact, _)| contact)
            .skip(10)
            .collect();
        for contact in &lost {
            assert!(crm.leave(group, *contact));
        }
        lost
    });
    sleep(minutes(30)).await;
    assert_eq!(
        bench.told(),
        ["10:15 done", "10:30 refused", "10:45 refused"]
    );
    assert_eq!(bench.mailed(), 40, "a refused plan writes nothing");
    bench.emulator.with_world(|world| {
        let crm = world.account_mut("crm");
        let group = crm.find_group("Donors").unwrap();
        crm.join_all(group, lost);
    });
    sleep(minutes(15)).await;
    ask.send(Asked::Stop).unwrap();
    served.await.unwrap().unwrap();
    assert_eq!(bench.told().last().unwrap(), "11:00 done");
}

#[tokio::test(start_paused = true)]
async fn a_paused_job_rests_without_a_restart() {
    let bench = Bench::new(QUARTERLY);
    let (ask, served) = bench.start();
    sleep(minutes(20)).await;
    bench
        .store()
        .set_paused("crm-to-mail", Some("moving house"), Timestamp::now())
        .unwrap();
    sleep(minutes(60)).await;
    bench
        .store()
        .set_paused("crm-to-mail", None, Timestamp::now())
        .unwrap();
    sleep(minutes(15)).await;
    ask.send(Asked::Stop).unwrap();
    served.await.unwrap().unwrap();
    assert_eq!(bench.told(), ["10:15 done", "11:30 done"]);
}

#[tokio::test(start_paused = true)]
async fn a_new_config_is_taken_on_and_a_wrong_one_is_not() {
    let bench = Bench::new(QUARTERLY);
    let (ask, served) = bench.start();
    sleep(minutes(20)).await;
    bench.change("schedule = \"whenever\"\n");
    ask.send(Asked::Reload).unwrap();
    sleep(minutes(15)).await;
    bench.change("schedule = \"5 * * * *\"\nmode = \"managed\"\n");
    ask.send(Asked::Reload).unwrap();
    sleep(minutes(60)).await;
    ask.send(Asked::Stop).unwrap();
    served.await.unwrap().unwrap();
    assert_eq!(bench.told(), ["10:15 done", "10:30 done", "11:05 done"]);
}

#[tokio::test(start_paused = true)]
async fn the_next_run_after_a_reload_does_what_the_new_config_says() {
    let settings = |mode: &str, groups: &str| {
        format!(
            "schedule = \"*/15 * * * *\"\nmode = \"{mode}\"\n[jobs.crm-to-mail.groups]\ninclude = [{groups}]\n"
        )
    };
    let bench = Bench::new(&settings("add", "\"Donors\""));
    bench.add_groups(&["Friends"]);
    let (ask, served) = bench.start();
    sleep(minutes(20)).await;
    assert_eq!(bench.mailed_by("Friends"), None, "it is out of scope");

    bench.change(&settings("add", "\"Donors\", \"Friends\""));
    ask.send(Asked::Reload).unwrap();
    bench.emulator.with_world(|world| {
        let crm = world.account_mut("crm");
        let group = crm.find_group("Donors").unwrap();
        let (gone, _) = crm.members_of(group)[0];
        crm.leave(group, gone);
    });
    sleep(minutes(15)).await;
    assert_eq!(bench.mailed_by("Friends"), Some(0), "the scope is new");
    assert_eq!(bench.mailed(), 40, "nobody is removed yet");

    bench.change(&settings("managed", "\"Donors\", \"Friends\""));
    ask.send(Asked::Reload).unwrap();
    sleep(minutes(15)).await;
    assert_eq!(bench.mailed(), 39, "the mode is new");

    let token = bench.emulator.with_world(|world| {
        let mail = world.account_mut("mail");
        for login in &mut mail.logins {
            login.token.push_str("-renewed");
        }
        mail.credentials().token
    });
    std::fs::write(bench.directory.path().join("mail"), token).unwrap();
    ask.send(Asked::Reload).unwrap();
    sleep(minutes(15)).await;
    ask.send(Asked::Stop).unwrap();
    served.await.unwrap().unwrap();
    assert_eq!(
        bench.told(),
        ["10:15 done", "10:30 done", "10:45 done", "11:00 done"],
        "the secret is fetched anew"
    );
}

#[tokio::test(start_paused = true)]
async fn a_stop_reaches_the_runs_that_are_going_on() {
    for (before, within) in [(false, false), (true, false), (false, true)] {
        let bench = Bench::new(QUARTERLY);
        bench.add_groups(&["Friends", "Helpers"]);
        bench.emulator.add_fault(
            FaultRule::every(Fault::SlowAnswer(Duration::from_secs(20))).on("groups/save"),
        );
        let (ask, served) = bench.start();
        sleep(minutes(10)).await;
        if before {
            ask.send(Asked::Reload).unwrap();
        }
        while !bench
            .emulator
            .requests()
            .iter()
            .any(|request| request.operation == "groups/save")
        {
            sleep(Duration::from_millis(100)).await;
        }
        if within {
            ask.send(Asked::Reload).unwrap();
            sleep(Duration::from_secs(1)).await;
        }
        let asked = Instant::now();
        ask.send(Asked::Stop).unwrap();
        assert_eq!(served.await.unwrap().unwrap(), 0);
        let case = format!("reload before: {before}, within: {within}");
        assert!(
            asked.elapsed() < Duration::from_secs(25),
            "{case}: it ended by itself after its request in flight"
        );
        let runs = bench.runs();
        assert!(
            runs[0]
                .error
                .as_deref()
                .is_some_and(|why| why.contains("asked to stop")),
            "{case}: {runs:?}"
        );
        let made = ["Donors", "Friends", "Helpers"].map(|group| bench.mailed_by(group).is_some());
        assert_eq!(made.iter().filter(|made| **made).count(), 1, "{case}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_refusal_ends_the_slowing_down_as_a_success_does() {
    let bench = Bench::new(QUARTERLY);
    let (ask, served) = bench.start();
    sleep(minutes(20)).await;
    bench
        .emulator
        .add_fault(FaultRule::every(Fault::ServerError(503)).at("mail"));
    bench.emulator.with_world(|world| {
        let crm = world.account_mut("crm");
        let group = crm.find_group("Donors").unwrap();
        for (contact, _) in crm.members_of(group).into_iter().skip(10) {
            crm.leave(group, contact);
        }
    });
    sleep(minutes(4 * 60)).await;
    bench.emulator.clear_faults();
    sleep(minutes(5 * 60)).await;
    ask.send(Asked::Stop).unwrap();
    served.await.unwrap().unwrap();
    let runs = bench.runs();
    let failed = runs
        .iter()
        .filter(|run| run.outcome == Some(Outcome::Failed));
    assert!(failed.count() >= 3, "it slowed down: {:?}", bench.told());
    let [.., before, after] = runs.as_slice() else {
        panic!("{runs:?}")
    };
    assert_eq!(
        (before.outcome, after.outcome),
        (Some(Outcome::Refused), Some(Outcome::Refused))
    );
    assert_eq!(
        after.started.duration_since(before.started).as_secs() / 60,
        15,
        "a guard's refusal is no failure: {:?}",
        bench.told()
    );
}

#[tokio::test(start_paused = true)]
async fn a_restart_does_not_forget_that_a_job_fails() {
    let bench = Bench::new(QUARTERLY);
    bench
        .emulator
        .add_fault(FaultRule::every(Fault::ServerError(503)).at("mail"));
    let (ask, served) = bench.start();
    sleep(minutes(3 * 60)).await;
    ask.send(Asked::Stop).unwrap();
    served.await.unwrap().unwrap();
    let before = bench.told();
    let (ask, served) = bench.start();
    sleep(minutes(20)).await;
    ask.send(Asked::Stop).unwrap();
    served.await.unwrap().unwrap();
    assert_eq!(
        bench.told(),
        before,
        "it does not come back at its usual pace"
    );
}

#[tokio::test(start_paused = true)]
async fn a_stop_leaves_nothing_that_the_next_run_does_not_finish() {
    for (latency, finished_in_grace) in [(20, true), (50, false)] {
        let bench = Bench::new(QUARTERLY);
        bench.emulator.add_fault(
            FaultRule::every(Fault::SlowAnswer(Duration::from_secs(latency))).on("contacts/import"),
        );
        let (ask, served) = bench.start();
        while !bench
            .emulator
            .requests()
            .iter()
            .any(|request| request.operation == "contacts/import")
        {
            sleep(Duration::from_millis(100)).await;
        }
        assert_eq!(bench.told(), ["10:15 running"]);
        let asked = Instant::now();
        ask.send(Asked::Stop).unwrap();
        assert_eq!(served.await.unwrap().unwrap(), 0);
        // A request that takes longer is given up in time to write down how the run ended.
        let took = asked.elapsed();
        assert!(took < Duration::from_secs(30), "{took:?}");
        assert_eq!(took < Duration::from_secs(27), finished_in_grace);
        assert_ne!(bench.told(), ["10:15 running"]);
        bench.emulator.clear_faults();
        let (ask, served) = bench.start();
        sleep(minutes(20)).await;
        ask.send(Asked::Stop).unwrap();
        served.await.unwrap().unwrap();
        assert!(
            bench.told().last().unwrap().ends_with("done"),
            "{:?}",
            bench.told()
        );
        assert_eq!(bench.mailed(), 40);
        bench.assert_no_misuse();
    }
}

/// Two jobs into the lists of one account, and what more there is.
fn two_jobs(schedule: &str, more: &str) -> String {
    let job = |name: &str, source: &str, mode: &str| {
        format!(
            "[jobs.{name}]\nsource = \"{source}\"\ntarget = \"campaigns\"\nmode = \"{mode}\"\nschedule = \"{schedule}\"\n"
        )
    };
    job("first", "crm", "managed") + &job("second", "mail", "mirror") + more
}

/// Gives `mail` a group of the same name, in which two of the people of `crm` are as well.
fn add_donors_of_mail(bench: &Bench) {
    bench.emulator.with_world(|world| {
        let mail = world.account_mut("mail");
        let group = mail.add_group("Donors");
        for name in ["person0", "person1", "other0", "other1", "other2"] {
            let contact = mail.add_person(&format!("{name}@example.org"), "Ana", "Silva");
            mail.join(group, contact);
        }
    });
}

/// Fails when two runs went on at once.
fn assert_in_turn(runs: &[RunRecord]) {
    let mut runs: Vec<_> = runs
        .iter()
        .map(|run| (run.started, run.finished.expect("it has ended"), &run.job))
        .collect();
    runs.sort();
    for pair in runs.windows(2) {
        assert!(pair[0].1 <= pair[1].0, "{pair:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn two_jobs_of_one_schedule_take_turns_at_their_target() {
    let bench = Bench::of(&two_jobs("*/15 * * * *", ""));
    add_donors_of_mail(&bench);
    bench.emulator.with_world(|world| {
        let crm = world.account_mut("crm");
        let group = crm.find_group("Donors").unwrap();
        let contact = crm.contact_by_email("person0@example.org").unwrap();
        crm.opt_out_of_group(group, contact);
    });
    let (ask, served) = bench.start();
    sleep(minutes(65)).await;
    ask.send(Asked::Stop).unwrap();
    served.await.unwrap().unwrap();
    let runs = bench.runs();
    assert_eq!(runs.len(), 8, "{:?}", bench.told());
    assert!(
        runs.iter().all(|run| run.outcome == Some(Outcome::Done)),
        "{:?}",
        bench.told()
    );
    assert_in_turn(&runs);
    bench.emulator.with_world(|world| {
        let campaigns = world.account("campaigns");
        let lists = campaigns.groups.values();
        assert_eq!(lists.filter(|list| list.name == "Donors").count(), 1);
        let list = campaigns.find_group("Donors").unwrap();
        let mut mailed = campaigns.mailed_by(list);
        mailed.sort();
        assert_eq!(mailed.len(), 42, "{mailed:?}");
        assert!(!mailed.contains(&"person0@example.org".to_owned()));
    });
    let undone: Vec<_> = bench
        .emulator
        .history()
        .into_iter()
        .filter(|event| event.change.undoes_opt_out())
        .collect();
    assert!(undone.is_empty(), "{undone:?}");
    bench.assert_no_misuse();
    let last = bench
        .emulator
        .requests()
        .into_iter()
        .rfind(|request| request.is_write)
        .unwrap();
    let first_round = runs[2]
        .started
        .duration_since(runs[0].started)
        .unsigned_abs();
    assert!(
        Duration::from_millis(last.millis) < minutes(15) + first_round,
        "after each has run once or twice they agree: {last:?}"
    );
}

#[tokio::test(start_paused = true)]
async fn runs_of_a_new_config_queue_behind_those_of_the_old_one() {
    let once = "15 10 * * *";
    let bench = Bench::of(&two_jobs(once, ""));
    add_donors_of_mail(&bench);
    bench
        .emulator
        .add_fault(FaultRule::every(Fault::SlowAnswer(Duration::from_secs(40))).at("campaigns"));
    let (ask, served) = bench.start();
    sleep(minutes(16)).await;
    assert_eq!(bench.told(), ["10:15 running"], "the other one waits");
    bench.change_jobs(&two_jobs(
        once,
        "[jobs.third]\nsource = \"crm\"\ntarget = \"campaigns\"\nschedule = \"17 10 * * *\"\n",
    ));
    ask.send(Asked::Reload).unwrap();
    sleep(minutes(2)).await;
    assert_eq!(bench.told(), ["10:15 running"], "the new one waits as well");
    sleep(minutes(180)).await;
    ask.send(Asked::Stop).unwrap();
    served.await.unwrap().unwrap();
    let runs = bench.runs();
    let jobs: Vec<&str> = runs.iter().map(|run| run.job.as_str()).collect();
    assert_eq!(jobs, ["first", "second", "third"]);
    assert!(
        runs.iter().all(|run| run.outcome == Some(Outcome::Done)),
        "{:?}",
        bench.told()
    );
    assert_in_turn(&runs);
    assert_eq!(
        bench
            .emulator
            .with_world(|world| world.account("campaigns").groups.len()),
        1
    );
    bench.assert_no_misuse();
}

#[tokio::test(start_paused = true)]
async fn a_run_that_queues_gives_up_when_the_service_stops() {
    let bench = Bench::of(&two_jobs("15 10 * * *", ""));
    add_donors_of_mail(&bench);
    bench
        .emulator
        .add_fault(FaultRule::every(Fault::SlowAnswer(Duration::from_secs(20))).at("campaigns"));
    let (ask, served) = bench.start();
    sleep(minutes(17)).await;
    let asked = Instant::now();
    ask.send(Asked::Stop).unwrap();
    served.await.unwrap().unwrap();
    assert!(asked.elapsed() <= Duration::from_secs(30));
    let runs = bench.runs();
    assert_eq!(runs.len(), 1, "what never began leaves no trace: {runs:?}");
}
