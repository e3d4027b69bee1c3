//! A plan of which only a part is shown: what concerns some groups and some people.

use std::collections::{BTreeMap, BTreeSet};

use crate::plan::{
    Blocked, Edit, NotUndone, Outside, PairIx, PersonIx, Plan, Summary, fold_group_name,
};
use crate::run::{Meant, Narrowed, Parts, Planned};

/// Leaves in a plan only what concerns the groups and the people that are meant; who is created in one
/// of the groups concerns it. What the plan refuses stays, since it holds up all of it.
///
/// Such a plan is for looking at. It says so, and is never applied.
pub fn narrow(planned: &mut Planned, meant: &[Meant]) {
    let (whole, of) = (planned.plan.summary.clone(), Parts::of(planned));
    let mut unconcerned = Vec::new();
    for one in meant {
        let about = About::of(&planned.plan, [one]);
        let is_concerned = planned.plan.operations.iter().any(|edit| about.edit(edit))
            || planned.plan.withheld.iter().any(|withheld| {
                about.pairs.contains(&withheld.pair) || about.has_member(withheld.member)
            })
            || planned
                .plan
                .blocked
                .iter()
                .any(|one| about.blocked(planned, one))
            || planned
                .plan
                .changed_outside
                .iter()
                .any(|changed| about.changed(&changed.what))
            || left_of(planned).any(|left| concerns(planned, left, one));
        if !is_concerned {
            unconcerned.push(one.asked.clone());
        }
    }
    let about = About::of(&planned.plan, meant);
    let blocked = std::mem::take(&mut planned.plan.blocked).into_iter();
    planned.plan.blocked = blocked.filter(|one| about.blocked(planned, one)).collect();
    if let Some(mut undoing) = planned.undoing.take() {
        let left = std::mem::take(&mut undoing.left).into_iter();
        let is_meant = |left: &NotUndone| meant.iter().any(|one| concerns(planned, left, one));
        undoing.left = left.filter(is_meant).collect();
        planned.undoing = Some(undoing);
    }
    let plan = &mut planned.plan;
    plan.operations.retain(|edit| about.edit(edit));
    for edit in &mut plan.operations {
        about.leave_out(edit);
    }
    plan.withheld.retain(|withheld| {
        about.pairs.contains(&withheld.pair) || about.has_member(withheld.member)
    });
    plan.changed_outside
        .retain(|changed| about.changed(&changed.what));
    plan.losses.clear();
    plan.warnings.clear();
    plan.summary = Summary::of(&plan.operations);
    planned.narrowed = Some(Narrowed {
        only: meant.iter().map(|one| one.asked.clone()).collect(),
        unconcerned,
        whole,
        of,
    });
}

fn left_of(planned: &Planned) -> impl Iterator<Item = &NotUndone> {
    planned.undoing.iter().flat_map(|undoing| &undoing.left)
}

/// Tells whether something of a run that is not undone concerns what somebody asked about: neither the
/// group nor the person need be at either side any more.
pub fn concerns(planned: &Planned, left: &NotUndone, one: &Meant) -> bool {
    if one.is_person() {
        let contact = one.asked.strip_prefix("##");
        return left.member.as_ref().is_some_and(|name| {
            *name == one.asked || one.people.iter().any(|it| planned.member(*it) == name)
        }) || (contact.is_some() && left.member_id.as_deref() == contact);
    }
    let of_pair = |pair: &PairIx| {
        let id = planned.plan.pair(*pair).target.as_ref();
        id.is_some() && id == left.group_id.as_ref()
    };
    let is_named = left
        .group
        .as_ref()
        .is_some_and(|name| fold_group_name(name) == fold_group_name(&one.asked));
    is_named || left.group_id.as_ref() == Some(&one.asked) || one.pairs.iter().any(of_pair)
}

/// Adds ids to the names of groups that share one, so that people can tell them apart.
pub fn tell_twins_apart(plan: &mut Plan) {
    let mut named: BTreeMap<&str, usize> = BTreeMap::new();
    for pair in &plan.pairs {
        *named.entry(&pair.name).or_default() += 1;
    }
    let twins: BTreeSet<String> = named
        .into_iter()
        .filter(|(_, groups)| *groups > 1)
        .map(|(name, _)| name.to_owned())
        .collect();
    for pair in &mut plan.pairs {
        if !twins.contains(&pair.name) {
            continue;
        }
        let id = match (&pair.target, &pair.source) {
            (Some(target), _) => format!("id {target}"),
            (None, Some(source)) => format!("source id {source}"),
            (None, None) => continue,
        };
        pair.name = format!("{} [{id}]", pair.name);
    }
}

/// What somebody asked about.
struct About {
    pairs: BTreeSet<PairIx>,
    people: BTreeSet<PersonIx>,
    /// The people, and whoever joins one of the groups.
    created: BTreeSet<PersonIx>,
}

impl About {
    fn of<'a>(plan: &Plan, meant: impl IntoIterator<Item = &'a Meant>) -> About {
        let (mut pairs, mut people) = (BTreeSet::new(), BTreeSet::new());
        for one in meant {
            pairs.extend(one.pairs.iter().copied());
            people.extend(one.people.iter().copied());
        }
        let mut created = people.clone();
        for edit in &plan.operations {
            if let Edit::AddMemberships { pair, members }
            | Edit::SetOptOut {
                pair: Some(pair),
                members,
                ..
            } = edit
                && pairs.contains(pair)
            {
                created.extend(members);
            }
        }
        About {
            pairs,
            people,
            created,
        }
    }

    fn has_member(&self, member: Option<PersonIx>) -> bool {
        member.is_some_and(|member| self.people.contains(&member))
    }

    fn edit(&self, edit: &Edit) -> bool {
        let people = match edit {
            Edit::CreateMembers { .. } => &self.created,
            _ => &self.people,
        };
        edit.pair().is_some_and(|pair| self.pairs.contains(&pair))
            || edit.members().iter().any(|person| people.contains(person))
    }

    /// Leaves out of an operation whom nobody asked about.
    fn leave_out(&self, edit: &mut Edit) {
        if edit.pair().is_some_and(|pair| self.pairs.contains(&pair)) {
            return;
        }
        match edit {
            Edit::CreateMembers { members, .. } => {
                members.retain(|person| self.created.contains(person));
            }
            Edit::SetOptOut { members, .. }
            | Edit::AddMemberships { members, .. }
            | Edit::BringBack { members, .. }
            | Edit::RemoveMemberships { members, .. } => {
                members.retain(|person| self.people.contains(person));
            }
            _ => {}
        }
    }

    fn blocked(&self, planned: &Planned, blocked: &Blocked) -> bool {
        if let Some(member) = &blocked.member
            && !member.is_empty()
            && self
                .people
                .iter()
                .any(|person| planned.member(*person) == member)
        {
            return true;
        }
        // Names need not be unique; the id of somebody's item is the person's.
        self.pairs.iter().any(|pair| {
            let pair = planned.plan.pair(*pair);
            let id = blocked.id.as_ref();
            let is_its = blocked.member.is_some()
                || id.is_none()
                || id == pair.source.as_ref()
                || id == pair.target.as_ref();
            is_its && blocked.group.as_ref() == Some(&pair.name)
        })
    }

    fn changed(&self, what: &Outside) -> bool {
        match what {
            Outside::Group(pair, _) => self.pairs.contains(pair),
            Outside::Member(person, _) | Outside::Address(person) => self.people.contains(person),
            Outside::Membership(pair, person) => {
                self.pairs.contains(pair) || self.people.contains(person)
            }
        }
    }
}
