//! What concerns a person and not one group: account opt-outs, creations that hold a refusal, addresses and profiles.

use std::collections::{BTreeMap, BTreeSet};

use super::people::PersonIx;
use super::{Agreement, Blocked, BlockedReason, Edit, Inputs, PairIx, What, item_key};
use crate::model::policy::{OnDrift, OptOuts};
use crate::model::{Existence, MemberStatus, MembershipState, Record};

const CARRIED_AGAIN: &str =
    "Somebody is active again at the target while the source still shows the refusal of all mail; it is carried again.";

/// What planning the people led to.
#[derive(Debug, Default)]
pub(super) struct PersonPlan {
    /// Account opt-outs of people who exist at the target.
    pub(super) account_opt_outs: Vec<PersonIx>,
    /// Account opt-outs of people who are created for that.
    pub(super) new_account_opt_outs: Vec<PersonIx>,
    /// People created only to hold an opt-out.
    pub(super) holders: BTreeSet<PersonIx>,
    /// Group opt-outs of people who exist.
    pub(super) group_opt_outs: BTreeMap<PairIx, Vec<PersonIx>>,
    /// Group opt-outs of people who are created for that.
    pub(super) new_group_opt_outs: BTreeMap<PairIx, Vec<PersonIx>>,
    pub(super) address_changes: Vec<Edit>,
    pub(super) updates: Vec<Edit>,
    pub(super) blocked: Vec<Blocked>,
    pub(super) warnings: Vec<String>,
    pub(super) overwritten: BTreeSet<String>,
}

/// Plans the people that the source lists in a pair, or whom a link names.
///
/// `group_opt_outs` are the people whose opt-out of a pair is to be written.
pub(super) fn plan_people(
    inputs: &Inputs<'_>,
    listed: &BTreeSet<PersonIx>,
    group_opt_outs: &BTreeMap<PairIx, Vec<PersonIx>>,
    agreement: &mut Agreement,
) -> PersonPlan {
    let mut out = PersonPlan::default();
    let carry = inputs.policy.members.opt_outs == OptOuts::Carry;
    for (person, row) in inputs.people.iter() {
        let sources = inputs.people.sources(person);
        if sources.is_empty() || !(listed.contains(&person) || row.linked) {
            continue;
        }
        link(inputs, person, agreement);
        if row.source_status == MemberStatus::OptedOut {
            account_opt_out(inputs, person, carry, agreement, &mut out);
        } else if account_bar_ends(inputs, person) {
            agreement.ended_bars.push((None, row.address));
        } else if !inputs.base.bars.account.contains(&row.address)
            && inputs
                .people
                .former_addresses(person, inputs.source, inputs.base)
                .iter()
                .any(|known| inputs.base.bars.account.contains(known))
        {
            // A refusal follows the person through a change of address.
            agreement.bars.push((None, person));
        }
        if row.moves_from.is_some() {
            change_address(inputs, person, &mut out);
        }
        update(inputs, person, &mut out);
    }
    warn_of_repetitions(inputs, group_opt_outs, &mut out);
    for (&pair, people) in group_opt_outs {
        for &person in people {
            if !inputs.people.targets(person).is_empty() {
                out.group_opt_outs.entry(pair).or_default().push(person);
            } else if may_hold_refusal(inputs, person) {
                out.holders.insert(person);
                out.new_group_opt_outs.entry(pair).or_default().push(person);
            }
        }
    }
    out
}

/// Tells whether a remembered refusal of all mail is over: the person is active at the target without rosterd's doing, and the
/// source shows no refusal.
pub(super) fn account_bar_ends(inputs: &Inputs<'_>, person: PersonIx) -> bool {
    let row = inputs.people.get(person);
    inputs.base.bars.account.contains(&row.address)
        && inputs.policy.members.opt_outs == OptOuts::Carry
        && (inputs.capabilities.account_opt_out || (inputs.capabilities.account_opt_out_as_lists && active_on_all_lists(inputs, person)))
        && row.source_status != MemberStatus::OptedOut
        && row.target_status == MemberStatus::Active
        && !inputs.people.targets(person).is_empty()
}

/// Tells whether somebody is active on every list of the scope that lists them, without rosterd's doing, and on one at least.
///
/// A list that was not read to its end may hold a refusal that nobody has seen.
fn active_on_all_lists(inputs: &Inputs<'_>, person: PersonIx) -> bool {
    let mut seen = false;
    for (group, listing) in &inputs.target.listings {
        let Some(listing) = listing.complete() else { return false };
        for at in inputs.people.targets(person) {
            match listing.state_of(*at) {
                None => {}
                Some(MembershipState::Active) => {
                    let known = inputs.base.membership(group, inputs.target.members[*at as usize].id);
                    if known.is_some_and(|known| known.brought) {
                        return false;
                    }
                    seen = true;
                }
                Some(_) => return false,
            }
        }
    }
    seen
}

/// Says, once per person, that a refusal of all mail is written again which is held list by list.
fn warn_of_repetitions(inputs: &Inputs<'_>, group_opt_outs: &BTreeMap<PairIx, Vec<PersonIx>>, out: &mut PersonPlan) {
    if !inputs.capabilities.account_opt_out_as_lists {
        return;
    }
    let refusing: BTreeSet<PersonIx> = group_opt_outs.values().flatten().copied().collect();
    for person in refusing {
        let row = inputs.people.get(person);
        let known = row.source_status == MemberStatus::OptedOut && inputs.base.bars.account.contains(&row.address);
        if known && active_on_all_lists(inputs, person) {
            out.warnings.push(CARRIED_AGAIN.to_owned());
        }
    }
}

/// Remembers who is who, so that the pair outlives a change of address.
fn link(inputs: &Inputs<'_>, person: PersonIx, agreement: &mut Agreement) {
    if let [target] = inputs.people.targets(person) {
        let target_id = inputs.target.members[*target as usize].id;
        for &source in inputs.people.sources(person) {
            let known = inputs.base.member_of_source(inputs.source.members[source as usize].id);
            if known.is_none_or(|link| link.target != target_id) {
                agreement.linked.push((person, source, *target));
            }
        }
    }
}

fn account_opt_out(inputs: &Inputs<'_>, person: PersonIx, carry: bool, agreement: &mut Agreement, out: &mut PersonPlan) {
    let row = inputs.people.get(person);
    let targets = inputs.people.targets(person);
    let all_hold = !targets.is_empty() && targets.iter().all(|at| inputs.target.members[*at as usize].status == MemberStatus::OptedOut);
    let repeated = inputs.base.bars.account.contains(&row.address);
    if !all_hold && !repeated {
        agreement.bars.push((None, person));
    }
    if all_hold || !carry || !inputs.capabilities.account_opt_out {
        return;
    }
    let key = item_key("set_opt_out", "", inputs.names.text(row.address));
    if let Some(words) = inputs.base.waiting.get(&key) {
        out.blocked.push(blocked(inputs, person, BlockedReason::ValueRefused, words.clone()));
        return;
    }
    if !targets.is_empty() {
        if repeated {
            out.warnings.push(CARRIED_AGAIN.to_owned());
        }
        out.account_opt_outs.push(person);
    } else if let Some(words) = inputs.base.waiting.get(&item_key("create_members", "", inputs.names.text(row.address))) {
        out.blocked.push(blocked(inputs, person, BlockedReason::ValueRefused, words.clone()));
    } else if may_hold_refusal(inputs, person) {
        out.holders.insert(person);
        out.new_account_opt_outs.push(person);
    }
}

/// Tells whether a contact may be created only to hold a refusal: the target must be known not to have one.
fn may_hold_refusal(inputs: &Inputs<'_>, person: PersonIx) -> bool {
    let row = inputs.people.get(person);
    let absent = match &inputs.target.existence {
        Existence::Whole => true,
        Existence::Asked(asked) => asked.contains(&row.address),
        Existence::Unknown => false,
    };
    let waiting = inputs.base.waiting.contains_key(&item_key("create_members", "", inputs.names.text(row.address)));
    inputs.policy.members.create && absent && !waiting && !row.address_taken && (row.vanished.is_none() || row.removed_by_us)
}

fn change_address(inputs: &Inputs<'_>, person: PersonIx, out: &mut PersonPlan) {
    let row = inputs.people.get(person);
    let Some(from) = row.moves_from else { return };
    if row.address_taken {
        out.blocked.push(blocked(
            inputs,
            person,
            BlockedReason::AddressTaken,
            "the new address belongs to another contact at the target".to_owned(),
        ));
        return;
    }
    // A contact must not become reachable under an address that refused mail.
    let refused = inputs.base.bars.account.contains(&row.address)
        || inputs.base.bars.groups.values().any(|addresses| addresses.contains(&row.address));
    let target_at = inputs.people.targets(person)[0] as usize;
    if refused && inputs.target.members[target_at].status == MemberStatus::Active {
        out.blocked.push(blocked(inputs, person, BlockedReason::AddressTaken, "the new address has refused mail before".to_owned()));
        return;
    }
    let key = item_key("change_address", "", inputs.names.text(row.address));
    if let Some(words) = inputs.base.waiting.get(&key) {
        out.blocked.push(blocked(inputs, person, BlockedReason::ValueRefused, words.clone()));
        return;
    }
    out.address_changes.push(Edit::ChangeAddress {
        member: person,
        from: inputs.names.text(from).to_owned(),
        to: inputs.names.text(row.address).to_owned(),
    });
}

fn update(inputs: &Inputs<'_>, person: PersonIx, out: &mut PersonPlan) {
    let Some(facts) = inputs.facts.get(&person).filter(|facts| facts.counts) else { return };
    let Some(edit) = &facts.edit else { return };
    if !inputs.policy.members.update || inputs.people.targets(person).len() != 1 {
        return;
    }
    let address = inputs.names.text(inputs.people.get(person).address);
    if !edit.kept.is_empty() && inputs.policy.guards.on_drift == OnDrift::Keep {
        out.warnings.push(format!("Somebody changed {} of a person at the target; it is kept.", edit.kept.join(", ")));
    }
    if edit.is_empty() {
        return;
    }
    if let Some(words) = inputs.base.waiting.get(&item_key("update_member", "", address)) {
        out.blocked.push(blocked(inputs, person, BlockedReason::ValueRefused, words.clone()));
        return;
    }
    if !edit.overwritten.is_empty() {
        out.overwritten.insert(item_key("update_member", "", address));
    }
    let before: Record = edit.before.clone();
    out.updates.push(Edit::UpdateMember { member: person, fields: edit.set.clone(), before });
}

fn blocked(inputs: &Inputs<'_>, person: PersonIx, reason: BlockedReason, detail: String) -> Blocked {
    Blocked {
        what: What::Member,
        group: None,
        member: Some(inputs.names.text(inputs.people.get(person).address).to_owned()),
        id: None,
        reason,
        detail,
    }
}
