//! Writes down how a run ended.

use std::collections::{HashMap, HashSet};

use jiff::Timestamp;

use super::report::RunReport;
use crate::config::settled::JobConfig;
use crate::model::policy::Mode;
use crate::plan::{Blocked, Plan, item_id, item_key};
use crate::run::accounts::Runner;
use crate::run::apply::{Applied, Approved, Tally};
use crate::run::error::RunError;
use crate::run::prepare::{Prepared, to_tell};
use crate::state::{ApprovedBy, Change, FailureNote, Outcome, RunEnd};

impl Runner {
    /// Writes down how a run ended that applied a plan.
    pub(in crate::run) fn record_applied(
        &self,
        job: &JobConfig,
        id: &str,
        started: Timestamp,
        applied: Applied,
        approved: Option<Approved>,
    ) -> Result<RunReport, RunError> {
        let Applied {
            result,
            prepared,
            tally,
            wrote,
            worked_through,
            requests,
            reads,
        } = applied;
        let Tally {
            summary,
            failed,
            warnings,
            mut failures,
            mut untold,
            lines,
            ignored,
            ..
        } = tally;
        let mut report = RunReport {
            waiting_opt_outs: 0,
            refusals: Vec::new(),
            approved,
            summary,
            failures: failed,
            ..RunReport::of_nothing_written(&prepared, job, id, started, started, Outcome::Done)
        };
        report.warnings.extend(warnings);
        report.requests.insert(job.target.clone(), requests);
        *report.reads.entry(job.target.clone()).or_default() += reads;
        let store = self.store();
        let now = self.now();
        // An item that was sent several times in a run was refused once, and rests once.
        let (mut noted, mut told) = (HashSet::new(), HashSet::new());
        failures.retain(|failure| noted.insert(failure.key.clone()));
        untold.retain(|failure| noted.insert(failure.key.clone()));
        report
            .failures
            .retain(|failure| told.insert((failure.op.clone(), failure.item())));
        for failure in failures.iter_mut().chain(&mut untold) {
            failure.item = item_id(
                failure.group.as_deref(),
                failure.member.as_deref(),
                &failure.reason,
                &failure.message,
            );
        }
        store.add_run_items(id, &lines)?;
        store.take_back(id, "update_member", &ignored)?;
        store.note_failures(&job.name, &failures, now)?;
        store.note_untold(&job.name, &untold, now)?;
        let plan = &prepared.planned.plan;
        let mut blocked: Vec<FailureNote> = freshly_blocked(plan)
            .map(|blocked| FailureNote {
                key: item_key(
                    blocked.reason.as_str(),
                    blocked
                        .group
                        .as_deref()
                        .or(blocked.id.as_deref())
                        .unwrap_or(""),
                    blocked
                        .member
                        .as_deref()
                        .filter(|member| !member.is_empty())
                        .or(blocked.id.as_deref())
                        .unwrap_or(""),
                ),
                what: blocked.what.as_str().to_owned(),
                group: blocked.group.clone(),
                member: blocked.member.clone(),
                reason: blocked.reason.as_str().to_owned(),
                code: None,
                message: blocked.detail.clone(),
                item: blocked.item(),
            })
            .collect();
        number_equal_keys(&mut blocked);
        // What takes a run back says nothing of what the job can't do.
        let undoes = prepared.planned.undoing.is_some();
        if !undoes {
            store.replace_blocked(&job.name, &blocked, now)?;
        }
        let failed: HashSet<&str> = failures
            .iter()
            .chain(&untold)
            .map(|failure| failure.key.as_str())
            .collect();
        // What was refused once and was not refused now is over, unless it still waits for its next
        // attempt.
        if result.is_ok() && !undoes {
            let over: Vec<String> = store
                .failures(Some(&job.name))?
                .into_iter()
                .filter(|record| {
                    !record.blocked
                        && !failed.contains(record.note.key.as_str())
                        && !prepared.base.resting.contains_key(&record.note.key)
                })
                .map(|record| record.note.key)
                .collect();
            store.clear_failures(&job.name, &over)?;
        }
        report.finished = now;
        report.outcome = match &result {
            // What was asked for says nothing of how the job fares.
            Err(RunError::Stopped) => Outcome::Interrupted,
            Err(_) => Outcome::Failed,
            Ok(()) if report.waiting().0 > 0 => Outcome::Partial,
            Ok(()) => Outcome::Done,
        };
        let mut summary = report.summary_json();
        summary["open"] = report.waiting().0.into();
        report.error = result.as_ref().err().map(ToString::to_string);
        let end = RunEnd {
            finished: now,
            outcome: report.outcome,
            exit_code: report.exit_code(),
            wrote,
            completed: worked_through && !undoes,
            summary,
            error: report.error.clone(),
            // What an incomplete reading showed is never the measure.
            measure: (result.is_ok() && plan.measured).then_some(plan.measure),
            approved: report.approved.as_ref().map(ApprovedBy::from),
        };
        // In which mode the measure was taken: the first run of a mirror is judged by another guard,
        // that of a job which was switched to it as well.
        let mirrored = end.measure.map(|_| Change::Mirrored {
            job: job.name.clone(),
            mirrored: prepared.policy.mode == Mode::Mirror,
        });
        let changes: Vec<Change> = mirrored.into_iter().collect();
        // A plan that takes a run back tells of no losses.
        if worked_through && !undoes {
            let met = prepared.losses_met;
            let losses = to_tell(&plan.losses);
            store.tell_losses(&job.name, &losses, |kind| met.has_met(kind), now)?;
        }
        self.count_now(job)?;
        store.finish_run(id, &end, &changes)?;
        Ok(report)
    }

    /// Writes down that a guard refused the plan of a run, and why an approval did not help.
    pub(in crate::run) fn record_refused(
        &self,
        job: &JobConfig,
        id: &str,
        started: Timestamp,
        prepared: &Prepared,
        why: Option<String>,
    ) -> Result<RunReport, RunError> {
        let report = RunReport {
            error: why,
            ..RunReport::of_nothing_written(
                prepared,
                job,
                id,
                started,
                self.now(),
                Outcome::Refused,
            )
        };
        let mut summary = report.summary_json();
        summary["refusals"] = report.refusals_json();
        summary["waiting_opt_outs"] = report.waiting_opt_outs.into();
        let end = RunEnd {
            finished: report.finished,
            outcome: Outcome::Refused,
            exit_code: report.exit_code(),
            wrote: false,
            completed: false,
            summary,
            error: Some(
                report
                    .refusals
                    .iter()
                    .map(|refusal| refusal.explanation.clone())
                    .collect::<Vec<_>>()
                    .join("; "),
            ),
            measure: None,
            approved: None,
        };
        self.count_now(job)?;
        self.inner.store.finish_run(id, &end, &[])?;
        let progress = &self.inner.options.progress;
        progress.refused(&job.name, id, &prepared.planned);
        Ok(report)
    }
}

/// Numbers the items whose keys are equal, such as several that are about a whole account: what is
/// said of them changes with its figures.
fn number_equal_keys(notes: &mut [FailureNote]) {
    let mut times: HashMap<String, u32> = HashMap::new();
    for note in notes {
        let times = times.entry(note.key.clone()).or_default();
        *times += 1;
        if *times > 1 {
            note.key = format!("{} {times}", note.key);
        }
    }
}

/// Tells which blocked items are new to the failures: those that rest until their next attempt stand
/// there already.
fn freshly_blocked(plan: &Plan) -> impl Iterator<Item = &Blocked> {
    let mut blocked = plan.blocked.iter();
    std::iter::from_fn(move || blocked.find(|blocked| blocked.rests.is_none()))
}
