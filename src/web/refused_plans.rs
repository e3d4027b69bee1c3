//! The pages of the plans that guards refused, kept while this process lives.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{self, BufWriter, Read, Seek, Write};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use jiff::Timestamp;

use crate::report::{PageAbout, write_plan_html};
use crate::run::{Clock, Meter, Planned, Progress};

/// Says by which config the page of a job's plan is made.
pub(super) type About = Box<dyn Fn(&str) -> PageAbout + Send + Sync>;

/// Keeps the page of the plan that a guard refused last of each job; what it hears of runs goes on to
/// somebody else.
///
/// Pages hold addresses, so they stand in files without a name, which are gone with the process.
pub(super) struct RefusedPlans {
    pages: Mutex<BTreeMap<String, Refused>>,
    clock: Clock,
    about: About,
    to: Arc<dyn Progress>,
}

struct Refused {
    run: String,
    made: Timestamp,
    page: File,
}

impl RefusedPlans {
    /// Begins with no page; whatever is heard goes on to `to`.
    pub(super) fn new(clock: Clock, about: About, to: Arc<dyn Progress>) -> RefusedPlans {
        RefusedPlans {
            pages: Mutex::default(),
            clock,
            about,
            to,
        }
    }

    /// Tells whether the page of the plan that was refused to a run is there.
    pub(super) fn has(&self, job: &str, run: &str) -> bool {
        lock(&self.pages).get(job).is_some_and(|it| it.run == run)
    }

    /// Returns the page of the plan that was refused to a run of a job, where it is there.
    ///
    /// # Errors
    /// What reading it says.
    pub(super) fn page(&self, job: &str, run: &str) -> io::Result<Option<Vec<u8>>> {
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
    pub(super) fn made(&self, job: &str) -> Option<Timestamp> {
        lock(&self.pages).get(job).map(|it| it.made)
    }

    /// Lets go of all pages, such as when somebody is forgotten.
    pub(super) fn forget(&self) {
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

impl Progress for RefusedPlans {
    fn stage(&self, job: &str, text: &str) {
        self.to.stage(job, text);
    }

    fn measure(&self, job: &str, meter: Meter) {
        self.to.measure(job, meter);
    }

    fn advance(&self, job: &str, done: u64, of: u64) {
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
        self.to.finish(job);
    }
}
