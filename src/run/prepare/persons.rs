//! Looks into the profiles of people: merged over duplicates, mapped, and compared with what the
//! target holds.

use std::collections::{BTreeMap, BTreeSet};

use super::losses::{Losses, losses_of_fields};
use crate::config::settled::JobConfig;
use crate::model::{ObjectKind, Record, Schema, Snapshot, Writable, row_hash};
use crate::plan::base::Base;
use crate::plan::fields::{FieldRules, compare};
use crate::plan::{Loss, People, PersonFacts, PersonIx};
use crate::run::error::RunError;
use crate::run::read::{
    Sides, UNREAD, canonical, canonical_of, current, fields_base, read_sources, stands_as_compared,
};
use crate::run::settle::Newcomers;
use crate::state::Store;

/// What looking into the profiles led to.
#[derive(Debug)]
pub(super) struct Facts {
    /// What is known of each person.
    pub(super) people: BTreeMap<PersonIx, PersonFacts>,
    /// People whose base has to be remembered anew although nothing is written.
    pub(super) refresh: Vec<PersonIx>,
    /// What is to be written of people who are new to the target.
    pub(super) newcomers: Newcomers,
    /// Whether somebody's profile is to be compared with one of the target that was not read in
    /// this run.
    pub(super) unread: bool,
    /// Whether everybody's profile was mapped, and nobody passed over.
    pub(super) all_mapped: bool,
    pub(super) losses: Vec<Loss>,
}

/// Looks into everybody whose profile may have changed; people whose fingerprints stand as
/// remembered are passed over.
pub(super) fn look(
    store: &Store,
    job: &JobConfig,
    schema: &Schema,
    sides: &Sides,
    base: &Base,
    people: &People,
    may_create_fields: bool,
) -> Result<Facts, RunError> {
    let explicit = sides.mapping.explicit_fields(ObjectKind::Member);
    let carried = sides.source_carries;
    let creates = sides.mapping.creates_fields();
    let mut out = Facts {
        people: BTreeMap::new(),
        refresh: Vec::new(),
        newcomers: Newcomers::new()?,
        unread: false,
        all_mapped: true,
        losses: losses_of_fields(job, sides, may_create_fields),
    };
    let mut left_out = Losses::new(job, schema, &sides.mapping, ObjectKind::Member);
    let listed = listed(&sides.source);
    // In ascending order: a map that is made of all of them at once takes half the room.
    let mut known_of = Vec::new();
    for (person, _) in people.iter() {
        let sources = people.sources(person);
        let [first, ..] = sources else { continue };
        let source = &sides.source.members[*first as usize];
        let known = base.member_of_source(source.id);
        // Without the target's profiles there is nothing to compare with; what stands as it was
        // compared last needs none.
        let remembered = sides.target_remembered && people.targets(person).len() == 1;
        if remembered
            && people.get(person).linked
            && (carried
                || creates
                || !stands_as_compared(&sides.source, &sides.target, base, people, person))
        {
            out.unread = true;
        }
        let unchanged = remembered
            || match (known, people.targets(person)) {
                (Some(link), [target]) if sources.len() == 1 && !carried && !creates => {
                    let target = &sides.target.members[*target as usize];
                    link.target == target.id
                        && source.hash == Some(link.source_hash)
                        && target.hash == Some(link.target_hash)
                        && link.target_hash != UNREAD
                }
                _ => false,
            };
        out.all_mapped &= !unchanged;
        if unchanged && !sides.mapping.has_where() {
            continue;
        }
        let of_target = |at: &u32| {
            let id = sides.names.text(sides.target.members[*at as usize].id);
            sides.target.is_unreadable(id)
        };
        let unreadable_there = people.targets(person).iter().any(of_target);
        let unread = |at: &&u32| sides.source.members[**at as usize].hash.is_none();
        if sources.iter().filter(unread).any(|at| listed[*at as usize])
            || sources.iter().all(|at| unread(&at))
        {
            out.all_mapped = false;
            // A profile that was not read says nothing: neither that its fields are empty nor
            // whether the person counts.
            if sides.mapping.has_where() {
                let undecided = Some(
                    "members.where could not be decided, because the profile was not read"
                        .to_owned(),
                );
                known_of.push((
                    person,
                    PersonFacts {
                        counts: true,
                        undecided,
                        ..PersonFacts::default()
                    },
                ));
            }
            continue;
        }
        let canonical = canonical(store, job, sides, people, person)?;
        let mut facts = PersonFacts {
            counts: true,
            ..PersonFacts::default()
        };
        if sides.mapping.has_where() {
            match counts(store, job, sides, people, person, &canonical)? {
                Ok(counts) => facts.counts = counts,
                Err(why) => {
                    facts.undecided = Some(format!("members.where could not be decided: {why}"));
                }
            }
        }
        if !unchanged {
            let mapped = sides.mapping.member(&canonical);
            for left in &mapped.left_out {
                left_out.left_out(left);
            }
            for (field, error) in &mapped.failed {
                left_out.failed(field, error);
            }
            if people.targets(person).is_empty() {
                facts.desired_hash = row_hash("", &mapped.fields);
                facts.missing = sides.mapping.missing_required(&mapped.fields);
                let carried = sides.mapping.carried_fields(ObjectKind::Member, &canonical);
                out.newcomers.keep(person, &mapped.fields, &carried)?;
            } else if people.targets(person).len() == 1 && !unreadable_there {
                let current = current(sides, people, person)?;
                let then = fields_base(store, job, sides, base, people, person)?;
                let rules = FieldRules {
                    explicit: &explicit,
                    on_drift: job.guards.on_drift,
                    created: false,
                    left_out: &mapped.left_out_fields(),
                };
                let mut edit = compare(&mapped.fields, &current, then.as_ref(), rules);
                let fixed = |field: &str| {
                    schema
                        .by_wire(ObjectKind::Member, field)
                        .is_some_and(|spec| spec.writable == Writable::OnCreate)
                };
                edit.set.retain(|field, _| !fixed(field));
                facts.edit = Some(edit);
                out.refresh.push(person);
            }
        }
        if !facts.counts
            || facts.undecided.is_some()
            || facts.edit.is_some()
            || facts.desired_hash != 0
        {
            known_of.push((person, facts));
        }
    }
    out.people = known_of.into_iter().collect();
    out.losses.extend(left_out.finish());
    Ok(out)
}

/// Tells whether a person counts as a member, or why nobody can tell: each record of an address is
/// asked for itself, and where they differ nobody is put in by the one or taken out by the other.
fn counts(
    store: &Store,
    job: &JobConfig,
    sides: &Sides,
    people: &People,
    person: PersonIx,
    canonical: &Record,
) -> Result<Result<bool, String>, RunError> {
    let rows = read_sources(sides, people, person);
    if rows.len() < 2 {
        return Ok(sides.mapping.counts(canonical));
    }
    let mut answers = BTreeSet::new();
    for row in rows {
        let own = canonical_of(store, job, sides, people, person, &[row])?;
        match sides.mapping.counts(&own) {
            Ok(counts) => answers.insert(counts),
            Err(error) => return Ok(Err(error)),
        };
    }
    Ok(match answers.into_iter().collect::<Vec<_>>().as_slice() {
        [all] => Ok(*all),
        _ => Err(
            "several records have this address, and not all of them count as members".to_owned(),
        ),
    })
}

/// Tells of each member of a snapshot whether any listing has it.
fn listed(snapshot: &Snapshot) -> Vec<bool> {
    let mut listed = vec![false; snapshot.members.len()];
    for row in snapshot
        .listings
        .values()
        .flat_map(|listing| &listing.seen().rows)
    {
        listed[row.member as usize] = true;
    }
    listed
}
