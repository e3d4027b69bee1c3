//! A year of the service: twenty jobs of all kinds of schedule, clocks that are changed, set and
//! corrected, a machine that sleeps, restarts, new configs and pauses. The loop is the real one on
//! paused time; the runs are only taken down. Afterwards each time at which a job was due is looked
//! for: it had its run, or one run made up for it, or it was skipped and counted; and no run began
//! for nothing.

mod judge;
mod oracle;

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;
use std::sync::atomic::{AtomicI64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use tokio::sync::mpsc::{UnboundedSender, unbounded_channel};
use tokio::task::JoinHandle;
use tokio::time::{Instant, sleep, sleep_until};
use tracing::field::{Field, Visit};
use tracing::{Event, Subscriber};
use tracing_subscriber::layer::{Context, Layer, SubscriberExt as _};

use super::systemd::Manager;
use super::{ServiceOptions, service};
use crate::config::{self, Config};
use crate::plan::Summary;
use crate::run::{Outcome, RunError, RunReport, RunnerOptions};
use crate::signals::Asked;
use crate::state::Store;
use judge::Judge;

const YEAR: i16 = 2026;

/// How long the loop sleeps at most: a set clock is noticed within this.
const LONGEST_SLEEP: Duration = Duration::from_hours(1);

/// A job: its line, its zone, and the minutes by which a start may be put off.
type Line = (&'static str, &'static str, &'static str, u64);

const BERLIN: &str = "Europe/Berlin";
const AUCKLAND: &str = "Pacific/Auckland";
const LORD_HOWE: &str = "Australia/Lord_Howe";
const NEW_YORK: &str = "America/New_York";

const JOBS: [Line; 20] = [
    ("night", "*/30 1-3 * * *", BERLIN, 0),
    ("hourly", "17 * * 3,4,9,10 *", AUCKLAND, 0),
    ("halves", "*/30 * 1-7 4,10 *", LORD_HOWE, 0),
    ("berlin", "30 2 * * *", BERLIN, 0),
    ("auckland", "30 2 * * *", AUCKLAND, 0),
    ("gap", "15 2 * * *", LORD_HOWE, 0),
    ("fold", "45 1 * * *", LORD_HOWE, 0),
    ("daily", "@daily", "UTC", 0),
    ("weekly", "@weekly", BERLIN, 0),
    ("monthly", "@monthly", NEW_YORK, 0),
    ("friday-13", "0 0 13 * 5", "UTC", 0),
    ("tenths", "0 12 */10 * 6", "America/St_Johns", 0),
    ("weekdays", "30 9 * * mon-fri", "Asia/Kolkata", 0),
    ("steps", "0 */6 * * *", BERLIN, 0),
    ("seconds", "10 0 9-17/4 * * 1-5", "UTC", 0),
    ("sundays", "5 4 * * sun", AUCKLAND, 20),
    ("put-off", "0 3 * * *", NEW_YORK, 45),
    ("halfmonths", "0 5 1,15 2-12/2 *", BERLIN, 0),
    ("long", "0 8-12 * 5 *", "UTC", 0),
    ("failing", "0 */2 * 6,7 *", "UTC", 0),
];

/// What happens besides the passing of time, at an hour of the year.
#[derive(Clone, Copy, Debug)]
enum Act {
    /// The clock jumps by so many seconds: it was set, or the machine slept.
    Jump(i64),
    /// The service is down for so many minutes.
    Down(u64),
    /// The config is read again with another line for a job, or without the job.
    Config(&'static str, Option<&'static str>),
    /// The config is read again, and is wrong.
    Broken,
    Pause(&'static str),
    Resume(&'static str),
}

const HOUR: i64 = 3600;

/// The day of the year, counted from zero, the hour in tenths, and what happens then.
const ACTS: [(u64, u64, Act); 29] = [
    (9, 51, Act::Jump(-4)),
    (12, 135, Act::Jump(3 * HOUR)),
    (16, 15, Act::Jump(-3 * HOUR)),
    (20, 0, Act::Down(600)),
    // Over the turn of a month, before a job of the months has ever run.
    (30, 235, Act::Down(1440)),
    (40, 100, Act::Config("weekdays", Some("0 10 * * 1-5"))),
    (45, 10, Act::Broken),
    (50, 200, Act::Config("steps", None)),
    (58, 110, Act::Config("steps", Some("0 */6 * * *"))),
    // It sleeps through New York's change, and later through Berlin's.
    (66, 50, Act::Jump(5 * HOUR)),
    (87, 5, Act::Jump(3 * HOUR)),
    (87, 20, Act::Down(90)),
    (100, 160, Act::Pause("hourly")),
    (101, 100, Act::Down(60)),
    (103, 53, Act::Resume("hourly")),
    (110, 0, Act::Jump(-9 * HOUR)),
    (111, 0, Act::Jump(9 * HOUR)),
    (125, 94, Act::Broken),
    (130, 95, Act::Jump(-90)),
    (140, 100, Act::Down(45)),
    (165, 105, Act::Down(30)),
    (170, 100, Act::Jump(2 * HOUR)),
    (180, 140, Act::Config("daily", Some("0 1,13 * * *"))),
    (200, 10, Act::Pause("night")),
    (202, 10, Act::Resume("night")),
    (240, 30, Act::Jump(-7 * HOUR)),
    (260, 77, Act::Jump(30 * HOUR)),
    (290, 3, Act::Down(4000)),
    (340, 20, Act::Jump(-26 * HOUR)),
];

fn new_year() -> Timestamp {
    "2026-01-01T00:00:00Z".parse().unwrap()
}

/// A run that was made, in time since the beginning.
#[derive(Clone, Debug)]
struct Made {
    began: Duration,
    ended: Option<Duration>,
    /// How it ended, where it came to its end.
    how: Option<Outcome>,
}

/// What was seen of the service, by job.
#[derive(Default)]
struct Seen {
    runs: Vec<(String, Made)>,
    /// Each skip with how many there were by then.
    skips: Vec<(String, Duration, u64)>,
}

/// What the service and the world around it share.
#[derive(Clone)]
struct World {
    began: Instant,
    offset: Arc<AtomicI64>,
    lines: Arc<Mutex<Vec<Line>>>,
    broken: Arc<Mutex<bool>>,
    seen: Arc<Mutex<Seen>>,
    path: std::path::PathBuf,
}

impl World {
    fn wall(&self) -> Timestamp {
        let passed = SignedDuration::try_from(self.began.elapsed()).unwrap();
        let offset = SignedDuration::from_secs(self.offset.load(Ordering::Relaxed));
        new_year() + passed + offset
    }

    fn config(&self) -> Result<Config, String> {
        if *self.broken.lock().unwrap() {
            return Err("error: a word too many".to_owned());
        }
        let mut text = "[providers.crm]\nkind = \"greenrope\"\naccount_id = \"1\"\nemail = \"ops@example.org\"\npassword = { env = \"P\" }\n\
             [providers.mail]\nkind = \"emfluence\"\naccess_token = { env = \"T\" }\n"
            .to_owned();
        for (job, line, zone, jitter) in self.lines.lock().unwrap().iter() {
            write!(
                text,
                "[jobs.{job}]\nsource = \"crm\"\ntarget = \"mail\"\nschedule = \"{line}\"\ntime_zone = \"{zone}\"\njitter = \"{jitter}m\"\n\
                 [jobs.{job}.groups]\ninclude = [\"{job} *\"]\n"
            )
            .unwrap();
        }
        config::parse(&text, &self.path.join("rosterd.toml"))
            .map(|(config, _)| config)
            .map_err(|findings| findings.to_string())
    }

    fn start(&self) -> (UnboundedSender<Asked>, JoinHandle<anyhow::Result<u8>>) {
        let (ask, asked) = unbounded_channel();
        let (clock, reader, world) = (self.clone(), self.clone(), self.clone());
        let runner = RunnerOptions {
            clock: Arc::new(move || clock.wall()),
            ..RunnerOptions::default()
        };
        let options = ServiceOptions {
            config: self.config().unwrap(),
            reload: Box::new(move || reader.config()),
            runner,
            make_run: Box::new(move |_, job, _| Box::pin(world.clone().run(job.to_owned()))),
            manager: Manager::default(),
            longest_sleep: LONGEST_SLEEP,
            asked,
        };
        (ask, tokio::spawn(service::serve(options)))
    }

    /// Takes down a run, which takes its time and ends in its way.
    fn run(self, job: String) -> impl Future<Output = Result<RunReport, RunError>> + Send {
        let number = {
            let mut seen = self.seen.lock().unwrap();
            let made = Made {
                began: self.began.elapsed(),
                ended: None,
                how: None,
            };
            seen.runs.push((job.clone(), made));
            seen.runs.len() - 1
        };
        async move {
            let _end = End {
                world: self.clone(),
                number,
            };
            let fails = self.wall() < "2026-06-20T00:00:00Z".parse().unwrap()
                && self.wall() > "2026-06-10T00:00:00Z".parse().unwrap();
            let minutes = match job.as_str() {
                "long" => 150,
                _ => 1 + number as u64 % 4,
            };
            sleep(Duration::from_secs(minutes * 60 - 7)).await;
            let how = match job.as_str() {
                "failing" if fails => Outcome::Failed,
                "night" | "berlin" if number.is_multiple_of(7) => Outcome::Busy,
                _ => Outcome::Done,
            };
            self.seen.lock().unwrap().runs[number].1.how = Some(how);
            match how {
                Outcome::Failed => Err(RunError::Setup("mail is down".to_owned())),
                Outcome::Busy => Err(RunError::Busy("mail is in use".to_owned())),
                _ => Ok(done(job, self.wall())),
            }
        }
    }
}

/// Takes down when a run has ended, also where it was dropped.
struct End {
    world: World,
    number: usize,
}

impl Drop for End {
    fn drop(&mut self) {
        let ended = self.world.began.elapsed();
        self.world.seen.lock().unwrap().runs[self.number].1.ended = Some(ended);
    }
}

fn done(job: String, now: Timestamp) -> RunReport {
    RunReport {
        run: String::new(),
        job,
        started: now,
        finished: now,
        outcome: Outcome::Done,
        summary: Summary::default(),
        withheld: 0,
        withheld_by_reason: BTreeMap::default(),
        blocked: Vec::new(),
        failures: Vec::new(),
        refusals: Vec::new(),
        approved: None,
        waiting_opt_outs: 0,
        requests: BTreeMap::default(),
        reads: BTreeMap::default(),
        warnings: Vec::new(),
        error: None,
        losses: Vec::new(),
        accepted: BTreeSet::default(),
        migration: None,
    }
}

/// Hears in the log which fires were skipped, and how often by then.
struct Skips(World);

impl<S: Subscriber> Layer<S> for Skips {
    fn on_event(&self, event: &Event<'_>, _: Context<'_, S>) {
        let mut skip = Skip::default();
        event.record(&mut skip);
        if let Some(times) = skip.times {
            let at = self.0.began.elapsed();
            self.0
                .seen
                .lock()
                .unwrap()
                .skips
                .push((skip.job, at, times));
        }
    }
}

#[derive(Default)]
struct Skip {
    job: String,
    times: Option<u64>,
}

impl Visit for Skip {
    fn record_str(&mut self, field: &Field, value: &str) {
        if field.name() == "job" {
            value.clone_into(&mut self.job);
        }
    }

    fn record_u64(&mut self, field: &Field, value: u64) {
        if field.name() == "skipped" {
            self.times = Some(value);
        }
    }

    fn record_debug(&mut self, _: &Field, _: &dyn std::fmt::Debug) {}
}

/// A place whose writes need no disk, where the system has one: there are tens of thousands.
fn directory() -> tempfile::TempDir {
    tempfile::tempdir_in("/dev/shm").unwrap_or_else(|_| tempfile::tempdir().unwrap())
}

#[tokio::test(start_paused = true)]
async fn a_year_loses_no_fire_and_makes_none_twice() {
    let directory = directory();
    let world = World {
        began: Instant::now(),
        offset: Arc::default(),
        lines: Arc::new(Mutex::new(JOBS.to_vec())),
        broken: Arc::default(),
        seen: Arc::default(),
        path: directory.path().to_owned(),
    };
    let heard = tracing_subscriber::registry().with(Skips(world.clone()));
    let _heard = crate::testing::hear(heard);
    let mut judge = Judge::new(new_year(), YEAR, LONGEST_SLEEP);
    for (job, line, zone, jitter) in JOBS {
        judge.line(job, Duration::ZERO, Some(line), zone, jitter);
    }

    let (mut ask, mut served) = world.start();
    for (day, tenths, act) in ACTS {
        let at = Duration::from_secs(day * 86_400 + tenths * 360);
        tracing::callsite::rebuild_interest_cache();
        sleep_until(world.began + at).await;
        let at = world.began.elapsed();
        match act {
            Act::Jump(seconds) => {
                world.offset.fetch_add(seconds, Ordering::Relaxed);
                judge.jump(at, seconds);
            }
            Act::Down(minutes) => {
                ask.send(Asked::Stop).unwrap();
                assert_eq!(served.await.unwrap().unwrap(), 0);
                sleep(Duration::from_mins(minutes)).await;
                (ask, served) = world.start();
                judge.down(at, world.began.elapsed());
            }
            Act::Config(job, line) => {
                let mut lines = world.lines.lock().unwrap();
                lines.retain(|(known, ..)| *known != job);
                let (_, _, zone, jitter) =
                    JOBS.into_iter().find(|(known, ..)| *known == job).unwrap();
                if let Some(line) = line {
                    lines.push((job, line, zone, jitter));
                }
                drop(lines);
                ask.send(Asked::Reload).unwrap();
                judge.line(job, at, line, zone, jitter);
            }
            Act::Broken => {
                *world.broken.lock().unwrap() = true;
                ask.send(Asked::Reload).unwrap();
                sleep(Duration::from_secs(1)).await;
                *world.broken.lock().unwrap() = false;
            }
            Act::Pause(job) | Act::Resume(job) => {
                let pause = matches!(act, Act::Pause(_));
                let store =
                    Store::open(&directory.path().join("rosterd.db"), world.wall()).unwrap();
                store
                    .set_paused(job, pause.then_some("holidays"), world.wall())
                    .unwrap();
                judge.pause(job, at, pause);
            }
        }
    }
    sleep_until(world.began + Duration::from_hours(24 * 365)).await;
    ask.send(Asked::Stop).unwrap();
    let end = world.began.elapsed();
    assert_eq!(served.await.unwrap().unwrap(), 0);

    let seen = std::mem::take(&mut *world.seen.lock().unwrap());
    let verdict = judge.judge(end, &seen);
    assert!(
        verdict.wrong.is_empty(),
        "{} wrong:\n{}",
        verdict.wrong.len(),
        verdict.wrong[..verdict.wrong.len().min(20)].join("\n")
    );
    // It is no proof where nothing of the kind has happened.
    assert!(verdict.due > 5_000, "{verdict:?}");
    assert!(verdict.on_time > 5_000, "{verdict:?}");
    assert!(verdict.made_up_for > 50, "{verdict:?}");
    assert!(verdict.skipped > 30, "{verdict:?}");
    assert!(verdict.rested_over > 20, "{verdict:?}");
    assert!(verdict.tried_again > 50, "{verdict:?}");
}
