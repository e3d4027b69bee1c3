//! How the jobs fare: their state, their next fire and their last run.

use std::io::{self, Write};

use anstyle::Style;
use jiff::Timestamp;
use jiff::tz::TimeZone;
use serde::Serialize;

use super::channels::{ChannelRow, write_channels_text};
use super::history::{RunRow, outcome};
use super::json::{FORMAT_VERSION, write_document};
use super::paint::{ADDED, CHANGED, GONE, KEPT};
use super::table::{Cell, write_table};
use super::under_way::{UnderWayRow, under_way_words};
use super::words::{count, distance, duration, harmless, in_shell, instant};
use crate::program::ROSTERD;
use crate::state::{
    ChannelRecord, JobStatus, Outcome, PausedRecord, RunRecord, ServiceRecord, UnderWay, Waiting,
};

/// The state of a job in one word.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum JobState {
    /// The last run went well, or there was none.
    Ok,
    /// The last run could not go on.
    Failing,
    /// A guard refused the last plan.
    Refused,
    /// A person has paused the job.
    Paused,
    /// A run is active.
    Running,
}

impl JobState {
    /// Judges a job; `running` tells whether somebody holds its lock.
    pub fn of(status: &JobStatus, paused: bool, running: bool) -> JobState {
        let last = status.last_run.as_ref().and_then(|run| run.outcome);
        // A run without an end and without a lock was killed: nobody is running it.
        let killed = status
            .last_run
            .as_ref()
            .is_some_and(|run| run.finished.is_none());
        match last {
            _ if running => JobState::Running,
            _ if paused => JobState::Paused,
            Some(Outcome::Failed | Outcome::Interrupted) => JobState::Failing,
            _ if status.refused.is_some() => JobState::Refused,
            _ if killed || status.consecutive_failures > 0 => JobState::Failing,
            _ => JobState::Ok,
        }
    }

    /// Returns the word of the format.
    pub fn as_str(self) -> &'static str {
        match self {
            JobState::Ok => "ok",
            JobState::Failing => "failing",
            JobState::Refused => "refused",
            JobState::Paused => "paused",
            JobState::Running => "running",
        }
    }

    fn style(self) -> Style {
        match self {
            JobState::Ok => ADDED,
            JobState::Failing | JobState::Refused => GONE,
            JobState::Paused => CHANGED,
            JobState::Running => KEPT,
        }
    }
}

/// What is shown of one job.
#[derive(Clone, Debug)]
pub struct JobRow {
    /// The job.
    pub job: String,
    /// Its state.
    pub state: JobState,
    /// The cron line, where there is one.
    pub schedule: Option<String>,
    /// Whether the service runs it.
    pub enabled: bool,
    /// Whether `daemon.jobs` names it; others run it where not.
    pub runs_here: bool,
    /// The next fires, the nearest first, with the zone of the schedule.
    pub next: Vec<Timestamp>,
    /// The zone of the schedule.
    pub zone: TimeZone,
    /// Whether and why it is paused.
    pub paused: Option<PausedRecord>,
    /// The run that was started last.
    pub last_run: Option<RunRecord>,
    /// The run whose refusal stands.
    pub refused: Option<RunRecord>,
    /// How many runs in a row have failed, for which the next ones are further apart.
    pub failures: u32,
    /// What waits for a person.
    pub waiting: Waiting,
    /// The run of which the taking back was interrupted.
    pub undo_open: Option<String>,
    /// How far the run has come that goes on, where it has told.
    pub under_way: Option<UnderWay>,
}

impl JobRow {
    /// Tells whether the service would start the job by itself.
    pub(crate) fn will_fire(&self) -> bool {
        self.enabled && self.runs_here && self.schedule.is_some() && self.paused.is_none()
    }

    /// Tells whether a person has to look at the job.
    fn needs_a_person(&self) -> bool {
        matches!(self.state, JobState::Failing | JobState::Refused)
            // The next try of one that fails settles nothing before its end.
            || (self.state == JobState::Running && self.failures > 0)
            || self.waiting.open > 0
            // Also of a job that is paused: opt-outs may wait behind it.
            || self.waiting.approval.is_some()
            || self.undo_open.is_some()
    }
}

/// Whether the service is alive, as far as it told of itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Life {
    /// It is, and was heard a moment ago.
    Alive(ServiceRecord),
    /// It has stopped in order.
    Stopped(ServiceRecord),
    /// It was not heard for too long, and never said that it stops.
    Silent(ServiceRecord),
    /// None ever used this state database.
    Never,
}

impl Life {
    /// Judges what is known of the service at a moment.
    pub fn of(service: Option<ServiceRecord>, now: Timestamp) -> Life {
        match service {
            None => Life::Never,
            Some(service) if service.is_alive(now) => Life::Alive(service),
            Some(service) if service.stopped.is_some() => Life::Stopped(service),
            Some(service) => Life::Silent(service),
        }
    }

    /// Returns the word of the format.
    pub fn as_str(self) -> &'static str {
        match self {
            Life::Alive(_) => "alive",
            Life::Stopped(_) => "stopped",
            Life::Silent(_) => "silent",
            Life::Never => "never",
        }
    }

    pub(super) fn is_alive(self) -> bool {
        matches!(self, Life::Alive(_))
    }

    fn record(self) -> Option<ServiceRecord> {
        match self {
            Life::Alive(service) | Life::Stopped(service) | Life::Silent(service) => Some(service),
            Life::Never => None,
        }
    }
}

/// How the service, its jobs and the ways by which people are told fare, as far as the state database
/// knows. Commands, the page, the API and the metrics judge by this alone.
#[derive(Clone, Debug)]
pub struct ServiceStatus {
    /// Whether the service is alive.
    pub life: Life,
    /// What is wrong with the config that a service that is alive was to take on.
    pub wrong_config: Option<String>,
    /// The ways by which people are told.
    pub channels: Vec<ChannelRecord>,
    /// The jobs, by name.
    pub jobs: Vec<JobRow>,
}

impl ServiceStatus {
    /// Tells whether something waits for a person: a job that fails, is refused, has items that nobody
    /// can sync or is half undone, a schedule without a service, a config that was not taken on, or a
    /// message that nobody got.
    pub fn needs_a_person(&self) -> bool {
        self.is_unserved()
            || self.wrong_config.is_some()
            || self.channels.iter().any(|channel| channel.given_up > 0)
            || self.jobs.iter().any(JobRow::needs_a_person)
    }

    /// Tells whether jobs have a schedule and no service is there to take it.
    pub fn is_unserved(&self) -> bool {
        !self.life.is_alive() && self.jobs.iter().any(JobRow::will_fire)
    }
}

/// Writes for people how the service, its jobs and the ways by which people are told fare.
///
/// # Errors
/// What writing to `out` says.
pub fn write_status_text(
    out: &mut dyn Write,
    status: &ServiceStatus,
    now: Timestamp,
) -> io::Result<()> {
    let ServiceStatus { jobs, life, .. } = status;
    service_text(out, jobs, *life, now)?;
    if let Some(wrong) = &status.wrong_config {
        writeln!(
            out,
            "{GONE}The new config is wrong, and the service keeps the old one{GONE:#}; mend it, and send SIGHUP again:\n"
        )?;
        for line in wrong.lines() {
            writeln!(out, "  {}", harmless(line))?;
        }
        writeln!(out)?;
    }
    if jobs.is_empty() {
        writeln!(out, "The config has no job.")?;
    } else {
        jobs_text(out, jobs, *life, now)?;
    }
    write_channels_text(out, &status.channels, now)
}

fn jobs_text(out: &mut dyn Write, jobs: &[JobRow], life: Life, now: Timestamp) -> io::Result<()> {
    let rows: Vec<Vec<Cell>> = jobs
        .iter()
        .map(|job| {
            let last = job.last_run.as_ref().map_or_else(
                || "never".to_owned(),
                |run| {
                    format!(
                        "{} {}",
                        outcome(run),
                        distance(now, run.finished.unwrap_or(run.started))
                    )
                },
            );
            vec![
                Cell::new(&job.job),
                Cell::styled(job.state.as_str(), job.state.style()),
                Cell::new(&next_words(job, life, now)),
                Cell::new(&last),
            ]
        })
        .collect();
    write_table(out, &["JOB", "STATE", "NEXT", "LAST RUN"], &rows)?;
    for job in jobs {
        if let Some(paused) = &job.paused {
            writeln!(
                out,
                "\n{} is paused since {}: {}",
                harmless(&job.job),
                instant(paused.since, &job.zone),
                harmless(&paused.reason)
            )?;
        }
        if job.state == JobState::Running
            && let Some(run) = &job.last_run
        {
            let far = job.under_way.as_ref();
            let far = far.map(|told| format!(": {}", under_way_words(told, now)));
            writeln!(
                out,
                "\n{}: run {} has gone on for {}{}.",
                harmless(&job.job),
                run.id,
                duration_since(now, run.started),
                far.unwrap_or_default(),
            )?;
        }
        if let Some(error) = job.last_run.as_ref().and_then(|run| run.error.as_ref()) {
            writeln!(out, "\n{}: {}", harmless(&job.job), harmless(error))?;
        }
        waiting_text(out, job)?;
    }
    Ok(())
}

fn service_text(
    out: &mut dyn Write,
    jobs: &[JobRow],
    life: Life,
    now: Timestamp,
) -> io::Result<()> {
    let needed = jobs.iter().any(JobRow::will_fire);
    let start = if needed {
        format!("; `{ROSTERD} run` starts it")
    } else {
        String::new()
    };
    match life {
        Life::Alive(service) => {
            writeln!(
                out,
                "{ADDED}The service is running{ADDED:#}: started {}, heard from {}.",
                distance(now, service.started),
                distance(now, service.heard),
            )?;
            if let Some(why) = nothing_fires(jobs) {
                writeln!(out, "{CHANGED}Nothing will ever fire{CHANGED:#}: {why}.")?;
            }
            writeln!(out)
        }
        Life::Stopped(service) => writeln!(
            out,
            "The service is not running: it stopped {}{start}.\n",
            distance(now, service.heard),
        ),
        Life::Silent(service) => writeln!(
            out,
            "{GONE}The service is not running{GONE:#}: it was heard last {}, and did not say that it stops{start}.\n",
            distance(now, service.heard),
        ),
        Life::Never if needed => writeln!(
            out,
            "{GONE}The service is not running{GONE:#}: it never ran with this state database{start}.\n",
        ),
        Life::Never => {
            let why = if jobs.iter().any(|job| job.schedule.is_some()) {
                "every job that has a schedule is paused, disabled or left to others"
            } else {
                "no job has a schedule"
            };
            writeln!(
                out,
                "The service is not running, and none is needed: {why}.\n"
            )
        }
    }
}

/// Says why no job will start by itself, and what changes that; nothing where one will.
fn nothing_fires(jobs: &[JobRow]) -> Option<String> {
    if jobs.iter().any(JobRow::will_fire) {
        return None;
    }
    let Some(job) = jobs.first() else {
        return Some("the config has no job".to_owned());
    };
    let scheduled = |job: &&JobRow| job.schedule.is_some();
    if jobs.iter().any(|job| scheduled(&job))
        && !jobs.iter().filter(scheduled).any(|job| job.runs_here)
    {
        return Some(LEFT.to_owned());
    }
    let mut here = jobs.iter().filter(scheduled).filter(|job| job.runs_here);
    if let Some(job) = here.find(|job| job.enabled) {
        return Some(format!(
            "every job that has a schedule is paused or disabled; `{ROSTERD} resume {}` ends a pause",
            in_shell(&job.job)
        ));
    }
    if jobs.iter().any(|job| job.schedule.is_some()) {
        return Some(
            "every job that has a schedule is disabled; `enabled = true` in the config changes that"
                .to_owned(),
        );
    }
    Some(no_schedule(&job.job))
}

/// Why nothing fires where `daemon.jobs` names no job that has a schedule.
pub const LEFT: &str = "every job that has a schedule is left to others; \
     `jobs = [\"*\"]` below `[daemon]` has this service run all of them";

/// Says that no job has a schedule, and which line gives one to a job.
pub fn no_schedule(job: &str) -> String {
    format!(
        "no job has a schedule; add `schedule = \"*/15 * * * *\"` below `[jobs.{}]`",
        harmless(job)
    )
}

/// Writes for how long something goes on.
fn duration_since(now: Timestamp, began: Timestamp) -> String {
    duration(now.duration_since(began).try_into().unwrap_or_default())
}

/// Says what of a job waits for a person, with the command that settles it.
fn waiting_text(out: &mut dyn Write, job: &JobRow) -> io::Result<()> {
    let name = harmless(&job.job);
    let in_command = in_shell(&job.job);
    let waiting = &job.waiting;
    if let Some(run) = &job.undo_open {
        writeln!(
            out,
            "\n{name}: an undo of run {run} was interrupted; `{ROSTERD} undo {run} --out FILE`, then `{ROSTERD} apply FILE`, finishes it."
        )?;
    }
    if let Some(approval) = &waiting.approval {
        writeln!(
            out,
            "\n{name}: a guard refused the last plan; `{ROSTERD} plan {in_command}` shows it, and `{ROSTERD} sync {in_command} --approve {approval}` lets exactly that pass."
        )?;
    }
    if waiting.open > 0 {
        let refused = waiting.open.saturating_sub(waiting.blocked);
        let kinds = [
            (waiting.blocked, "that nobody can sync"),
            (refused, "that the provider refused"),
        ];
        let kinds: Vec<String> = kinds
            .into_iter()
            .filter(|(number, _)| *number > 0)
            .map(|(number, what)| format!("{number} {what}"))
            .collect();
        let again = if refused > 0 {
            format!(" `{ROSTERD} retry {in_command}` sends what was refused again now,")
        } else {
            String::new()
        };
        writeln!(
            out,
            "\n{name}: {} for a person, {}; `{ROSTERD} failures {in_command}` lists {},{again} and `{ROSTERD} accept {in_command} ID` has one stay as it is.",
            count(waiting.open, "item waits", "items wait"),
            kinds.join(" and "),
            if waiting.open == 1 { "it" } else { "them" },
        )?;
    }
    if waiting.accepted > 0 {
        writeln!(
            out,
            "\n{name}: {} accepted as {}; `{ROSTERD} accept {in_command} --list` lists {}.",
            count(waiting.accepted, "item is", "items are"),
            if waiting.accepted == 1 {
                "it is"
            } else {
                "they are"
            },
            if waiting.accepted == 1 { "it" } else { "them" },
        )?;
    }
    Ok(())
}

fn next_words(job: &JobRow, life: Life, now: Timestamp) -> String {
    match job.next.first() {
        _ if job.schedule.is_none() => "by hand only".to_owned(),
        _ if !job.enabled => "disabled".to_owned(),
        _ if !job.runs_here => "left to others".to_owned(),
        _ if job.paused.is_some() => "when resumed".to_owned(),
        Some(_) if !life.is_alive() => "no service".to_owned(),
        Some(next) => {
            let slowed = match job.failures {
                0 | 1 => String::new(),
                failures => format!(
                    ", slowed after {}",
                    count(failures.into(), "failure", "failures")
                ),
            };
            format!(
                "{} ({}{slowed})",
                instant(*next, &job.zone),
                distance(now, *next)
            )
        }
        None => "never".to_owned(),
    }
}

/// The service as JSON.
#[derive(Clone, Debug, Serialize)]
pub struct ServiceRow {
    /// Whether it is `alive`, `stopped`, `silent`, or `never` was there.
    pub state: &'static str,
    /// The number of its process.
    pub pid: Option<u32>,
    /// When it began.
    pub started: Option<String>,
    /// When it was heard last.
    pub heard: Option<String>,
    /// When it said that it stops.
    pub stopped: Option<String>,
}

impl ServiceRow {
    /// Says what is known of the service.
    pub fn of(life: Life) -> ServiceRow {
        let record = life.record();
        ServiceRow {
            state: life.as_str(),
            pid: record.map(|service| service.pid),
            started: record.map(|service| service.started.to_string()),
            heard: record.map(|service| service.heard.to_string()),
            stopped: record.and_then(|service| Some(service.stopped?.to_string())),
        }
    }
}

/// How one job fares, as JSON.
#[derive(Clone, Debug, Serialize)]
pub struct StatusRow {
    /// The job.
    pub job: String,
    /// Its state in one word.
    pub state: &'static str,
    /// When the service starts it next; nothing where it does not.
    pub next: Option<String>,
    /// The run that was started last.
    pub last_run: Option<RunRow>,
    /// The cron line.
    pub schedule: Option<String>,
    /// Whether the service runs it.
    pub enabled: bool,
    /// Whether `daemon.jobs` names it; others run it where not.
    pub runs_here: bool,
    /// Why it is paused.
    pub paused_reason: Option<String>,
    /// Since when it is paused.
    pub paused_since: Option<String>,
    /// How many runs in a row have failed.
    pub consecutive_failures: u32,
    /// Items that wait for a person.
    pub open: u64,
    /// Those of them that nobody can sync, and that were not sent.
    pub blocked: u64,
    /// Those of them that the provider refused.
    pub refused_by_provider: u64,
    /// Items that a person has accepted.
    pub accepted: u64,
    /// The approval that lets the refused plan pass, while it can be used.
    pub approval: Option<String>,
    /// The run of which the taking back was interrupted.
    pub undo_open: Option<String>,
    /// How far a run under way has come.
    pub progress: Option<UnderWayRow>,
    /// Whether a person has to look at it.
    pub needs_a_person: bool,
}

impl StatusRow {
    /// Tells whether the service would start the job by itself.
    pub(crate) fn will_fire(&self) -> bool {
        self.enabled && self.runs_here && self.schedule.is_some() && self.paused_reason.is_none()
    }

    /// Says how a job fares.
    pub fn of(job: &JobRow, life: Life, now: Timestamp) -> StatusRow {
        StatusRow {
            job: job.job.clone(),
            state: job.state.as_str(),
            next: (job.will_fire() && life.is_alive())
                .then(|| job.next.first().map(Timestamp::to_string))
                .flatten(),
            last_run: job.last_run.as_ref().map(RunRow::new),
            schedule: job.schedule.clone(),
            enabled: job.enabled,
            runs_here: job.runs_here,
            paused_reason: job.paused.as_ref().map(|paused| paused.reason.clone()),
            paused_since: job.paused.as_ref().map(|paused| paused.since.to_string()),
            consecutive_failures: job.failures,
            open: job.waiting.open,
            blocked: job.waiting.blocked,
            refused_by_provider: job.waiting.open.saturating_sub(job.waiting.blocked),
            accepted: job.waiting.accepted,
            approval: job.waiting.approval.clone(),
            undo_open: job.undo_open.clone(),
            progress: job
                .under_way
                .as_ref()
                .map(|told| UnderWayRow::new(told, now)),
            needs_a_person: job.needs_a_person(),
        }
    }
}

/// Writes as JSON how the service, its jobs and the ways by which people are told fare.
///
/// # Errors
/// What writing to `out` says.
pub fn write_status_json(
    out: &mut dyn Write,
    status: &ServiceStatus,
    now: Timestamp,
) -> io::Result<()> {
    #[derive(Serialize)]
    struct Document<'a> {
        version: u32,
        needs_a_person: bool,
        service: ServiceRow,
        wrong_config: Option<&'a str>,
        channels: Vec<ChannelRow>,
        jobs: Vec<StatusRow>,
    }
    let ServiceStatus { life, jobs, .. } = status;
    let rows = jobs.iter().map(|job| StatusRow::of(job, *life, now));
    write_document(
        out,
        &Document {
            version: FORMAT_VERSION,
            needs_a_person: status.needs_a_person(),
            service: ServiceRow::of(*life),
            wrong_config: status.wrong_config.as_deref(),
            channels: status.channels.iter().map(ChannelRow::of).collect(),
            jobs: rows.collect(),
        },
    )
}
