//! The history, a page at a time.

use serde::Serialize;

use super::View;
use crate::report::{FORMAT_VERSION, RunRow, counted};
use crate::state::{RunRecord, StateError};

/// A run, as `history` prints it, with what it did in words.
#[derive(Clone, Debug, Serialize)]
pub struct RunView {
    /// What `history` says of it.
    #[serde(flatten)]
    pub row: RunRow,
    /// What it did, in words; nothing where it did nothing or is running.
    pub did: Option<String>,
    /// How long it took, in seconds; nothing while it is running.
    pub seconds: Option<f64>,
    /// How many opt-outs waited behind its refusal.
    pub waiting_opt_outs: u64,
}

impl RunView {
    /// Takes a run of the history.
    pub fn of(run: &RunRecord) -> RunView {
        let ended = run
            .finished
            .map(|finished| finished.duration_since(run.started));
        RunView {
            row: RunRow::new(run),
            did: run
                .finished
                .map(|_| counted(run))
                .filter(|words| words != "-"),
            seconds: ended.map(|length| length.as_secs_f64().max(0.0)),
            waiting_opt_outs: run.waiting_opt_outs(),
        }
    }
}

/// A page of the history, newest run first.
#[derive(Clone, Debug, Serialize)]
pub struct Runs {
    /// The version of the format.
    pub version: u32,
    /// The runs.
    pub runs: Vec<RunView>,
    /// How many history keeps of the job, or of all jobs.
    pub total: u64,
    /// The run before which the next page begins; nothing on the last one.
    pub next: Option<String>,
}

impl View<'_> {
    /// Gathers runs of one job or of all; those that began before the run `before`, where it is given and
    /// known.
    pub fn runs(
        &self,
        job: Option<&str>,
        before: Option<&str>,
        limit: usize,
    ) -> Result<Runs, StateError> {
        let mut page = Runs {
            version: FORMAT_VERSION,
            runs: Vec::new(),
            total: 0,
            next: None,
        };
        let Some(store) = self.store else {
            return Ok(page);
        };
        let before = match before {
            Some(id) => store.run(id)?,
            None => None,
        };
        let limit = limit.max(1);
        let mut runs = store.history_before(job, before.as_ref(), limit + 1)?;
        let is_last = runs.len() <= limit;
        runs.truncate(limit);
        page.total = store.count_runs(job)?;
        page.next = runs.last().filter(|_| !is_last).map(|run| run.id.clone());
        page.runs = runs.iter().map(RunView::of).collect();
        Ok(page)
    }

    /// Finds a run by its id or the beginning of it.
    ///
    /// # Errors
    /// [`StateError::AmbiguousRun`] when several runs begin like that.
    pub fn run(&self, id: &str) -> Result<Option<RunRecord>, StateError> {
        self.store.map_or(Ok(None), |store| store.run(id))
    }
}
