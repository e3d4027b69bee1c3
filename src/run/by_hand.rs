//! What a person settles of a job: that it pauses or goes on, and that an item may stay as it is. The
//! commands and the status page do it through the same doors.

use std::collections::BTreeSet;

use jiff::Timestamp;

use crate::state::{FailureNote, StateError, Store};

/// Why a job is paused where nobody says it.
const BY_HAND: &str = "paused by hand";

/// What stands between the reasons of several people.
const AND: &str = "; ";

/// What pausing a job came to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Paused {
    /// Whether it was paused already.
    pub was_paused: bool,
    /// The reasons, that of the first pause first.
    pub reason: String,
}

/// What resuming a job came to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Resumed {
    /// Whether it was paused.
    pub was_paused: bool,
    /// The run of which the taking back was interrupted: the next run does it again.
    pub undo_open: Option<String>,
}

/// Which items of a job are meant.
#[derive(Clone, Copy, Debug)]
pub enum Which<'a> {
    /// Those whose ids begin like this.
    Named(&'a [String]),
    /// Every one that stands there for this reason.
    OfReason(&'a str),
}

/// Why items can't be told.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NotChosen {
    /// No item has such an id.
    #[error("there is none with the id \"{0}\"")]
    NoSuchItem(String),
    /// No item stands there for such a reason.
    #[error("there is none with the reason \"{0}\"")]
    NoSuchReason(String),
    /// More than one item has an id that begins like this.
    #[error("several begin with \"{0}\"")]
    Several(String),
}

/// Keeps a job from running on its schedule. Whoever paused it first waits for something else than the
/// next one does, so a reason is added to those that are there.
pub fn pause(
    store: &Store,
    job: &str,
    reason: Option<&str>,
    now: Timestamp,
) -> Result<Paused, StateError> {
    let known = store.paused(job)?.map(|paused| paused.reason);
    let reason = match (&known, reason) {
        (None, reason) => reason.unwrap_or(BY_HAND).to_owned(),
        (Some(known), Some(more)) if !says(known, more) => format!("{known}{AND}{more}"),
        (Some(known), _) => known.clone(),
    };
    store.set_paused(job, Some(&reason), now)?;
    Ok(Paused {
        was_paused: known.is_some(),
        reason,
    })
}

/// Tells whether a reason has been given before.
fn says(known: &str, reason: &str) -> bool {
    known.split(AND).any(|said| said == reason.trim())
}

/// Lets a paused job run again.
pub fn resume(store: &Store, job: &str, now: Timestamp) -> Result<Resumed, StateError> {
    let resumed = Resumed {
        was_paused: store.paused(job)?.is_some(),
        undo_open: store.open_undo(job)?,
    };
    store.set_paused(job, None, now)?;
    Ok(resumed)
}

/// Returns what the last runs of a job left to a person, each item once.
pub fn items_that_wait(store: &Store, job: &str) -> Result<Vec<FailureNote>, StateError> {
    let mut seen = BTreeSet::new();
    let failures = store.failures(Some(job))?.into_iter();
    let notes = failures.map(|failure| failure.note);
    Ok(notes
        .filter(|note| !note.item.is_empty() && seen.insert(note.item.clone()))
        .collect())
}

/// Finds the items that are meant among those that are known.
///
/// # Errors
/// A [`NotChosen`] where one is not known, or several are meant by one id.
pub fn choose(known: &[FailureNote], which: Which<'_>) -> Result<Vec<FailureNote>, NotChosen> {
    let items = match which {
        Which::Named(items) => items,
        Which::OfReason(reason) => {
            let of_reason = known.iter().filter(|note| note.reason == reason);
            let found: Vec<FailureNote> = of_reason.cloned().collect();
            if found.is_empty() {
                return Err(NotChosen::NoSuchReason(reason.to_owned()));
            }
            return Ok(found);
        }
    };
    let mut chosen: Vec<FailureNote> = Vec::new();
    for item in items {
        let mut fits = known
            .iter()
            .filter(|note| !item.is_empty() && note.item.starts_with(item.as_str()));
        match (fits.next(), fits.next()) {
            (None, _) => return Err(NotChosen::NoSuchItem(item.clone())),
            (Some(one), None) => chosen.push(one.clone()),
            (Some(_), Some(_)) => return Err(NotChosen::Several(item.clone())),
        }
    }
    Ok(chosen)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn notes(items: &[&str]) -> Vec<FailureNote> {
        let note = |item: &&str| FailureNote {
            item: (*item).to_owned(),
            reason: "bad_address".to_owned(),
            ..FailureNote::default()
        };
        items.iter().map(note).collect()
    }

    #[test]
    fn an_id_means_one_item_or_none() {
        let known = notes(&["abc1", "abd2"]);
        let chosen = |item: &str| {
            let items = [item.to_owned()];
            let chosen = choose(&known, Which::Named(&items));
            chosen.map(|notes| notes.into_iter().map(|note| note.item).collect::<Vec<_>>())
        };
        assert_eq!(chosen("abc"), Ok(vec!["abc1".to_owned()]));
        assert_eq!(chosen("ab"), Err(NotChosen::Several("ab".to_owned())));
        assert_eq!(chosen("x"), Err(NotChosen::NoSuchItem("x".to_owned())));
        assert_eq!(chosen(""), Err(NotChosen::NoSuchItem(String::new())));
        let all = choose(&known, Which::OfReason("bad_address")).unwrap();
        assert_eq!(all.len(), 2);
        assert!(choose(&known, Which::OfReason("bad")).is_err());
    }

    #[test]
    fn a_second_pause_adds_its_reason_once() {
        let store = Store::in_memory();
        let now = Timestamp::UNIX_EPOCH;
        let paused = |reason| pause(&store, "job", reason, now).unwrap().reason;
        assert_eq!(paused(Some("moving")), "moving");
        assert_eq!(paused(None), "moving");
        assert_eq!(paused(Some("audit")), "moving; audit");
        assert_eq!(paused(Some("moving")), "moving; audit");
        assert!(resume(&store, "job", now).unwrap().was_paused);
        assert!(!resume(&store, "job", now).unwrap().was_paused);
        assert_eq!(paused(None), BY_HAND);
    }
}
