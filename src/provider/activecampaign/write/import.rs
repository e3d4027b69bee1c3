//! Imports: queued by one request, settled by asking, and never repeated while one may still be
//! under way.

use std::time::Duration;

use tokio::time::Instant;
use tracing::warn;

use super::super::wire::contacts::same_address;
use super::super::wire::import::{self as wire, ImportRow, Progress};
use super::super::{ActiveCampaign, Memory};
use super::refused;
use crate::http::{CallError, Problem};
use crate::model::{ItemOutcome, Settlement, Ticket, TicketStub};
use crate::provider::ReadError;

/// An import may show up in the totals only so long after it was asked for.
pub(in super::super) const UNSEEN: Duration = Duration::from_secs(10);
/// How often the totals are asked for while something is outstanding.
const BETWEEN: Duration = Duration::from_secs(10);
/// How often an import of usual length is asked for until it ends, by questions after one, two and
/// four seconds.
pub(super) const USUAL_POLLS: u64 = 3;
/// The seconds that pass until the last of them.
pub(super) const USUAL_WAIT: u64 = 7;
/// How long imports are waited for. A queue that stands still so long needs a person.
const PATIENCE: Duration = Duration::from_mins(30);

/// An import under way.
pub(in super::super) struct Batch {
    /// The addresses that were sent.
    addresses: Vec<String>,
    /// The place of each among the outcomes.
    places: Vec<usize>,
    /// One outcome per item of the write; those of the import are still unknown.
    outcomes: Vec<ItemOutcome>,
    queued: Instant,
    /// Tells whether somebody waits for it.
    ticket: TicketStub,
}

impl Batch {
    fn settle(mut self, progress: &Progress) -> Vec<ItemOutcome> {
        if let Progress::Completed(failed) = progress {
            let folded = |address: &str| address.trim().to_lowercase();
            // Of two spellings of one address each may be somebody: the row with the same text is
            // meant, and where there is none, the only one of the address.
            let meant = |failed: &String| {
                let places = 0..self.addresses.len();
                let same = |at: &usize| folded(&self.addresses[*at]) == folded(failed);
                if let Some(at) = places.clone().find(same) {
                    return Some(at);
                }
                let mut alike = places.filter(|at| same_address(failed, &self.addresses[*at]));
                alike.next().filter(|_| alike.next().is_none())
            };
            let meant: Vec<Option<usize>> = failed
                .iter()
                .map(|failed| failed.as_ref().and_then(meant))
                .collect();
            // One that is nobody's for certain may be anybody's.
            let is_certain = meant.iter().all(Option::is_some);
            for (at, place) in self.places.iter().enumerate() {
                self.outcomes[*place] = if meant.contains(&Some(at)) {
                    refused(
                        "the importer did not take this contact and gives no reason; add the person at ActiveCampaign to see why",
                    )
                } else if is_certain {
                    ItemOutcome::Accepted { id: None }
                } else {
                    ItemOutcome::Unknown
                };
            }
        }
        self.outcomes
    }
}

impl Memory {
    /// Tells since when an import may be under way that nobody waits for; of several the last one is
    /// waited for.
    fn doubt(&mut self) -> Option<Instant> {
        let given_up = self
            .imports
            .extract_if(|_, batch| !batch.ticket.is_held())
            .map(|(_, batch)| batch.queued)
            .max();
        self.doubt = self.doubt.max(given_up);
        self.doubt
    }
}

/// An import that is being asked for. Unless its answer tells what became of it, it may be under way,
/// and nobody knows its id: also where whoever asked is dropped meanwhile.
struct Unanswered<'a>(Option<&'a ActiveCampaign>);

impl Unanswered<'_> {
    /// Says that the answer is known.
    fn end(mut self) {
        self.0 = None;
    }
}

impl Drop for Unanswered<'_> {
    fn drop(&mut self) {
        if let Some(adapter) = self.0 {
            // It may have left later than it was asked for.
            adapter.doubt_import_of(adapter.account.now());
        }
    }
}

impl ActiveCampaign {
    /// Queues an import. `places` says where its rows stand among the outcomes of a write with
    /// items that are not imported.
    pub(super) async fn import(
        &self,
        rows: Vec<ImportRow<'_>>,
        places: Option<(Vec<usize>, Vec<ItemOutcome>)>,
    ) -> Result<Settlement, CallError> {
        const OPERATION: &str = "import/bulk_import";
        let (places, outcomes) = places.unwrap_or_else(|| {
            (
                (0..rows.len()).collect(),
                vec![ItemOutcome::Unknown; rows.len()],
            )
        });
        if rows.is_empty() {
            return Ok(Settlement::Items(outcomes));
        }
        self.check_rows(OPERATION, rows.len(), rows.iter().map(|row| row.address))?;
        self.wait_for_imports().await?;
        let definitions = self
            .definitions_for(rows.iter().filter_map(|row| row.fields))
            .await?;
        let call = match wire::import(&rows, &definitions) {
            Ok(call) => call,
            Err(_) if rows.len() == 1 => {
                return Ok(Settlement::Items(vec![refused(
                    "the values of this person are longer than an import may be",
                )]));
            }
            // Refused as a whole, so that it comes again in halves.
            Err(bytes) => {
                let words = format!(
                    "the import has {bytes} bytes and may have {}",
                    wire::MOST_BYTES
                );
                return Err(self.refused_whole(OPERATION, &words));
            }
        };
        let unanswered = Unanswered(Some(self));
        let answer = self.tell_v3(call, wire::queued).await;
        if !matches!(&answer, Err(error) if error.may_have_been_done()) {
            unanswered.end();
        }
        let ticket = Ticket::new(answer?);
        let batch = Batch {
            addresses: rows.iter().map(|row| row.address.to_owned()).collect(),
            places,
            outcomes,
            // It may have waited for its turn after it was asked for.
            queued: self.account.now(),
            ticket: ticket.stub(),
        };
        self.memory().imports.insert(ticket.id.clone(), batch);
        Ok(Settlement::Pending(ticket))
    }

    pub(super) fn refused_whole(&self, operation: &'static str, words: &str) -> CallError {
        let refusal = crate::http::Refusal::new(None, words, None);
        CallError::Refused {
            account: self.account.name().to_owned(),
            operation,
            refusal,
        }
    }

    /// Asks how an import has ended.
    pub(in super::super) async fn poll_import(
        &self,
        ticket: &Ticket,
    ) -> Result<Settlement, CallError> {
        let batch = self.memory().imports.get(&ticket.id).map(|it| it.queued);
        let Some(queued) = batch else {
            return Err(self.lost_import("the import is not one of this process"));
        };
        let progress = match self.ask_v3(wire::info(&ticket.id), wire::progress).await {
            Ok(progress) => progress,
            // The import was queued: whatever keeps us from asking, what it does is unknown.
            Err(error) => {
                self.doubt_import_of(queued);
                return Err(self.lost_import(&error.to_string()));
            }
        };
        if progress == Progress::Running {
            if self.account.now().duration_since(queued) > PATIENCE {
                self.doubt_import_of(queued);
                return Err(self.lost_import("it has been under way for half an hour"));
            }
            return Ok(Settlement::Pending(ticket.clone()));
        }
        let batch = self.memory().imports.remove(&ticket.id);
        batch
            .map(|batch| Settlement::Items(batch.settle(&progress)))
            .ok_or_else(|| self.lost_import("the import was settled before"))
    }

    /// Takes note of an import of unknown outcome; of several the last one is waited for.
    fn doubt_import_of(&self, asked: Instant) {
        let mut memory = self.memory();
        memory.doubt = memory.doubt.max(Some(asked));
    }

    fn lost_import(&self, why: &str) -> CallError {
        let problem = Problem::NotAnAnswer(why.to_owned());
        CallError::OutcomeUnknown {
            account: self.account.name().to_owned(),
            operation: "import/info",
            problem,
        }
    }

    /// Before anything is read: waits for imports that nobody waits for any more, also those of an
    /// earlier process.
    pub(in super::super) async fn settle_imports(&self, target: bool) -> Result<(), ReadError> {
        let (in_doubt, first) = {
            let mut memory = self.memory();
            let first = target && !memory.looked_for_imports;
            memory.looked_for_imports |= target;
            (memory.doubt().is_some(), first)
        };
        if first && !in_doubt {
            match self.ask_v3(wire::totals(), wire::is_outstanding).await {
                Ok(true) => self.memory().doubt = Some(self.account.now()),
                // A key that may not see the totals may not import either; that shows where it
                // matters.
                Ok(false)
                | Err(
                    CallError::Refused { .. }
                    | CallError::Denied { .. }
                    | CallError::Protocol { .. },
                ) => {}
                Err(error) => return Err(error.into()),
            }
        }
        Ok(self.wait_for_imports().await?)
    }

    /// Waits until no import is outstanding that an earlier process, or a run that was given up,
    /// may have queued. Whoever asks has let ten seconds pass since the request.
    pub(in super::super) async fn settle_earlier_imports(&self) -> Result<(), ReadError> {
        let asked = self.account.now();
        self.memory()
            .doubt
            .get_or_insert(asked.checked_sub(UNSEEN).unwrap_or(asked));
        self.memory().looked_for_imports = true;
        Ok(self.wait_for_imports().await?)
    }

    /// Waits until no import is outstanding, and at least so long that a lost one would have shown
    /// up.
    async fn wait_for_imports(&self) -> Result<(), CallError> {
        if self.memory().doubt().is_none() {
            return Ok(());
        }
        warn!(
            account = self.account.name(),
            "Waiting for imports to end, one of which may be of unknown outcome."
        );
        let mut started = None;
        loop {
            let Some(since) = self.memory().doubt() else {
                return Ok(());
            };
            tokio::time::sleep_until(since + UNSEEN).await;
            let started = *started.get_or_insert_with(|| self.account.now());
            if !self.ask_v3(wire::totals(), wire::is_outstanding).await? {
                let mut memory = self.memory();
                // Another one may have been lost meanwhile, and not be shown yet.
                if memory.doubt() <= Some(since) {
                    memory.doubt = None;
                    return Ok(());
                }
                continue;
            }
            if self.account.now().duration_since(started) > PATIENCE {
                let account = self.account.name().to_owned();
                return Err(CallError::Throttled {
                    account,
                    operation: "import/bulk_import",
                    retry_in: PATIENCE,
                });
            }
            tokio::time::sleep(BETWEEN).await;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_failure_is_charged_to_nobody_else() {
        let settled = |failed: &[Option<&str>]| {
            let failed = failed.iter().map(|failed| failed.map(str::to_owned));
            let batch = Batch {
                addresses: [
                    "bo@b\u{fc}cher.test",
                    "bo@xn--bcher-kva.test",
                    "ana@example.org",
                ]
                .map(str::to_owned)
                .to_vec(),
                places: vec![0, 1, 2],
                outcomes: vec![ItemOutcome::Unknown; 3],
                queued: Instant::now(),
                ticket: Ticket::new("1").stub(),
            };
            let outcomes = batch.settle(&Progress::Completed(failed.collect()));
            let shown = outcomes.iter().map(|outcome| match outcome {
                ItemOutcome::Refused(_) => 'r',
                ItemOutcome::Accepted { .. } => 'a',
                _ => '?',
            });
            shown.collect::<String>()
        };
        assert_eq!(settled(&[]), "aaa");
        assert_eq!(settled(&[Some("Bo@B\u{fc}cher.test")]), "raa");
        assert_eq!(settled(&[Some("bo@XN--bcher-kva.test")]), "ara");
        assert_eq!(
            settled(&[Some("eve@example.org"), Some("ana@example.org")]),
            "??r"
        );
        assert_eq!(settled(&[None]), "???");
    }
}
