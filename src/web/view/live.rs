//! How far the runs of this process have come, and the plans that guards refused them.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{self, BufWriter, Read, Seek, Write};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use jiff::Timestamp;
use serde::Serialize;

use crate::report::{PageAbout, write_plan_html};
use crate::run::{Clock, Meter, Planned, Progress};

/// A run that is under way.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct UnderWay {
    /// What it is doing, in words.
    pub phase: String,
    /// Since when it is doing that.
    pub since: Timestamp,
    /// How many steps of the plan, or requests of a reading, are done; nothing where nobody counts.
    pub done: Option<u64>,
    /// Of how many.
    pub of: Option<u64>,
}

/// Says by which config the page of a job's plan is made.
pub type About = Box<dyn Fn(&str) -> PageAbout + Send + Sync>;

/// Keeps how far each run has come, and the page of the plan that a guard refused last of each job; what
/// it hears goes on to somebody else as well.
///
/// Pages hold addresses, so they stand in files without a name, which are gone with the process.
pub struct LiveRuns {
    jobs: Mutex<BTreeMap<String, Stage>>,
    pages: Mutex<BTreeMap<String, Refused>>,
    clock: Clock,
    about: About,
    to: Arc<dyn Progress>,
}

struct Stage {
    text: String,
    since: Timestamp,
    meter: Option<Meter>,
    steps: Option<(u64, u64)>,
}

struct Refused {
    run: String,
    made: Timestamp,
    page: File,
}

impl LiveRuns {
    /// Begins with no run; whatever is heard goes on to `to`.
    pub fn new(clock: Clock, about: About, to: Arc<dyn Progress>) -> LiveRuns {
        LiveRuns {
            jobs: Mutex::default(),
            pages: Mutex::default(),
            clock,
            about,
            to,
        }
    }

    /// Returns the runs that are under way, by job.
    pub fn now(&self) -> BTreeMap<String, UnderWay> {
        let jobs = lock(&self.jobs);
        let shown = jobs.iter().map(|(job, stage)| {
            let gauge = stage.meter.as_ref().map(Meter::gauge);
            // More than was predicted is no share of anything.
            let requests = gauge.filter(|gauge| gauge.done <= gauge.expected);
            let steps = stage
                .steps
                .or_else(|| requests.map(|gauge| (gauge.done, gauge.expected)));
            let under_way = UnderWay {
                phase: stage.text.clone(),
                since: stage.since,
                done: steps.map(|(done, _)| done),
                of: steps.map(|(_, of)| of),
            };
            (job.clone(), under_way)
        });
        shown.collect()
    }

    /// Tells whether the page of the plan that was refused to a run is there.
    pub fn has_plan(&self, job: &str, run: &str) -> bool {
        lock(&self.pages).get(job).is_some_and(|it| it.run == run)
    }

    /// Returns the page of the plan that was refused to a run of a job, where it is there.
    ///
    /// # Errors
    /// What reading it says.
    pub fn plan(&self, job: &str, run: &str) -> io::Result<Option<Vec<u8>>> {
        let mut pages = lock(&self.pages);
        let Some(refused) = pages.get_mut(job).filter(|it| it.run == run) else {
            return Ok(None);
        };
        let mut page = Vec::new();
        refused.page.rewind()?;
        refused.page.read_to_end(&mut page)?;
        Ok(Some(page))
    }

    /// Returns when the page of a job's refused plan was made, where there is one.
    pub fn made(&self, job: &str) -> Option<Timestamp> {
        lock(&self.pages).get(job).map(|it| it.made)
    }

    /// Lets go of all pages, such as when somebody is forgotten.
    pub fn forget_plans(&self) {
        lock(&self.pages).clear();
    }

    fn keep(&self, job: &str, run: &str, planned: &Planned) -> io::Result<()> {
        let made = (self.clock)();
        let mut out = BufWriter::new(tempfile::tempfile()?);
        write_plan_html(&mut out, planned, &(self.about)(job))?;
        out.flush()?;
        let page = out.into_inner().map_err(io::IntoInnerError::into_error)?;
        let refused = Refused {
            run: run.to_owned(),
            made,
            page,
        };
        lock(&self.pages).insert(job.to_owned(), refused);
        Ok(())
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Progress for LiveRuns {
    fn stage(&self, job: &str, text: &str) {
        let stage = Stage {
            text: text.to_owned(),
            since: (self.clock)(),
            meter: None,
            steps: None,
        };
        lock(&self.jobs).insert(job.to_owned(), stage);
        self.to.stage(job, text);
    }

    fn measure(&self, job: &str, meter: Meter) {
        if let Some(stage) = lock(&self.jobs).get_mut(job) {
            stage.meter = Some(meter.clone());
        }
        self.to.measure(job, meter);
    }

    fn advance(&self, job: &str, done: u64, of: u64) {
        if let Some(stage) = lock(&self.jobs).get_mut(job) {
            stage.steps = Some((done, of));
        }
        self.to.advance(job, done, of);
    }

    fn refused(&self, job: &str, run: &str, planned: &Planned) {
        if let Err(error) = self.keep(job, run, planned) {
            // The refusal itself is in the history; `plan` shows what it is about.
            tracing::warn!(job, %error, "The page of a refused plan could not be kept for the status page.");
        }
        self.to.refused(job, run, planned);
    }

    fn finish(&self, job: &str) {
        lock(&self.jobs).remove(job);
        self.to.finish(job);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::run::Silent;

    #[test]
    fn a_run_is_there_from_its_first_stage_to_its_end() {
        let about: About = Box::new(|_| unreachable!("no plan was refused"));
        let live = LiveRuns::new(Arc::new(|| Timestamp::UNIX_EPOCH), about, Arc::new(Silent));
        assert!(live.now().is_empty());
        live.advance("job", 1, 2);
        assert!(live.now().is_empty(), "a run that was not heard of");
        live.stage("job", "Reading groups of crm");
        assert_eq!(live.now()["job"].done, None);
        live.stage("job", "Writing to mail");
        live.advance("job", 3, 7);
        let run = &live.now()["job"];
        assert_eq!(
            (run.phase.as_str(), run.done, run.of),
            ("Writing to mail", Some(3), Some(7))
        );
        live.finish("job");
        assert!(live.now().is_empty());
        assert!(!live.has_plan("job", "run") && live.plan("job", "run").unwrap().is_none());
    }
}
