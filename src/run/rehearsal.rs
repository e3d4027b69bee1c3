//! What a rehearsal needs of the accounts and of the state database: both as they are, at one time.

use std::path::Path;

use super::accounts::{Access, Runner, SecondsEach, unless_stopped};
use super::error::RunError;
use super::read::Everything;

/// Both accounts of a job as they were read.
pub struct BothAccounts {
    /// Everything of the source.
    pub source: Everything,
    /// Everything of the target.
    pub target: Everything,
    /// How long either takes to answer a request, the source first.
    pub answers: [SecondsEach; 2],
}

impl Runner {
    /// Reads both accounts of a job, everything that each shows, and copies the state database to a
    /// file while nobody can run the job; writes to no provider.
    ///
    /// What is read is as old as the copy of the state, so that a run over both finds what it would
    /// have found in truth.
    pub async fn copy_for_rehearsal(
        &self,
        job: &str,
        state: &Path,
    ) -> Result<BothAccounts, RunError> {
        let job = self.job(job)?;
        let _held = self.hold(job, Access::Read).await?;
        self.refuse_one_account(job)?;
        let (source, target) = (self.handle(&job.source)?, self.handle(&job.target)?);
        let progress = &self.inner.options.progress;
        let reading = async {
            let at_source = self.everything(&source).await?;
            progress.finish(&job.source);
            Ok((at_source, self.everything(&target).await?))
        };
        let read = unless_stopped(&self.inner.options.stop, reading).await;
        progress.finish(&job.source);
        progress.finish(&job.target);
        let (at_source, at_target) = read?;
        // What was sent until now counts against the caps of the day in the copy as well.
        self.count_now(job)?;
        self.store().backup_to(state)?;
        Ok(BothAccounts {
            source: at_source,
            target: at_target,
            answers: [self.request_times(&source)?, self.request_times(&target)?],
        })
    }
}
