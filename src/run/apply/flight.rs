//! Requests under way: as many at once as the account takes, so that a provider's pace is kept
//! however long each of its answers takes.
//!
//! Only requests of one kind overlap, only those about different people and addresses, and never one
//! before which the provider is looked at anew: what is under way would show there as news, and a removal
//! has to follow its look at once. So what one of them brings decides nothing of the others. Each is in
//! the journal before it leaves, and their answers are taken in the order in which they left. Where one
//! has to be looked for at the provider, or sent again, the others have ended by then.

use std::collections::{HashSet, VecDeque};
use std::mem::{Discriminant, discriminant};
use std::sync::Arc;
use std::time::Duration;

use tokio::task::JoinError;
use tokio_util::sync::CancellationToken;
use tokio_util::task::AbortOnDropHandle;
use tracing::Instrument as _;

use super::Applying;
use super::send::operation;
use crate::http::{CallError, Problem};
use crate::model::{ItemOutcome, Leaving, Settlement, Write, normalise_address};
use crate::plan::PersonIx;
use crate::plan::pack::Step;
use crate::run::accounts::Handle;
use crate::run::error::RunError;
use crate::run::settle::Item;
use crate::state::{JournalEntry, JournalId};

/// A request under way.
pub(super) struct Flight {
    pub(super) journal: JournalId,
    write: Arc<Write>,
    pub(super) items: Vec<Item>,
    pub(super) attempt: u32,
    /// Ends the waiting for what the provider goes on with after its answer.
    stop: CancellationToken,
    /// Is given up where the run is dropped, as a kill would leave it.
    task: AbortOnDropHandle<Answered>,
    /// How the task has ended, where that was waited for before its turn.
    ended: Option<Result<Answered, JoinError>>,
}

/// What came back; nothing where the run was asked to stop while the provider went on working.
type Answered = Result<Option<Vec<ItemOutcome>>, CallError>;

impl Flight {
    /// Waits until nothing of it is under way; what came back stays with it.
    async fn end(&mut self) {
        if self.ended.is_none() {
            self.ended = Some((&mut self.task).await);
        }
    }

    /// Waits for the answer.
    pub(super) async fn land(self) -> (JournalId, Write, Vec<Item>, u32, Answered) {
        let Flight {
            journal,
            write,
            items,
            attempt,
            task,
            ended,
            ..
        } = self;
        let ended = match ended {
            Some(ended) => ended,
            None => task.await,
        };
        let answer = match ended {
            Ok(answer) => answer,
            Err(error) => match error.try_into_panic() {
                Ok(panic) => std::panic::resume_unwind(panic),
                // Only whoever drops the run gives a request up.
                Err(_) => Ok(None),
            },
        };
        let write = Arc::try_unwrap(write).unwrap_or_else(|write| (*write).clone());
        (journal, write, items, attempt, answer)
    }
}

/// The requests that overlap, all of one kind.
#[derive(Default)]
pub(super) struct UnderWay {
    flights: VecDeque<Flight>,
    kind: Option<Discriminant<Step>>,
    /// The addresses of those whom they are about, in the plan and at the provider. Those that have
    /// landed stay until all have.
    addresses: HashSet<String>,
}

/// How long an answer is waited for once the run has to end.
const LAST_WAIT: Duration = Duration::from_mins(1);

impl Applying<'_> {
    /// Waits until a step can be looked at: for everything under way if it may depend on it, else for
    /// room.
    pub(super) async fn make_way(&mut self, step: &Step) -> Result<(), RunError> {
        while self.under_way.flights.len() >= self.most_at_once() {
            self.land_first().await?;
        }
        let Some(people) = people_of(step).filter(|_| self.most_at_once() > 1) else {
            return self.land_all().await;
        };
        let kind = Some(discriminant(step));
        let mut addresses = self.addresses_of(&people)?;
        if self.under_way.kind != kind || !self.under_way.addresses.is_disjoint(&addresses) {
            self.land_all().await?;
            // What has landed may have shown other contacts of theirs.
            addresses = self.addresses_of(&people)?;
        }
        self.under_way.kind = kind;
        self.under_way.addresses.extend(addresses);
        Ok(())
    }

    /// Returns every address by which a request about these people may go, in one spelling each: a
    /// contact may have another address than its person.
    fn addresses_of(&self, people: &[PersonIx]) -> Result<HashSet<String>, RunError> {
        let mut addresses = HashSet::new();
        for person in people {
            addresses.insert(in_one_spelling(&self.address(*person)));
            for contact in self.contacts(*person) {
                let address = self.address_of_contact(*person, &contact)?;
                addresses.insert(in_one_spelling(&address));
            }
        }
        Ok(addresses)
    }

    /// Sends the write of a step, which lands here if no other may be under way with it: one of its kind
    /// never may, and one for which the provider was looked at has had everything land.
    pub(super) async fn execute(&mut self, write: Write, items: Vec<Item>) -> Result<(), RunError> {
        debug_assert!(
            self.under_way.kind.is_none()
                || addresses_in(&write)
                    .all(|it| self.under_way.addresses.contains(&in_one_spelling(it))),
            "a request goes by an address for which no way was made"
        );
        if self.runner.inner.options.stop.is_cancelled() {
            return Err(RunError::Stopped);
        }
        if self.is_given_up(&items) {
            return Ok(());
        }
        let flight = self.launch(write, items, 0)?;
        self.under_way.flights.push_back(flight);
        if self.most_at_once() == 1 || self.under_way.kind.is_none() {
            self.land_all().await?;
        }
        Ok(())
    }

    /// Tells how many changes may be under way at once.
    fn most_at_once(&self) -> usize {
        if self.prepared.capabilities.writes_overlap {
            self.handle.account.options().concurrency.max(1)
        } else {
            1
        }
    }

    /// Waits until nothing but the request at hand is under way, so that the provider can be looked at;
    /// the answers of the others wait for their turn.
    pub(super) async fn others_end(&mut self) -> Result<(), RunError> {
        for flight in &mut self.under_way.flights {
            flight.end().await;
        }
        // Whoever waits for the provider ends where the run is asked to stop, and what it waited for
        // goes on.
        if !self.under_way.flights.is_empty() && self.runner.inner.options.stop.is_cancelled() {
            return Err(RunError::Stopped);
        }
        Ok(())
    }

    /// Takes the answers of everything under way.
    pub(super) async fn land_all(&mut self) -> Result<(), RunError> {
        while !self.under_way.flights.is_empty() {
            self.land_first().await?;
        }
        self.under_way = UnderWay::default();
        Ok(())
    }

    async fn land_first(&mut self) -> Result<(), RunError> {
        match self.under_way.flights.pop_front() {
            Some(flight) => self.follow(flight).await,
            None => Ok(()),
        }
    }

    /// Writes down what became of everything that is still under way when the run ends early: what
    /// the answers leave open is for the next run to find out.
    pub(super) async fn land_rest(&mut self) -> Result<(), RunError> {
        while let Some(flight) = self.under_way.flights.pop_front() {
            flight.stop.cancel();
            let (journal, items) = (flight.journal, flight.items.clone());
            let landed = tokio::time::timeout(LAST_WAIT, flight.land()).await;
            let Ok((_, write, _, _, answer)) = landed else {
                self.settle_unknown(journal, &items)?;
                continue;
            };
            match answer {
                Ok(Some(outcomes)) if outcomes.len() == items.len() => {
                    self.settle(journal, &write, &items, outcomes)?;
                }
                Err(CallError::Refused { refusal, .. }) if items.len() == 1 => {
                    let code = refusal.code.clone();
                    self.settle_failed(journal, &items, code, &refusal.message)?;
                    self.failed(&items[0], refusal.code, &refusal.message);
                }
                // Of one that was turned down as a whole a part may be done all the same.
                Ok(_) | Err(CallError::Refused { .. }) => self.settle_unknown(journal, &items)?,
                Err(error) if error.may_have_been_done() => {
                    self.settle_unknown(journal, &items)?;
                }
                Err(error) => {
                    self.settle_failed(journal, &items, None, &error.to_string())?;
                }
            }
        }
        Ok(())
    }

    /// Writes down that a request is about to leave, and sends it.
    pub(super) fn launch(
        &mut self,
        write: Write,
        items: Vec<Item>,
        attempt: u32,
    ) -> Result<Flight, RunError> {
        let entry = JournalEntry {
            job: self.job.name.clone(),
            account: self.job.target_account.clone(),
            operation: operation(&write).to_owned(),
            items: items
                .iter()
                .enumerate()
                .map(|(position, item)| self.journal_item(&write, position, item))
                .collect::<Result<_, RunError>>()?,
            now: self.runner.now(),
        };
        let journal = self.runner.store().begin_write(self.run, &entry)?;
        self.wrote = true;
        self.spend()?;
        let write = Arc::new(write);
        let stop = self.runner.inner.options.stop.child_token();
        let answer = send(Arc::clone(&self.handle), Arc::clone(&write), stop.clone());
        Ok(Flight {
            journal,
            write,
            items,
            attempt,
            stop,
            task: AbortOnDropHandle::new(tokio::spawn(answer.in_current_span())),
            ended: None,
        })
    }
}

/// Names those whom a step is about, if others of its kind may be under way with it: nobody is taken
/// out of a group meanwhile.
fn people_of(step: &Step) -> Option<Vec<PersonIx>> {
    Some(match step {
        Step::CreateMembers { members, .. }
        | Step::AddMemberships { members, .. }
        | Step::OptOutOfAccount { members } => members.clone(),
        Step::UpdateMembers { edits } => edits.iter().map(|(person, _)| *person).collect(),
        Step::JoinGroups { rows } => rows.iter().map(|(person, _)| *person).collect(),
        Step::LeaveGroups {
            rows,
            how: Leaving::OptOut,
        } => rows.iter().map(|row| row.member).collect(),
        Step::CreateOptedOut { member } | Step::OptOutOfGroups { member, .. } => vec![*member],
        Step::CreateCustomField { .. }
        | Step::CreateGroup { .. }
        | Step::EditGroups { .. }
        | Step::DeleteGroup { .. }
        | Step::ChangeAddress { .. }
        | Step::RemoveMemberships { .. }
        | Step::LeaveGroups { .. }
        | Step::BringBack { .. } => return None,
    })
}

/// Returns a form of an address in which all that may be one to the provider are the same.
fn in_one_spelling(address: &str) -> String {
    match normalise_address(address) {
        Ok(address) => address.as_str().to_owned(),
        Err(_) => address.trim().to_lowercase(),
    }
}

/// The addresses that a request goes by.
fn addresses_in(write: &Write) -> Box<dyn Iterator<Item = &str> + '_> {
    match write {
        Write::CreateMembers { rows, .. } => Box::new(rows.iter().map(|row| row.address.as_str())),
        Write::UpdateMembers { edits } => Box::new(edits.iter().map(|edit| edit.address.as_str())),
        Write::JoinGroups { rows } => Box::new(rows.iter().map(|row| row.address.as_str())),
        Write::LeaveGroups { rows, .. } => Box::new(rows.iter().map(|row| row.address.as_str())),
        _ => Box::new(std::iter::empty()),
    }
}

/// Sends once, and asks on where the provider goes on working after its answer. Nothing comes back
/// where the run is asked to stop meanwhile: the journal knows of the request, and the next run finds
/// out what became of it.
async fn send(handle: Arc<Handle>, write: Arc<Write>, stop: CancellationToken) -> Answered {
    let mut settlement = handle.adapter.send(&write).await?;
    let mut pause = Duration::from_secs(1);
    loop {
        match settlement {
            Settlement::Items(mut outcomes) => {
                for outcome in &mut outcomes {
                    if let ItemOutcome::Refused(refusal) = outcome {
                        handle.account.keep_secrets_out(refusal);
                    }
                }
                return Ok(Some(outcomes));
            }
            Settlement::Pending(ticket) => {
                tokio::select! {
                    () = tokio::time::sleep(pause) => {}
                    () = stop.cancelled() => return Ok(None),
                }
                pause = (pause * 2).min(Duration::from_secs(30));
                let polled = handle.adapter.poll(&ticket).await;
                settlement = polled.map_err(|error| after_the_answer(&handle, error))?;
            }
        }
    }
}

/// Says of a question that failed after the provider had taken a request in what is known of that
/// request: nothing.
fn after_the_answer(handle: &Handle, error: CallError) -> CallError {
    if error.may_have_been_done() {
        return error;
    }
    CallError::OutcomeUnknown {
        account: handle.name.clone(),
        operation: error.operation(),
        problem: Problem::NotAnAnswer(error.to_string()),
    }
}
