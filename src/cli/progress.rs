//! Progress: a line per job on a terminal, and a quiet line every so often elsewhere.

use std::collections::HashMap;
use std::fmt;
use std::io::IsTerminal;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use indicatif::{MultiProgress, ProgressBar, ProgressState, ProgressStyle};
use tokio::time::Instant;

use super::output::tell;
use crate::report::{duration, harmless};
use crate::run::{Gauge, Meter, Progress, Silent};

/// How often a line is written where nobody sees a bar.
const EVERY: Duration = Duration::from_secs(30);

/// Where progress is shown.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Shown {
    /// Nowhere.
    Nowhere,
    /// To whoever typed the command.
    ToAPerson,
    /// In the log.
    InTheLog,
}

/// Returns progress bars where a person can see them, and lines or silence elsewhere.
pub(super) fn progress(bars: &MultiProgress, shown: Shown) -> Arc<dyn Progress> {
    match shown {
        Shown::Nowhere => Arc::new(Silent),
        Shown::ToAPerson if std::io::stderr().is_terminal() => Arc::new(Bars {
            all: bars.clone(),
            by_job: Mutex::default(),
        }),
        Shown::ToAPerson | Shown::InTheLog => Arc::new(Lines {
            inner: Arc::new(Inner {
                jobs: Mutex::default(),
                changed: Condvar::new(),
                in_the_log: shown == Shown::InTheLog,
            }),
        }),
    }
}

/// A part of a run that is under way.
#[derive(Clone)]
struct Stage {
    text: String,
    since: Instant,
    meter: Option<Meter>,
}

impl Stage {
    fn new(text: &str) -> Stage {
        Stage {
            text: harmless(text).into_owned(),
            since: Instant::now(),
            meter: None,
        }
    }

    /// Says how far it has come.
    fn words(&self) -> String {
        match &self.meter {
            Some(meter) => words(meter.gauge(), meter.provider()),
            None => String::new(),
        }
    }
}

/// Says how far a part of a run has come, how fast it goes and how long it takes yet: as long as the
/// requests that are left take at the rate so far.
fn words(gauge: Gauge, provider: &str) -> String {
    let left = gauge.left();
    let Gauge {
        done,
        expected,
        paused,
        elapsed,
    } = gauge;
    let mut words = match expected {
        _ if done > expected => format!("{done} requests"),
        _ => format!("{done} of about {expected} requests"),
    };
    if paused >= Duration::from_secs(1) {
        let rest = duration(Duration::from_secs(paused.as_secs()));
        return format!(
            "{words}, waiting {rest} because {} asked for patience",
            harmless(provider)
        );
    }
    let seconds = elapsed.as_secs_f64();
    // The first few say more of the connection than of the account.
    if done < 5 || seconds < 2.0 {
        return words;
    }
    let rate = done as f64 / seconds;
    words = format!("{words}, {rate:.1} a second");
    match left {
        Some(left) => format!("{words}, about {} left", duration(left)),
        None => words,
    }
}

struct Bars {
    all: MultiProgress,
    by_job: Mutex<HashMap<String, (ProgressBar, Stage)>>,
}

impl Bars {
    fn lock(&self) -> MutexGuard<'_, HashMap<String, (ProgressBar, Stage)>> {
        self.by_job.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn show(bar: &ProgressBar, stage: &Stage) {
        let shown = stage.clone();
        let words = move |_: &ProgressState, out: &mut dyn fmt::Write| {
            // A bar that can't be written to is not looked at.
            out.write_str(&shown.words()).unwrap_or_default();
        };
        if let Ok(style) =
            ProgressStyle::with_template("{spinner} {prefix}: {msg} {words} ({elapsed})")
        {
            bar.set_style(style.with_key("words", words));
        }
        bar.set_message(stage.text.clone());
    }
}

impl Progress for Bars {
    fn stage(&self, job: &str, text: &str) {
        let mut bars = self.lock();
        let (bar, stage) = bars.entry(job.to_owned()).or_insert_with(|| {
            let bar = self.all.add(ProgressBar::new_spinner());
            bar.set_prefix(harmless(job).into_owned());
            bar.enable_steady_tick(Duration::from_millis(120));
            (bar, Stage::new(text))
        });
        *stage = Stage::new(text);
        Bars::show(bar, stage);
    }

    fn measure(&self, job: &str, meter: Meter) {
        if let Some((bar, stage)) = self.lock().get_mut(job) {
            stage.meter = Some(meter);
            Bars::show(bar, stage);
        }
    }

    fn finish(&self, job: &str) {
        let bar = self.lock().remove(job);
        if let Some((bar, _)) = bar {
            bar.finish_and_clear();
            self.all.remove(&bar);
        }
    }
}

/// Writes a line now and then while something is under way.
struct Lines {
    inner: Arc<Inner>,
}

struct Inner {
    jobs: Mutex<Jobs>,
    /// The last job has ended.
    changed: Condvar,
    in_the_log: bool,
}

#[derive(Default)]
struct Jobs {
    under_way: HashMap<String, Stage>,
    /// Whether somebody writes lines of them.
    is_told: bool,
}

impl Inner {
    fn lock(&self) -> MutexGuard<'_, Jobs> {
        self.jobs.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Writes lines until nothing is under way any more.
    fn tell(&self) {
        let mut jobs = self.lock();
        while !jobs.under_way.is_empty() {
            let waited = self.changed.wait_timeout(jobs, EVERY);
            let (locked, wait) = waited.unwrap_or_else(PoisonError::into_inner);
            jobs = locked;
            if !wait.timed_out() {
                continue;
            }
            for (job, stage) in &jobs.under_way {
                let words = stage.words();
                if self.in_the_log {
                    tracing::info!(job, stage = stage.text, progress = words, "A run goes on.");
                } else {
                    let words = if words.is_empty() {
                        duration(Duration::from_secs(stage.since.elapsed().as_secs()))
                    } else {
                        words
                    };
                    tell(|out| writeln!(out, "{}: {}: {words}", harmless(job), stage.text));
                }
            }
        }
        jobs.is_told = false;
    }
}

impl Progress for Lines {
    fn stage(&self, job: &str, text: &str) {
        let mut jobs = self.inner.lock();
        jobs.under_way.insert(job.to_owned(), Stage::new(text));
        if !std::mem::replace(&mut jobs.is_told, true) {
            let inner = self.inner.clone();
            // Its own thread, so that it needs no clock of the runtime; it ends with the last job.
            std::thread::spawn(move || inner.tell());
        }
    }

    fn measure(&self, job: &str, meter: Meter) {
        if let Some(stage) = self.inner.lock().under_way.get_mut(job) {
            stage.meter = Some(meter);
        }
    }

    fn finish(&self, job: &str) {
        let mut jobs = self.inner.lock();
        jobs.under_way.remove(job);
        if jobs.under_way.is_empty() {
            self.inner.changed.notify_all();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_left_goes_by_the_rate_so_far() {
        let gauge = |done, expected, paused| Gauge {
            done,
            expected,
            paused: Duration::from_secs(paused),
            elapsed: Duration::ZERO,
        };
        for (gauge, seconds, said) in [
            (gauge(3, 450, 0), 1, "3 of about 450 requests"),
            (
                gauge(100, 400, 0),
                60,
                "100 of about 400 requests, 1.7 a second, about 3 min left",
            ),
            (
                gauge(100, 400, 42),
                60,
                "100 of about 400 requests, waiting 42 s because mail asked for patience",
            ),
            (gauge(460, 400, 0), 230, "460 requests, 2.0 a second"),
            (gauge(7, 0, 0), 1, "7 requests"),
        ] {
            let elapsed = Duration::from_secs(seconds);
            let words = words(Gauge { elapsed, ..gauge }, "mail");
            assert_eq!(words, said);
        }
    }

    #[test]
    fn a_line_writer_ends_with_the_last_job() {
        let inner = Arc::new(Inner {
            jobs: Mutex::default(),
            changed: Condvar::new(),
            in_the_log: true,
        });
        let lines = Lines {
            inner: inner.clone(),
        };
        for _ in 0..3 {
            lines.stage("one", "Reading");
            lines.stage("two", "Reading");
            lines.finish("one");
            lines.finish("two");
        }
        drop(lines);
        // Each thread holds it until it has ended.
        while Arc::strong_count(&inner) > 1 {
            std::thread::yield_now();
        }
    }
}
