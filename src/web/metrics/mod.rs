//! `/metrics`, for Prometheus.
//!
//! Without a session or the admin token it holds counts and the names of jobs and providers. With
//! one it holds the groups as well, the largest of each job and no more than [`GROUPS`] of all jobs. Labels
//! have values from the config or from a closed list, so that the number of series is bounded by
//! the config.

mod counters;
#[cfg(test)]
mod tests;
mod text;

use std::fs;
use std::path::Path;

use axum::Router;
use axum::extract::State;
use axum::http::header;
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use jiff::Timestamp;

pub(crate) use counters::Counters;

use super::cache::Cache;
use super::problem::Problem;
use super::session::Reader;
use super::state::WebState;
use super::view::service_status;
use crate::config::Config;
use crate::report::{JobRow, JobState, ServiceStatus};
use crate::state::{StateError, Store};
use counters::{OPERATIONS, OUTCOMES};
use text::{Kind, Metric, Samples};

/// How many groups of a job have a series of their own.
const GROUPS_OF_A_JOB: usize = 20;

/// How many groups have one altogether.
const GROUPS: usize = 400;

/// The last answers: one for everybody, one for whoever may see names.
#[derive(Default)]
pub(super) struct Scrapes {
    open: Cache<String>,
    full: Cache<String>,
}

const fn metric(
    name: &'static str,
    kind: Kind,
    labels: &'static [&'static str],
    help: &'static str,
) -> Metric {
    Metric {
        name,
        kind,
        labels,
        help,
    }
}

/// Every metric, in the order in which they are written. The chapter `metrics` of the guide has the same
/// list, which a test holds against this one.
const METRICS: &[Metric] = &[
    metric(
        "rosterd_build_info",
        Kind::Gauge,
        &["version"],
        "Always 1; the version of rosterd.",
    ),
    metric(
        "rosterd_start_timestamp_seconds",
        Kind::Gauge,
        &[],
        "When the service began.",
    ),
    metric(
        "rosterd_loop_silence_seconds",
        Kind::Gauge,
        &[],
        "How long the loop that starts runs was not heard; a healthy one is heard every 15 seconds.",
    ),
    metric(
        "rosterd_process_resident_memory_bytes",
        Kind::Gauge,
        &[],
        "Memory that the process holds; only on Linux.",
    ),
    metric(
        "rosterd_state_size_bytes",
        Kind::Gauge,
        &[],
        "Size of the state database with its write-ahead log.",
    ),
    metric(
        "rosterd_needs_a_person",
        Kind::Gauge,
        &[],
        "1 when something waits for a person, as `rosterd status --check` says it.",
    ),
    metric(
        "rosterd_config_reload_refused",
        Kind::Gauge,
        &[],
        "1 when the config that was read last was wrong, so that the service keeps the one before.",
    ),
    metric(
        "rosterd_channel_failing",
        Kind::Gauge,
        &["channel"],
        "1 when nobody could be told anything through webhook, command, email or alive when that was tried last.",
    ),
    metric(
        "rosterd_channel_waiting_messages",
        Kind::Gauge,
        &["channel"],
        "Messages that are not delivered yet.",
    ),
    metric(
        "rosterd_channel_given_up_messages",
        Kind::Gauge,
        &["channel"],
        "Messages that were given up since one was delivered.",
    ),
    metric(
        "rosterd_job_state",
        Kind::Gauge,
        &["job", "state"],
        "1 for the state that the job is in: ok, failing, refused, paused or running.",
    ),
    metric(
        "rosterd_job_next_fire_timestamp_seconds",
        Kind::Gauge,
        &["job"],
        "When the job starts next; not there for a job that starts by hand only, is paused, is disabled or is left to others.",
    ),
    metric(
        "rosterd_job_last_run_timestamp_seconds",
        Kind::Gauge,
        &["job"],
        "When the last run of the job began.",
    ),
    metric(
        "rosterd_job_last_run_duration_seconds",
        Kind::Gauge,
        &["job"],
        "How long the last run of the job took; not there while it is going on.",
    ),
    metric(
        "rosterd_job_last_success_timestamp_seconds",
        Kind::Gauge,
        &["job"],
        "When a run of the job went through last, by the service or by hand.",
    ),
    metric(
        "rosterd_job_consecutive_failures",
        Kind::Gauge,
        &["job"],
        "How many runs of the job have failed in a row.",
    ),
    metric(
        "rosterd_job_open_items",
        Kind::Gauge,
        &["job"],
        "Items that are blocked or refused and wait for a person.",
    ),
    metric(
        "rosterd_job_accepted_items",
        Kind::Gauge,
        &["job"],
        "Items that a person has accepted as they are.",
    ),
    metric(
        "rosterd_job_pending_approvals",
        Kind::Gauge,
        &["job"],
        "1 when a guard refused the last plan and an approval lets it pass.",
    ),
    metric(
        "rosterd_job_members",
        Kind::Gauge,
        &["job"],
        "Memberships of all groups that the job pairs, at the end of the last run that went through.",
    ),
    metric(
        "rosterd_group_members",
        Kind::Gauge,
        &["job", "group"],
        "Memberships of a group; the 20 largest of each job, 400 at most, and only for whoever has the admin token.",
    ),
    metric(
        "rosterd_runs_total",
        Kind::Counter,
        &["job", "outcome"],
        "Runs that ended since the service began: done, partial, refused, failed, busy or interrupted.",
    ),
    metric(
        "rosterd_run_duration_seconds_total",
        Kind::Counter,
        &["job"],
        "Time that runs took since the service began.",
    ),
    metric(
        "rosterd_run_items_total",
        Kind::Counter,
        &["job", "operation"],
        "What runs did since the service began, by operation; `withheld` and `failed` are items that they did not do.",
    ),
    metric(
        "rosterd_provider_requests_total",
        Kind::Counter,
        &["provider", "outcome"],
        "Requests to a provider since the service began, repetitions included: answered, refused, throttled, or lost to an error, silence or an unreadable answer.",
    ),
    metric(
        "rosterd_provider_retries_total",
        Kind::Counter,
        &["provider"],
        "Repetitions among them.",
    ),
    metric(
        "rosterd_provider_request_duration_seconds_total",
        Kind::Counter,
        &["provider", "kind"],
        "Time for which answers were waited for, of requests that read or write.",
    ),
    metric(
        "rosterd_provider_received_bytes_total",
        Kind::Counter,
        &["provider"],
        "Bytes of answers, after decompression.",
    ),
    metric(
        "rosterd_provider_pause_seconds",
        Kind::Gauge,
        &["provider"],
        "How much longer a provider is left alone because it asked for patience.",
    ),
];

pub(super) fn router() -> Router<WebState> {
    Router::new().route("/metrics", get(metrics))
}

async fn metrics(
    State(state): State<WebState>,
    reader: Option<Reader>,
) -> Result<Response, Problem> {
    let scrapes = state.scrapes();
    let text = match reader {
        Some(_) => scrapes.full.get(scrape(&state, true)).await?,
        None => scrapes.open.get(scrape(&state, false)).await?,
    };
    let kind = "text/plain; version=0.0.4; charset=utf-8";
    Ok(([(header::CONTENT_TYPE, kind)], text).into_response())
}

async fn scrape(state: &WebState, with_names: bool) -> Result<String, Problem> {
    let (config, now) = (state.config(), state.now());
    let mut samples = state
        .read(move |store| {
            let mut samples = Samples::default();
            of_the_state(&mut samples, &config, store, now, with_names)?;
            Ok(samples)
        })
        .await?;
    of_the_process(&mut samples, state);
    Ok(samples.write(METRICS))
}

fn seconds(at: Timestamp) -> f64 {
    at.as_millisecond() as f64 / 1_000.0
}

/// What the state database knows.
fn of_the_state(
    samples: &mut Samples,
    config: &Config,
    store: &Store,
    now: Timestamp,
    with_names: bool,
) -> Result<(), StateError> {
    let status = service_status(config, Some(store), now)?;
    of_the_service(samples, &status);
    if let Some(service) = store.service()? {
        samples.put(
            "rosterd_start_timestamp_seconds",
            &[],
            seconds(service.started),
        );
    }
    samples.put(
        "rosterd_state_size_bytes",
        &[],
        size_of(store.path()) as f64,
    );
    let mut groups = Vec::new();
    for row in &status.jobs {
        of_a_job(samples, row);
        let job = row.job.as_str();
        if let Some(at) = store.last_success(job)? {
            samples.put(
                "rosterd_job_last_success_timestamp_seconds",
                &[job],
                seconds(at),
            );
        }
        let sizes = store.sizes_now(job)?;
        let all: u64 = sizes.values().sum();
        samples.put("rosterd_job_members", &[job], all as f64);
        if with_names {
            groups.extend(largest(store, job, sizes)?);
        }
    }
    groups.sort_by(|a, b| b.2.cmp(&a.2).then_with(|| (&a.0, &a.1).cmp(&(&b.0, &b.1))));
    for (job, group, members) in groups.into_iter().take(GROUPS) {
        samples.put("rosterd_group_members", &[&job, &group], members as f64);
    }
    Ok(())
}

/// Whether all is well, whatever the jobs do.
fn of_the_service(samples: &mut Samples, status: &ServiceStatus) {
    let one_if = |is_so: bool| f64::from(u8::from(is_so));
    let needed = one_if(status.needs_a_person());
    samples.put("rosterd_needs_a_person", &[], needed);
    let refused = one_if(status.wrong_config.is_some());
    samples.put("rosterd_config_reload_refused", &[], refused);
    for record in &status.channels {
        let channel = [record.channel.as_str()];
        let failing = one_if(record.failing_since.is_some());
        samples.put("rosterd_channel_failing", &channel, failing);
        let waiting = record.waiting as f64;
        samples.put("rosterd_channel_waiting_messages", &channel, waiting);
        let given_up = record.given_up as f64;
        samples.put("rosterd_channel_given_up_messages", &channel, given_up);
    }
}

/// Returns the largest groups of a job, with their names where those tell them apart.
fn largest(
    store: &Store,
    job: &str,
    sizes: std::collections::HashMap<String, u64>,
) -> Result<Vec<(String, String, u64)>, StateError> {
    let mut sizes: Vec<(String, u64)> = sizes.into_iter().collect();
    sizes.sort_by(|a, b| b.1.cmp(&a.1).then_with(|| a.0.cmp(&b.0)));
    sizes.truncate(GROUPS_OF_A_JOB);
    let links = store.links(job)?;
    let mut seen = std::collections::HashSet::new();
    let named = sizes.into_iter().map(|(id, members)| {
        let link = links.iter().find(|link| link.target == id);
        let name = link.map_or_else(|| id.clone(), |link| link.name.clone());
        // Two series of one name would be one too many.
        let name = if seen.insert(name.clone()) {
            name
        } else {
            format!("{name} ({id})")
        };
        (job.to_owned(), name, members)
    });
    Ok(named.collect())
}

fn of_a_job(samples: &mut Samples, row: &JobRow) {
    let job = row.job.as_str();
    for state in [
        JobState::Ok,
        JobState::Failing,
        JobState::Refused,
        JobState::Paused,
        JobState::Running,
    ] {
        let is_it = f64::from(u8::from(state == row.state));
        samples.put("rosterd_job_state", &[job, state.as_str()], is_it);
    }
    if row.will_fire()
        && let Some(next) = row.next.first()
    {
        samples.put(
            "rosterd_job_next_fire_timestamp_seconds",
            &[job],
            seconds(*next),
        );
    }
    if let Some(run) = &row.last_run {
        samples.put(
            "rosterd_job_last_run_timestamp_seconds",
            &[job],
            seconds(run.started),
        );
        if let Some(finished) = run.finished {
            let took = finished.duration_since(run.started).as_secs_f64().max(0.0);
            samples.put("rosterd_job_last_run_duration_seconds", &[job], took);
        }
    }
    samples.put(
        "rosterd_job_consecutive_failures",
        &[job],
        f64::from(row.failures),
    );
    samples.put("rosterd_job_open_items", &[job], row.waiting.open as f64);
    samples.put(
        "rosterd_job_accepted_items",
        &[job],
        row.waiting.accepted as f64,
    );
    let approvals = f64::from(u8::from(row.waiting.approval.is_some()));
    samples.put("rosterd_job_pending_approvals", &[job], approvals);
}

/// What the process has counted.
fn of_the_process(samples: &mut Samples, state: &WebState) {
    samples.put("rosterd_build_info", &[env!("CARGO_PKG_VERSION")], 1.0);
    let silence = state.pulse().silence().as_secs_f64();
    samples.put("rosterd_loop_silence_seconds", &[], silence);
    if let Some(bytes) = resident_memory() {
        samples.put("rosterd_process_resident_memory_bytes", &[], bytes as f64);
    }
    let config = state.config();
    for job in config.jobs.keys() {
        let counts = state.counters().runs(job);
        for (outcome, number) in OUTCOMES.iter().zip(counts.outcomes) {
            samples.put(
                "rosterd_runs_total",
                &[job, outcome.as_str()],
                number as f64,
            );
        }
        samples.put("rosterd_run_duration_seconds_total", &[job], counts.seconds);
        for operation in OPERATIONS {
            let number = counts.items.get(operation).copied().unwrap_or_default();
            samples.put("rosterd_run_items_total", &[job, operation], number as f64);
        }
    }
    let traffic = state.counters().traffic();
    for provider in config.providers.keys() {
        let known = traffic.get(provider).copied().unwrap_or_default();
        let sent = known.sent;
        for (outcome, number) in [
            ("answered", sent.answered),
            ("refused", sent.refused),
            ("throttled", sent.throttled),
            ("lost", sent.lost),
        ] {
            samples.put(
                "rosterd_provider_requests_total",
                &[provider, outcome],
                number as f64,
            );
        }
        samples.put(
            "rosterd_provider_retries_total",
            &[provider],
            sent.retries as f64,
        );
        for (kind, millis) in [("read", sent.read_millis), ("write", sent.write_millis)] {
            let waited = millis as f64 / 1_000.0;
            samples.put(
                "rosterd_provider_request_duration_seconds_total",
                &[provider, kind],
                waited,
            );
        }
        samples.put(
            "rosterd_provider_received_bytes_total",
            &[provider],
            sent.bytes as f64,
        );
        samples.put(
            "rosterd_provider_pause_seconds",
            &[provider],
            known.paused.as_secs_f64(),
        );
    }
}

/// Returns the bytes of a database with its write-ahead log.
fn size_of(path: &Path) -> u64 {
    let mut log = path.as_os_str().to_owned();
    log.push("-wal");
    let size = |path: &Path| fs::metadata(path).map_or(0, |metadata| metadata.len());
    size(path) + size(Path::new(&log))
}

/// Returns how much memory the process holds, where the system says so.
fn resident_memory() -> Option<u64> {
    let status = fs::read_to_string("/proc/self/status").ok()?;
    let line = status
        .lines()
        .find_map(|line| line.strip_prefix("VmRSS:"))?;
    let kib: u64 = line.trim().strip_suffix("kB")?.trim().parse().ok()?;
    Some(kib * 1024)
}
