//! Puts the parts of a plan together, in the order in which they are applied.
//!
//! Moves that free a refuser's address; opt-outs that can be written now; renames, creations and
//! updates of groups; addresses; profiles; people that an opt-out needs; the remaining opt-outs;
//! additions; removals; archiving and deletion. An interruption thus leaves too many rather than
//! too few, and nobody mailed who refused.

use std::collections::{BTreeMap, BTreeSet, HashSet};

use super::bars::know_pairs_by_every_key;
use super::base::{Measure, Resting};
use super::consent::{account_refusers, plan_people, refusals_of_target};
use super::fingerprint::Basis;
use super::groups::plan_groups;
use super::guard::{Judged, judge};
use super::memberships::{AccountStates, Surroundings, Tables, plan_pair};
use super::pair::PairPlan;
use super::people::PersonIx;
use super::seats::{Seats, moves_in_words};
use super::tables::Bits;
use super::{
    Agreement, Blocked, BlockedReason, ChangedOutside, Edit, GroupPair, Inputs, Loss, Outside,
    PairIx, Plan, Summary, What, item_key,
};
use crate::model::policy::Mode;
use crate::model::{Name, Snapshot, Unreadable};

/// Makes the plan.
pub fn plan(inputs: &Inputs<'_>) -> Plan {
    let mut agreement = Agreement::default();
    let mut groups = plan_groups(inputs);
    agreement.resting_groups = std::mem::take(&mut groups.resting);
    let mut blocked = groups.blocked;
    let mut withheld = groups.withheld;
    let mut warnings: Vec<String> = inputs.warnings.to_vec();
    warnings.extend(groups.warnings);

    let accounts = account_states(inputs, &mut blocked);
    groups_whole(inputs, &mut blocked);
    left_out(inputs, &mut blocked);
    undecided(inputs, &mut blocked);
    let refusers = account_refusers(inputs, &groups.pairs);
    let seats = Seats::take(inputs, &groups.pairs, &groups.removals);
    let surroundings = Surroundings {
        accounts,
        refusers: &refusers,
        seats: seats.as_ref(),
    };
    let mut tables = Tables::new(inputs);
    let mut pair_plans: Vec<PairPlan> = groups
        .pairs
        .iter()
        .enumerate()
        .map(|(at, pair)| {
            plan_pair(
                inputs,
                PairIx(at as u32),
                pair,
                surroundings,
                &mut tables,
                &mut agreement,
            )
        })
        .collect();
    if let Some(seats) = &seats {
        blocked.extend(seats.conflicts());
        blocked.extend(seats.settle_deletions(&mut groups.removals));
        seats.settle_removals(&mut pair_plans);
    }

    let listed = tables.listed;
    let mut group_opt_outs: BTreeMap<PairIx, Vec<PersonIx>> = BTreeMap::new();
    for (at, pair) in pair_plans.iter().enumerate() {
        if !pair.opt_outs.is_empty() {
            group_opt_outs.insert(PairIx(at as u32), pair.opt_outs.clone());
        }
    }
    let people = plan_people(
        inputs,
        &groups.pairs,
        &listed,
        &group_opt_outs,
        &mut agreement,
    );

    refusals_of_target(inputs, &mut agreement);
    know_pairs_by_every_key(inputs, &groups.pairs, &mut agreement);

    let mut operations = Vec::new();
    for label in inputs.new_custom_fields {
        let key = item_key("create_field", label, "");
        match inputs.base.resting.get(&key) {
            None => operations.push(Edit::CreateCustomField {
                label: label.clone(),
            }),
            Some(resting) => blocked.push(refused_field(resting)),
        }
    }
    // Only then is the address whoever's refusal comes with it.
    operations.extend(people.freeing_moves);
    if !people.account_opt_outs.is_empty() {
        operations.push(Edit::SetOptOut {
            pair: None,
            members: people.account_opt_outs,
            after_creation: false,
        });
    }
    // A group opt-out of somebody who is listed there can be written at once; the group exists.
    let (now, later): (Vec<_>, Vec<_>) = people
        .group_opt_outs
        .into_iter()
        .partition(|(pair, _)| groups.pairs[pair.0 as usize].target.is_some());
    operations.extend(now.into_iter().map(|(pair, members)| Edit::SetOptOut {
        pair: Some(pair),
        members,
        after_creation: false,
    }));
    for (at, pair) in pair_plans
        .iter()
        .enumerate()
        .filter(|(_, pair)| !pair.opt_out_removals.is_empty())
    {
        operations.push(Edit::RemoveMemberships {
            pair: PairIx(at as u32),
            members: pair.opt_out_removals.clone(),
        });
    }
    operations.extend(groups.edits);
    operations.extend(people.address_changes);
    operations.extend(people.updates);
    if !people.holders.is_empty() {
        operations.push(Edit::CreateMembers {
            members: people.holders.iter().copied().collect(),
            to_opt_out: true,
        });
    }
    if !people.new_account_opt_outs.is_empty() {
        operations.push(Edit::SetOptOut {
            pair: None,
            members: people.new_account_opt_outs,
            after_creation: true,
        });
    }
    let mut later: BTreeMap<PairIx, Vec<PersonIx>> = later.into_iter().collect();
    for (pair, members) in people.new_group_opt_outs {
        later.entry(pair).or_default().extend(members);
    }
    operations.extend(later.into_iter().map(|(pair, mut members)| {
        members.sort_unstable();
        Edit::SetOptOut {
            pair: Some(pair),
            members,
            after_creation: true,
        }
    }));
    let mut newcomers = Bits::new(inputs.people.len());
    for person in pair_plans.iter().flat_map(|pair| &pair.additions) {
        if inputs.people.targets(*person).is_empty() && !people.holders.contains(person) {
            newcomers.insert(person.0);
        }
    }
    let newcomers: Vec<PersonIx> = newcomers.iter().map(PersonIx).collect();
    if !newcomers.is_empty() {
        operations.push(Edit::CreateMembers {
            members: newcomers,
            to_opt_out: false,
        });
    }
    for (at, pair) in pair_plans
        .iter_mut()
        .enumerate()
        .filter(|(_, pair)| !pair.additions.is_empty())
    {
        operations.push(Edit::AddMemberships {
            pair: PairIx(at as u32),
            members: std::mem::take(&mut pair.additions),
        });
    }
    for (at, pair) in pair_plans
        .iter()
        .enumerate()
        .filter(|(_, pair)| !pair.returns.is_empty())
    {
        operations.push(Edit::BringBack {
            pair: PairIx(at as u32),
            members: pair.returns.clone(),
        });
    }
    for (at, pair) in pair_plans
        .iter_mut()
        .enumerate()
        .filter(|(_, pair)| !pair.removals.is_empty())
    {
        let mut members = std::mem::take(&mut pair.removals);
        members.sort_unstable();
        operations.push(Edit::RemoveMemberships {
            pair: PairIx(at as u32),
            members,
        });
    }
    operations.extend(groups.removals);
    warnings.extend(moves_in_words(inputs, &operations, &groups.pairs));

    let mut changed_outside = groups.changed_outside;
    changed_outside.extend(people.changed_outside);
    let mut overwritten = groups.overwritten;
    overwritten.extend(people.overwritten);
    let mut losses = inputs.losses.to_vec();
    let unheld: u64 = pair_plans.iter().map(|pair| pair.unheld_opt_outs).sum();
    if unheld > 0 {
        losses.push(Loss {
            field: "group opt-out".to_owned(),
            object: "membership",
            count: unheld,
            examples: vec!["opted_out".to_owned()],
            reason: "the target can't hold it; the person is kept out of the group there"
                .to_owned(),
            remedy: None,
            known_since: None,
        });
    }
    losses.sort();
    let stand_ins = pair_plans
        .iter()
        .map(|pair| pair.opt_out_removals.len() as u64)
        .sum::<u64>();
    let mut measure = Measure::default();
    let mut measured = inputs.source.groups.complete().is_some() && inputs.undecided.is_none();
    let (mut active, mut source_active) = (0, 0);
    for (at, pair) in pair_plans.into_iter().enumerate() {
        let entry = &groups.pairs[at];
        if entry.source.is_some()
            && inputs
                .source
                .listing(entry.source.as_deref().unwrap_or_default())
                .is_some()
        {
            measure.groups += 1;
        }
        // Whoever may be there has not left.
        measure.memberships += pair.source_active + pair.source_kept;
        source_active += pair.source_active;
        measured &= pair.source_whole;
        if entry.linked {
            active += match &seats {
                // The people of a group that is deleted leave it as well.
                Some(_) => listed_active(inputs, entry),
                None => pair.target_active,
            };
        }
        if let Some(target) = entry.target.as_deref() {
            for person in &pair.overwritten {
                overwritten.insert(item_key("add_memberships", target, &inputs.key(*person)));
            }
        }
        let taken_out = pair.overwritten.into_iter().chain(pair.kept_out);
        changed_outside.extend(taken_out.map(|person| ChangedOutside {
            what: Outside::Membership(PairIx(at as u32), person),
            base: None,
            now: None,
            wanted: None,
            fate: inputs.policy.guards.on_drift,
        }));
        withheld.extend(pair.withheld);
        blocked.extend(pair.blocked);
        warnings.extend(pair.warnings);
    }
    changed_outside.sort_by(|one, other| one.what.cmp(&other.what));
    blocked.extend(people.blocked);
    warnings.extend(people.warnings);
    blocked.sort();
    blocked.dedup();
    withheld.sort();
    warnings = counted(warnings);

    let waiting_opt_outs = Summary::of(&operations).opt_outs + stand_ins;
    let mut plan = Plan {
        job: inputs.policy.job.clone(),
        source: inputs.policy.source.clone(),
        target: inputs.policy.target.clone(),
        pairs: groups.pairs,
        summary: Summary::of(&operations),
        operations,
        withheld,
        blocked,
        refusals: Vec::new(),
        changed_outside,
        losses,
        warnings,
        agreement,
        measure,
        measured,
        waiting_opt_outs,
        tripped: BTreeSet::new(),
        basis: Basis::default(),
        fingerprint: String::new(),
    };
    let verdict = judge(&Judged {
        inputs,
        plan: &plan,
        active,
        source_active,
        overwritten: &overwritten,
    });
    plan.refusals = verdict.refusals;
    plan.tripped = verdict.tripped;
    plan.basis = Basis::of(inputs, &plan);
    plan.fingerprint = plan.basis.fingerprint();
    plan
}

fn listed_active(inputs: &Inputs<'_>, pair: &GroupPair) -> u64 {
    let listing = pair
        .target
        .as_deref()
        .and_then(|id| inputs.target.listing(id));
    listing.map_or(0, |listing| listing.seen().active() as u64)
}

/// Additions anywhere need the account-wide opt-outs of both sides (rule 3).
fn account_states(inputs: &Inputs<'_>, blocked: &mut Vec<Blocked>) -> AccountStates {
    let mut whole = true;
    for (snapshot, side) in [(inputs.source, "source"), (inputs.target, "target")] {
        if snapshot.account_state.complete().is_none() {
            whole = false;
            blocked.push(Blocked {
                what: What::Group,
                group: None,
                member: None,
                id: Some(snapshot.provider.clone()),
                reason: BlockedReason::IncompleteRead,
                detail: format!(
                    "the account-wide opt-outs of the {side} \"{}\" could not be read to their end, so nobody is added anywhere: {}",
                    snapshot.provider,
                    snapshot.account_state.why_incomplete().join("; ")
                ),
                rests: None,
            });
        }
    }
    AccountStates { whole }
}

/// Says so where the source may hold more groups than were listed. A login that is said to see a part
/// only is expected to.
fn groups_whole(inputs: &Inputs<'_>, blocked: &mut Vec<Blocked>) {
    let source = inputs.source;
    if source.groups.complete().is_some() || inputs.policy.source_shared {
        return;
    }
    blocked.push(Blocked {
        what: What::Group,
        group: None,
        member: None,
        id: Some(source.provider.clone()),
        reason: BlockedReason::IncompleteRead,
        detail: format!(
            "the groups of the source \"{}\" could not be listed to their end, so none counts as gone: {}",
            source.provider,
            source.groups.why_incomplete().join("; ")
        ),
        rests: None,
    });
}

/// Says once where nobody can tell who counts as a member.
fn undecided(inputs: &Inputs<'_>, blocked: &mut Vec<Blocked>) {
    let Some(why) = inputs.undecided else { return };
    blocked.push(Blocked {
        what: What::Member,
        group: None,
        member: None,
        id: Some(inputs.source.provider.clone()),
        reason: BlockedReason::IncompleteRead,
        detail: format!("nobody joins a group and no profile is changed: {why}"),
        rests: None,
    });
}

/// Shows that the creation of a custom field was refused; the words name the field.
fn refused_field(resting: &Resting) -> Blocked {
    let blocked = Blocked {
        what: What::Field,
        group: None,
        member: None,
        id: None,
        reason: BlockedReason::ValueRefused,
        detail: resting.words.clone(),
        rests: None,
    };
    blocked.resting(resting)
}

/// So many records that can't be read are named one by one; more are counted.
const NAMED: usize = 100;

/// Names the profiles that can't be read: each needs a person, and stops no other.
fn left_out(inputs: &Inputs<'_>, blocked: &mut Vec<Blocked>) {
    let mut block = |id: Option<String>, detail: String| {
        blocked.push(Blocked {
            what: What::Member,
            group: None,
            member: None,
            id,
            reason: BlockedReason::IncompleteRead,
            detail,
            rests: None,
        });
    };
    let sides = [
        (inputs.source, "none of it is carried"),
        (inputs.target, "nothing of it is changed"),
    ];
    for (side, kept) in sides {
        let concerned = unreadable_of_the_job(inputs, side);
        for (id, what) in concerned.iter().take(NAMED) {
            let at = &side.provider;
            block(
                Some((*id).to_owned()),
                match what {
                    Unreadable::Profile => format!(
                        "the profile of record {id} at \"{at}\" holds characters that can't be read, or far too many, so {kept}; correct it there"
                    ),
                    Unreadable::Value(why) => format!(
                        "nobody can tell whether the profile of record {id} at \"{at}\" came whole ({why}), so {kept}; look at its custom fields there"
                    ),
                    Unreadable::Standing(why) => format!(
                        "nobody can tell in which groups record {id} at \"{at}\" is ({why}), so {kept}; look at it there"
                    ),
                },
            );
        }
        let more = concerned.len().saturating_sub(NAMED);
        if more > 0 {
            block(
                Some(side.provider.clone()),
                format!(
                    "of {more} more records at \"{}\" not all can be read; look at them there",
                    side.provider
                ),
            );
        }
    }
}

/// Picks those of a side's unreadable records that are of people whom the source lists or whose
/// memberships at the target this job knows, and in a mirror, of whoever may be in a group there: what
/// else an account holds is none of the job's business.
fn unreadable_of_the_job<'a>(
    inputs: &Inputs<'a>,
    side: &'a Snapshot,
) -> Vec<(&'a str, &'a Unreadable)> {
    if side.unreadable.is_empty() {
        return Vec::new();
    }
    let listings = inputs.source.listings.values();
    let listed: HashSet<PersonIx> = listings
        .flat_map(|listing| &listing.seen().rows)
        .filter_map(|row| inputs.people.of_source(row.member))
        .collect();
    let is_source = std::ptr::eq(side, inputs.source);
    let known = inputs.base.memberships.values().flatten();
    let known: HashSet<Name> = known.map(|known| known.member).collect();
    let is_mirrored = |at: u32| {
        let mut listings = side.listings.values();
        inputs.policy.mode == Mode::Mirror
            && listings.any(|listing| side.is_uncertain(listing.seen(), at, inputs.names))
    };
    let person_of = |at: u32| {
        if is_source {
            inputs.people.of_source(at)
        } else {
            inputs.people.of_target(at)
        }
    };
    let members = side.members.iter().zip(0..);
    members
        .filter_map(|(member, at)| {
            let (id, what) = side
                .unreadable
                .get_key_value(inputs.names.text(member.id))?;
            let is_listed = person_of(at).is_some_and(|person| listed.contains(&person));
            let waits = !is_source
                && matches!(what, Unreadable::Standing(_))
                && (known.contains(&member.id) || is_mirrored(at));
            (is_listed || waits).then_some((id.as_str(), what))
        })
        .collect()
}

/// Tells whether a plan names records of the target that could not be read: it does so until somebody
/// has corrected them, which only another reading shows.
pub(crate) fn names_unread_records(inputs: &Inputs<'_>) -> bool {
    !unreadable_of_the_job(inputs, inputs.target).is_empty()
}

/// Folds equal sentences into one with a count.
fn counted(warnings: Vec<String>) -> Vec<String> {
    let mut counts: BTreeMap<String, u64> = BTreeMap::new();
    let mut order = Vec::new();
    for warning in warnings {
        let count = counts.entry(warning.clone()).or_insert(0);
        if *count == 0 {
            order.push(warning);
        }
        *count += 1;
    }
    order
        .into_iter()
        .map(|warning| {
            if counts[&warning] > 1 {
                format!("{warning} ({} times)", counts[&warning])
            } else {
                warning
            }
        })
        .collect()
}

impl Summary {
    /// Counts what operations do.
    pub fn of(operations: &[Edit]) -> Summary {
        let mut summary = Summary::default();
        for edit in operations {
            let members = edit.members().len() as u64;
            match edit {
                Edit::CreateCustomField { .. } => {}
                Edit::CreateGroup { .. } => summary.groups_created += 1,
                Edit::AdoptGroup { .. } => summary.groups_adopted += 1,
                Edit::UpdateGroup { .. } | Edit::RenameGroup { .. } => summary.groups_updated += 1,
                Edit::ArchiveGroup { .. } => summary.groups_archived += 1,
                Edit::DeleteGroup { .. } => summary.groups_deleted += 1,
                Edit::SetOptOut { .. } => summary.opt_outs += members,
                Edit::CreateMembers { .. } => summary.members_created += members,
                Edit::UpdateMember { .. } | Edit::ChangeAddress { .. } => {
                    summary.members_updated += 1;
                }
                Edit::AddMemberships { .. } | Edit::BringBack { .. } => {
                    summary.memberships_added += members;
                }
                Edit::RemoveMemberships { .. } => summary.memberships_removed += members,
            }
        }
        summary
    }
}
