//! Records what the answer to a write says of each item, and closes in on the item that spoils a
//! batch.

use super::check::PATIENCE;
use super::flight::Flight;
use super::open::{Kept, Open};
use super::{Applying, Doubt, Hindrance};
use crate::http::CallError;
use crate::model::{ItemOutcome, Leaving, MemberStatus, Write};
use crate::plan::PersonIx;
use crate::run::error::RunError;
use crate::run::settle::{
    Answer, Item, Parts, Standing, groups_of_row, is_by_row, look_at_row, narrow, parts,
};
use crate::state::{Change, JournalId, JournalOutcome, Settling};

/// How often a write of unknown outcome is read back and sent again.
const ATTEMPTS: u32 = 3;

/// Why something is not tried again that was lost, or was turned down as a part of a whole.
const NOT_SENT_AGAIN: &str = "not sent again, because nobody can tell how the person stands there by now; the next run looks again";

/// How many items of a kind of operation are tried that all are denied.
const DENIED: u32 = 3;

/// How many are tried that all meet a question that fails: of these some may each be trouble of their
/// own, which come first in several runs.
const FAILED: u32 = 20;

impl Applying<'_> {
    /// Waits for the answer to a request, and closes in on the item for which a batch is refused.
    pub(super) async fn follow(&mut self, flight: Flight) -> Result<(), RunError> {
        let mut queue = Vec::new();
        self.take_answer(flight, &mut queue).await?;
        while let Some((write, items, attempt)) = queue.pop() {
            self.others_end().await?;
            if self.runner.inner.options.stop.is_cancelled() {
                return Err(RunError::Stopped);
            }
            if let Some((write, items)) = self.only_still_active(write, items).await?
                && self.may_still_go(&items).await?
                && !self.is_given_up(&items)
            {
                let flight = self.launch(write, items, attempt)?;
                self.take_answer(flight, &mut queue).await?;
            }
        }
        Ok(())
    }

    /// Tells whether a kind of operation is not tried any more, and takes note of those who are
    /// passed over for it. What was not tried has not failed: the next run plans it again, and those
    /// that were tried rest by then.
    pub(super) fn is_given_up(&mut self, items: &[Item]) -> bool {
        let Some(op) = items.first().map(|item| item.op) else {
            return false;
        };
        if !self.is_hopeless(op) || items.iter().any(|item| self.carries_refusal(item)) {
            return false;
        }
        for item in items {
            self.lose(item);
        }
        if let Some(hindrance) = self.hindered.get_mut(op) {
            hindrance.untried = true;
        }
        true
    }

    async fn take_answer(
        &mut self,
        flight: Flight,
        queue: &mut Vec<(Write, Vec<Item>, u32)>,
    ) -> Result<(), RunError> {
        let (journal, write, items, attempt, answer) = flight.land().await;
        let error = match answer {
            Ok(None) => {
                self.settle_unknown(journal, &items)?;
                return Err(RunError::Stopped);
            }
            Ok(Some(outcomes)) if outcomes.len() == items.len() => {
                self.granted.extend(items.iter().map(|item| item.op));
                // Only what the answer leaves open is looked for: the rest is counted already.
                let doubt = self.settle(journal, &write, &items, outcomes)?;
                if let Some((write, items)) = keep(write, items, &doubt.open) {
                    self.find_out(doubt, write, items, attempt, queue, None)
                        .await?;
                }
                return Ok(());
            }
            Ok(Some(_)) => {
                let doubt = Doubt::all(journal, &items);
                return self
                    .find_out(doubt, write, items, attempt, queue, None)
                    .await;
            }
            Err(error) => error,
        };
        match error {
            CallError::Refused { ref refusal, .. } => {
                let (code, message) = (refusal.code.clone(), refusal.message.clone());
                if items.len() == 1 {
                    self.settle_failed(journal, &items, code, &message)?;
                    self.failed(&items[0], refusal.code.clone(), &message);
                } else {
                    self.halve(journal, write, items, attempt, queue, code, message)
                        .await?;
                }
            }
            error if error.may_have_been_done() => {
                if attempt + 1 >= ATTEMPTS && items.len() == 1 {
                    self.settle_unknown(journal, &items)?;
                    // One item that alone draws this stops no other while the host answers; the
                    // next run finds out what became of it.
                    if !self.host_answers().await {
                        return Err(self.stopped(&error));
                    }
                    self.failed(&items[0], None, &error.to_string());
                    return Ok(());
                }
                // What fails twice as a whole may pass in halves: one item can be the cause,
                // and so can the size.
                let in_halves = (attempt > 0 && items.len() > 1).then(|| TurnedDown {
                    words: error.to_string(),
                    may_be_done: true,
                });
                let doubt = Doubt::all(journal, &items);
                self.find_out(doubt, write, items, attempt, queue, in_halves)
                    .await?;
            }
            CallError::LoginExpired { .. } if attempt == 0 => {
                self.settle_failed(journal, &items, None, "the login had expired; sent again")?;
                queue.push((write, items, attempt + 1));
            }
            // A right that is missing for one item concerns that item, and one record can be the
            // cause of a failed question that came before the request: neither stops any other
            // while the host answers.
            error if error.is_of_the_question() && self.host_answers().await => {
                let words = match &error {
                    CallError::Denied { reason, .. } => reason.clone(),
                    error => error.to_string(),
                };
                if items.len() > 1 {
                    return self
                        .halve(journal, write, items, attempt, queue, None, words)
                        .await;
                }
                self.settle_failed(journal, &items, None, &words)?;
                self.failed(&items[0], None, &words);
                let first = Hindrance {
                    denied: 0,
                    failed: 0,
                    untried: false,
                    error: self.stopped(&error),
                };
                let hindrance = self.hindered.entry(items[0].op).or_insert(first);
                if matches!(error, CallError::Denied { .. }) {
                    hindrance.denied += 1;
                } else {
                    hindrance.failed += 1;
                }
            }
            error => {
                self.settle_failed(journal, &items, None, "not sent")?;
                return Err(self.stopped(&error));
            }
        }
        Ok(())
    }

    /// Sends what the provider turned down as a whole again in halves, as far as it is not done.
    #[expect(clippy::too_many_arguments, reason = "the state of one sending")]
    async fn halve(
        &mut self,
        journal: JournalId,
        write: Write,
        items: Vec<Item>,
        attempt: u32,
        queue: &mut Vec<(Write, Vec<Item>, u32)>,
        code: Option<String>,
        words: String,
    ) -> Result<(), RunError> {
        if is_by_row(&write) {
            // A request by row is turned down before any of it is done.
            let message = "turned down as a whole; sent again in halves";
            self.settle_failed(journal, &items, code, message)?;
            queue_halves(write, items, attempt, queue);
            return Ok(());
        }
        let doubt = Doubt::all(journal, &items);
        let turned_down = TurnedDown {
            words,
            may_be_done: false,
        };
        self.find_out(doubt, write, items, attempt, queue, Some(turned_down))
            .await
    }

    /// Tells whether the login is good and the host answers, so that what went wrong is about the
    /// item at hand.
    async fn host_answers(&self) -> bool {
        self.handle.adapter.open().await.is_ok()
    }

    /// Tells whether every item of a kind of operation that was tried was denied, or met a question
    /// that failed, often enough not to try any more of them.
    fn is_hopeless(&self, op: &str) -> bool {
        let is_often = |seen: &Hindrance| seen.denied >= DENIED || seen.failed >= FAILED;
        !self.granted.contains(op) && self.hindered.get(op).is_some_and(is_often)
    }

    /// Tells whether a refusal waits for an item: it is one, or a removal that stands for one, or
    /// creates somebody to hold one. Each of these is tried.
    pub(super) fn carries_refusal(&self, item: &Item) -> bool {
        let refuses = |person: PersonIx| {
            let mut scopes = item.scopes().into_iter().flatten();
            match item.op {
                "set_opt_out" => true,
                "create_members" => self.to_opt_out.contains(&person),
                "remove_memberships" if !self.prepared.capabilities.group_opt_out => {
                    scopes.any(|pair| self.refuses(person, pair))
                }
                _ => false,
            }
        };
        item.person.is_some_and(refuses)
    }

    /// Ends the run, once all else is done, where a kind of operation was hindered for every item
    /// that was tried: a missing right concerns the next ones, too, and where others were not tried,
    /// somebody has to know; a question that failed says nothing of anybody else.
    pub(super) fn end_of_hindrances(&mut self) -> Result<(), RunError> {
        let granted = std::mem::take(&mut self.granted);
        match std::mem::take(&mut self.hindered)
            .into_iter()
            .filter(|(_, seen)| seen.denied > 0 || seen.untried)
            .find(|(op, _)| !granted.contains(op))
        {
            Some((_, seen)) => Err(seen.error),
            None => Ok(()),
        }
    }

    pub(super) fn stopped(&self, error: &CallError) -> RunError {
        RunError::Write {
            provider: self.handle.name.clone(),
            why: error.to_string(),
        }
    }

    /// Records what an answer says item by item. Returns which items have to be looked for before
    /// anything else is sent.
    pub(super) fn settle(
        &mut self,
        journal: JournalId,
        write: &Write,
        items: &[Item],
        outcomes: Vec<ItemOutcome>,
    ) -> Result<Doubt, RunError> {
        let mut journaled = Vec::new();
        let mut changes = Vec::new();
        let mut objections = vec![None; items.len()];
        let mut read_back = false;
        let mut unknown = false;
        for (position, (item, outcome)) in items.iter().zip(outcomes).enumerate() {
            match outcome {
                ItemOutcome::Done { id } => {
                    self.learn(item, id.as_deref(), true);
                    changes.extend(self.confirming().confirmed(
                        write,
                        item,
                        position,
                        &Standing {
                            id: id.clone(),
                            answer: Answer::Yes,
                            ..Standing::default()
                        },
                    )?);
                    self.done(item)?;
                    journaled.push(JournalOutcome::Confirmed { id });
                }
                ItemOutcome::Accepted { id } => {
                    self.learn(item, id.as_deref(), false);
                    read_back = true;
                    journaled.push(JournalOutcome::Accepted { id });
                }
                // Whether a member who is there already is refused or accepted differs; what stands
                // decides.
                ItemOutcome::Refused(refusal)
                    if matches!(
                        write,
                        Write::AddMemberships { .. } | Write::RemoveMemberships { .. }
                    ) =>
                {
                    read_back = true;
                    objections[position] = Some(refusal);
                    journaled.push(JournalOutcome::Accepted { id: None });
                }
                ItemOutcome::Refused(refusal) => {
                    self.failed(item, refusal.code.clone(), &refusal.message);
                    journaled.push(JournalOutcome::Failed {
                        code: refusal.code,
                        message: refusal.message,
                    });
                }
                ItemOutcome::Unknown => {
                    unknown = true;
                    journaled.push(JournalOutcome::Unknown);
                }
            }
        }
        self.settle_entry(journal, &journaled, &changes)?;
        let answer = |(outcome, objection): (&JournalOutcome, &Option<_>)| match outcome {
            _ if objection.is_some() => Answer::Objection,
            JournalOutcome::Accepted { .. } => Answer::Yes,
            _ => Answer::Lost,
        };
        let answers = journaled.iter().zip(&objections).map(answer).collect();
        let said = objections.clone();
        let mut open: Vec<bool> = journaled
            .iter()
            .map(|outcome| !outcome.is_final())
            .collect();
        if read_back && !unknown {
            open.fill(false);
            self.open.push(Kept::of(Open {
                journal,
                write: write.without_profiles(),
                items: items.to_vec(),
                outcomes: journaled,
                objections,
            }));
        }
        Ok(Doubt {
            journal,
            open,
            answers,
            objections: said,
        })
    }

    /// Looks, before a removal that shows as a refusal is sent once more, who is still active where
    /// it takes them from: whoever is not by now is out, by the first request or by their own doing,
    /// which is never recorded as rosterd's (rule 1). Other writes stay as they are.
    async fn only_still_active(
        &mut self,
        mut write: Write,
        mut items: Vec<Item>,
    ) -> Result<Option<(Write, Vec<Item>)>, RunError> {
        let Some(seen) = self.leavers_now(&write).await? else {
            return Ok(Some((write, items)));
        };
        let mut active = Vec::new();
        let mut changes = Vec::new();
        for position in 0..items.len() {
            let item = items[position].clone();
            let address = item.person.map(|person| self.address(person));
            let address = address.unwrap_or_default();
            let standing = look_at_row(&write, position, &item, &address, &seen);
            let Parts {
                done,
                missing,
                untold,
                ..
            } = parts(&write, position, &item, &standing);
            if !done.is_empty() {
                let confirmed = self.confirming();
                changes.extend(confirmed.confirmed(&write, &item, position, &standing)?);
                self.done(&item.narrowed(&done))?;
            }
            if !untold.is_empty() {
                self.untold(&item.narrowed(&untold), NOT_SENT_AGAIN);
            }
            active.push(!missing.is_empty());
            narrow(&mut write, &mut items, position, &missing);
        }
        self.runner.store().record(&changes)?;
        Ok(keep(write, items, &active))
    }

    /// Takes note of the id of something created.
    pub(super) fn learn(&mut self, item: &Item, id: Option<&str>, proved: bool) {
        if let (Some(person), "change_address") = (item.person, item.op) {
            self.moved.insert(person);
            if proved {
                self.so_far.moves_proved.insert(person);
            }
        }
        let Some(id) = id else {
            if let (Some(person), "create_members") = (item.person, item.op) {
                self.unproved.insert(person);
            }
            return;
        };
        match (item.op, item.pair, item.person) {
            ("create_group", Some(pair), _) => {
                self.so_far.group_ids.insert(pair, id.to_owned());
            }
            ("create_members", _, Some(person)) => {
                if proved {
                    let before = self.so_far.person_ids.insert(person, id.to_owned());
                    if before.is_some_and(|before| before != id) {
                        self.so_far.linked.remove(&person);
                    }
                } else {
                    self.unproved.insert(person);
                }
            }
            _ => {}
        }
    }

    /// Writes down what became of a request, and what the run has done since it was written down last.
    pub(super) fn settle_entry(
        &mut self,
        journal: JournalId,
        outcomes: &[JournalOutcome],
        changes: &[Change],
    ) -> Result<(), RunError> {
        let settled = Settling {
            outcomes,
            changes,
            lines: &self.tally.lines,
            ..Settling::default()
        };
        self.runner
            .store()
            .settle(journal, &settled, self.runner.now())?;
        self.tally.lines.clear();
        Ok(())
    }

    pub(super) fn settle_failed(
        &mut self,
        journal: JournalId,
        items: &[Item],
        code: Option<String>,
        message: &str,
    ) -> Result<(), RunError> {
        let outcome = JournalOutcome::Failed {
            code,
            message: message.to_owned(),
        };
        self.settle_entry(journal, &vec![outcome; items.len()], &[])
    }

    pub(super) fn settle_unknown(
        &mut self,
        journal: JournalId,
        items: &[Item],
    ) -> Result<(), RunError> {
        self.settle_entry(journal, &vec![JournalOutcome::Unknown; items.len()], &[])
    }

    /// Finds out by reading which items of a write are done, and queues what is missing: as it is
    /// after an unknown outcome, in halves after a refusal of the whole.
    pub(super) async fn find_out(
        &mut self,
        doubt: Doubt,
        write: Write,
        items: Vec<Item>,
        attempt: u32,
        queue: &mut Vec<(Write, Vec<Item>, u32)>,
        turned_down: Option<TurnedDown>,
    ) -> Result<(), RunError> {
        let Doubt {
            journal,
            open,
            answers,
            objections,
        } = doubt;
        let may_be_done = turned_down.as_ref().is_none_or(|answer| answer.may_be_done);
        let mut answers = only_missing(answers, &open);
        // What stands all the same came otherwise, and is not rosterd's, unless an earlier request of the
        // same was lost.
        let was_refused = !may_be_done && attempt == 0;
        if was_refused {
            answers.fill(Answer::Objection);
        }
        let objections = only_missing(objections, &open);
        // What is settled in the journal stays as it is, whatever is said of it here.
        self.settle_entry(journal, &vec![JournalOutcome::Unknown; open.len()], &[])?;
        self.others_end().await?;
        // An effect may come late, and a read may lag behind it.
        let patient =
            may_be_done && (is_slow(&write) || (attempt + 1 >= ATTEMPTS && joins(&write)));
        let mut waits = PATIENCE
            .iter()
            .take(if patient { PATIENCE.len() } else { 0 });
        // What cannot be read back is often refused for the same reason, which only the provider's
        // words tell.
        let unread = |error: RunError| match (error, &turned_down) {
            (RunError::Write { provider, why }, Some(TurnedDown { words, .. })) => {
                let why = format!("a request was refused ({words}), and {why}");
                RunError::Write { provider, why }
            }
            (error, _) => error,
        };
        let mut done = loop {
            let found = self.observe(&write, &items).await.map_err(unread)?;
            let is_untold = |(position, found): (usize, &Option<Standing>)| {
                found.as_ref().is_some_and(|standing| {
                    let row = parts(&write, position, &items[position], standing);
                    let refuses = standing
                        .status
                        .is_some_and(|status| status != MemberStatus::Active);
                    !refuses && (!row.untold.is_empty() || standing.is_untold())
                })
            };
            let is_missing = found.iter().any(Option::is_none);
            let mut wait = waits.next().filter(|_| is_missing);
            // What can't be told now may be told in a moment; for what never is, a run waits once.
            if wait.is_none() && may_be_done && found.iter().enumerate().any(is_untold) {
                wait = PATIENCE.get(self.untold_waits);
                self.untold_waits += 1;
            }
            match wait {
                Some(seconds) => self.wait(*seconds).await?,
                None => break found,
            }
        };
        if matches!(&write, Write::CreateMembers { join, .. } if !join.is_empty()) {
            let states = self.with_account_states(&items, &mut done).await;
            states.map_err(unread)?;
        }
        if let (Write::CreateGroup { .. }, Some(item)) = (&write, items.first()) {
            self.doubted_groups.extend(item.pair);
        }
        for (standing, answer) in done.iter_mut().zip(answers) {
            if let Some(standing) = standing
                && standing.answer != Answer::Objection
            {
                standing.answer = answer;
            }
        }
        let mut outcomes = Vec::new();
        let mut changes = Vec::new();
        let mut missing: Vec<bool> = done.iter().map(Option::is_none).collect();
        let (mut write, mut items) = (write, items);
        for (position, found) in done.iter().enumerate() {
            let Some(standing) = found else {
                outcomes.push(JournalOutcome::Failed {
                    code: None,
                    message: "not done; sent again".to_owned(),
                });
                continue;
            };
            let item = items[position].clone();
            self.learn(&item, standing.id.as_deref(), true);
            // Somebody may have refused in the moment between.
            if let Some((known, outcome)) =
                self.came_to_refuse(&write, &item, position, standing)?
            {
                changes.extend(known);
                outcomes.push(outcome);
                continue;
            }
            changes.extend(
                self.confirming()
                    .confirmed(&write, &item, position, standing)?,
            );
            let mut row = parts(&write, position, &item, standing);
            // What was certainly not done is sent again like the rest of it, except that nobody is added
            // of whom it can't be told whether they refuse by now (rule 1); and a refusal that waits
            // harms more than one that is written twice.
            let takes_out = matches!(
                write,
                Write::RemoveMemberships { .. } | Write::LeaveGroups { .. }
            );
            let is_last = attempt + 1 >= ATTEMPTS && done.len() == 1;
            let refuses = !is_last && item.op != "create_members" && self.carries_refusal(&item);
            // Where nobody can tell what stands, the provider's no is the answer.
            if let Some(refusal) = &objections[position]
                && row.done.is_empty()
                && row.barred.is_empty()
                && row.missing.is_empty()
            {
                self.failed(&item, refusal.code.clone(), &refusal.message);
                outcomes.push(JournalOutcome::Failed {
                    code: refusal.code.clone(),
                    message: refusal.message.clone(),
                });
                continue;
            }
            if (!may_be_done && takes_out) || refuses {
                row.missing.append(&mut row.untold);
            }
            // Whether somebody new is there at all is one question.
            if self.is_new(&item) && !row.untold.is_empty() {
                row.untold.append(&mut row.missing);
            }
            // What was turned down is in no doubt.
            let mut words = String::new();
            if let Some(TurnedDown { words: said, .. }) = &turned_down
                && was_refused
            {
                words = format!("{said}; {NOT_SENT_AGAIN}");
                if groups_of_row(&write, position).is_empty() && standing.is_untold() {
                    self.untold(&item, &words);
                    outcomes.push(JournalOutcome::Failed {
                        code: None,
                        message: words,
                    });
                    continue;
                }
                if !row.untold.is_empty() {
                    let untold = std::mem::take(&mut row.untold);
                    self.untold(&item.narrowed(&untold), &words);
                }
            }
            // What stands of the row is over, what can't be told stays open, and the rest of it is
            // sent again.
            let rest = std::mem::take(&mut row.missing);
            let settled = self.settle_parts(&write, position, &item, standing, &row, &words)?;
            if rest.is_empty() {
                outcomes.push(settled);
                continue;
            }
            narrow(&mut write, &mut items, position, &rest);
            missing[position] = true;
            outcomes.push(JournalOutcome::Failed {
                code: None,
                message: "done in part; the rest is sent again".to_owned(),
            });
        }
        let mut found = outcomes.into_iter();
        let outcomes: Vec<JournalOutcome> = open
            .iter()
            .map(|open| if *open { found.next() } else { None }.unwrap_or(JournalOutcome::Unknown))
            .collect();
        self.settle_entry(journal, &outcomes, &changes)?;
        let Some((write, items)) = keep(write, items, &missing) else {
            return Ok(());
        };
        if attempt + 1 >= ATTEMPTS && items.len() == 1 {
            let message = turned_down.map_or_else(
                || "sent several times, and reading back does not show it".to_owned(),
                |answer| answer.words,
            );
            self.failed(&items[0], None, &message);
            return Ok(());
        }
        if turned_down.is_some() || attempt + 1 >= ATTEMPTS {
            queue_halves(write, items, attempt, queue);
        } else {
            queue.push((write, items, attempt + 1));
        }
        Ok(())
    }
}

/// What a provider said to a request as a whole, which is therefore sent again in halves.
pub(super) struct TurnedDown {
    words: String,
    /// Whether some of it may be done all the same.
    may_be_done: bool,
}

/// Tells whether a write makes something new, which would be there twice if it were sent twice.
fn creates(write: &Write) -> bool {
    matches!(
        write,
        Write::CreateCustomField { .. }
            | Write::CreateGroup { .. }
            | Write::CreateMembers { .. }
            | Write::CreateOptedOut { .. }
    )
}

/// Tells whether what a write does may show late, and does harm if it is done twice or taken for not
/// done.
fn is_slow(write: &Write) -> bool {
    creates(write) || matches!(write, Write::DeleteGroup { .. })
}

/// Tells whether a write changes who is in which group.
fn joins(write: &Write) -> bool {
    is_by_row(write)
        || matches!(
            write,
            Write::AddMemberships { .. } | Write::RemoveMemberships { .. }
        )
}

/// Queues both halves of a write, the first one first.
fn queue_halves(
    write: Write,
    mut items: Vec<Item>,
    attempt: u32,
    queue: &mut Vec<(Write, Vec<Item>, u32)>,
) {
    let half = write.items() / 2;
    let (first, second) = write.halve();
    if let Some(second) = second {
        let rest = items.split_off(half);
        queue.push((second, rest, attempt));
    }
    queue.push((first, items, attempt));
}

/// Returns the neutral name of a write, for the journal.
pub(super) fn operation(write: &Write) -> &'static str {
    match write {
        Write::CreateGroup { .. } => "create_group",
        Write::EditGroups { .. } => "edit_groups",
        Write::DeleteGroup { .. } => "delete_group",
        Write::CreateMembers { .. } | Write::CreateOptedOut { .. } => "create_members",
        Write::UpdateMembers { .. } => "update_members",
        Write::ChangeAddress { .. } => "change_address",
        Write::AddMemberships { .. } | Write::JoinGroups { .. } | Write::BringBack { .. } => {
            "add_memberships"
        }
        Write::OptOutOfAccount { .. }
        | Write::OptOutOfGroups { .. }
        | Write::LeaveGroups {
            how: Leaving::OptOut,
            ..
        } => "set_opt_out",
        Write::RemoveMemberships { .. } | Write::LeaveGroups { .. } => "remove_memberships",
        Write::CreateCustomField { .. } => "create_field",
    }
}

/// Keeps the items that are still missing.
fn keep(write: Write, items: Vec<Item>, missing: &[bool]) -> Option<(Write, Vec<Item>)> {
    if !missing.contains(&true) {
        return None;
    }
    let items = only_missing(items, missing);
    let write = match write {
        Write::EditGroups { edits } => Write::EditGroups {
            edits: only_missing(edits, missing),
        },
        Write::CreateMembers { rows, join } => Write::CreateMembers {
            rows: only_missing(rows, missing),
            join,
        },
        Write::UpdateMembers { edits } => Write::UpdateMembers {
            edits: only_missing(edits, missing),
        },
        Write::AddMemberships { group, members } => Write::AddMemberships {
            group,
            members: only_missing(members, missing),
        },
        Write::RemoveMemberships { group, members } => Write::RemoveMemberships {
            group,
            members: only_missing(members, missing),
        },
        Write::OptOutOfAccount { members } => Write::OptOutOfAccount {
            members: only_missing(members, missing),
        },
        Write::JoinGroups { rows } => Write::JoinGroups {
            rows: only_missing(rows, missing),
        },
        Write::LeaveGroups { rows, how } => Write::LeaveGroups {
            rows: only_missing(rows, missing),
            how,
        },
        Write::BringBack { rows } => Write::BringBack {
            rows: only_missing(rows, missing),
        },
        single => single,
    };
    Some((write, items))
}

fn only_missing<T>(all: Vec<T>, missing: &[bool]) -> Vec<T> {
    all.into_iter()
        .zip(missing)
        .filter(|(_, missing)| **missing)
        .map(|(one, _)| one)
        .collect()
}
