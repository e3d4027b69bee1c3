//! A plan as it is shown to whoever asked for it.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use crate::model::{Name, Names, Record, Takes};
use crate::plan::{People, PersonIx, Plan, Summary, Undoing};

/// Requests that applying a plan sends, reads apart, and the time they take.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Cost {
    /// Requests that write, by provider.
    pub requests: BTreeMap<String, u64>,
    /// Requests that reading took, by provider.
    pub reads: BTreeMap<String, u64>,
    /// Seconds that the writing requests take at the provider's pace.
    pub estimated_seconds: u64,
    /// What applying takes at the target, reading back included.
    pub applying: Takes,
    /// The same by what it is for, without what is read back of everything at once.
    pub work: BTreeMap<&'static str, Takes>,
}

/// A plan together with what it takes to show it.
pub struct Planned {
    /// The plan.
    pub plan: Plan,
    /// The texts behind names.
    pub names: Arc<Names>,
    /// Who is who.
    pub people: People,
    /// What applying costs.
    pub cost: Cost,
    /// The values that creating a person would write, under the target's names; by person of
    /// `create_members` operations.
    pub created_values: BTreeMap<PersonIx, Record>,
    /// Whether nothing was known before: the first run, or a lost database.
    pub first_run: bool,
    /// How those are named who have no address.
    pub nameless: BTreeMap<PersonIx, String>,
    /// The items that a person has accepted, by [`Blocked::item`](crate::plan::Blocked::item).
    pub accepted: BTreeSet<String>,
    /// How much of a run the plan takes back, where it takes one back.
    pub undoing: Option<Undoing>,
    /// The file in which the whole plan was saved, where it was.
    pub saved: Option<String>,
    /// What of the whole plan was left in it, where somebody asked for a part.
    pub narrowed: Option<Narrowed>,
}

/// What of a plan is left where only a part of it is shown.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Narrowed {
    /// What was asked for.
    pub only: Vec<String>,
    /// What of that the plan does not concern.
    pub unconcerned: Vec<String>,
    /// The counts of the whole plan.
    pub whole: Summary,
    /// How many operations, withheld and blocked items, changes outside, losses, warnings and things
    /// that are not undone the whole plan has.
    pub of: Parts,
}

/// The lengths of a plan's lists.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Parts {
    /// Operations.
    pub operations: usize,
    /// Withheld items.
    pub withheld: usize,
    /// Blocked items.
    pub blocked: usize,
    /// Changes outside.
    pub changed_outside: usize,
    /// Losses.
    pub losses: usize,
    /// Warnings.
    pub warnings: usize,
    /// What of a run that is taken back is not undone, or in part.
    pub not_undone: usize,
}

impl Parts {
    /// Counts the lists of a plan.
    pub fn of(planned: &Planned) -> Parts {
        let plan = &planned.plan;
        Parts {
            operations: plan.operations.len(),
            withheld: plan.withheld.len(),
            blocked: plan.blocked.len(),
            changed_outside: plan.changed_outside.len(),
            losses: plan.losses.len(),
            warnings: plan.warnings.len(),
            not_undone: planned.undoing.as_ref().map_or(0, |it| it.left.len()),
        }
    }
}

impl Planned {
    /// Returns the normalised address of a person.
    pub fn address(&self, person: PersonIx) -> &str {
        self.names.text(self.people.get(person).address)
    }

    /// Names a person: by the address; somebody without one by `#` and the id at the source, or by
    /// `##` and the id at the target.
    pub fn member(&self, person: PersonIx) -> &str {
        match self.nameless.get(&person) {
            Some(name) => name,
            None => self.address(person),
        }
    }

    /// Returns the text behind a name.
    pub fn text(&self, name: Name) -> &str {
        self.names.text(name)
    }
}
