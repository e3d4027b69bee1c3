//! A plan sorted for reading: what belongs together, in the order in which a person asks for it.

use std::collections::{BTreeMap, BTreeSet, HashSet};

use crate::model::policy::OnDrift;
use crate::model::{Record, Value};
use crate::plan::{
    Blocked, BlockedReason, ChangedOutside, Edit, GuardRefusal, Outside, PairIx, PersonIx, Plan,
    Reason, Withheld,
};
use crate::run::Planned;

/// What happens to a group.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum GroupVerb {
    Create,
    Change,
    Adopt,
    Archive,
    Delete,
}

impl GroupVerb {
    /// Returns the sign that stands before the group.
    pub(super) fn sign(self) -> &'static str {
        match self {
            GroupVerb::Create => "+",
            GroupVerb::Change => "~",
            GroupVerb::Adopt => "=",
            GroupVerb::Archive | GroupVerb::Delete => "!",
        }
    }

    /// Returns the word that stands behind the group.
    pub(super) fn word(self) -> &'static str {
        match self {
            GroupVerb::Create => "create",
            GroupVerb::Change => "change",
            GroupVerb::Adopt => "adopt",
            GroupVerb::Archive => "archive",
            GroupVerb::Delete => "delete",
        }
    }
}

/// One field that changes.
pub(super) struct FieldChange<'a> {
    pub(super) field: &'a str,
    /// What it held; `None` also where that is not known.
    pub(super) before: Option<&'a Value>,
    pub(super) after: Option<&'a Value>,
    /// Whether the value before is part of the plan.
    pub(super) compares: bool,
    /// Whether the value before is somebody's doing at the target since the last run.
    pub(super) outside: bool,
}

/// One group that changes.
pub(super) struct GroupChange<'a> {
    pub(super) verb: GroupVerb,
    pub(super) name: &'a str,
    /// What a reader should know besides the fields.
    pub(super) note: Option<String>,
    pub(super) fields: Vec<FieldChange<'a>>,
}

/// Who joins a group and who leaves it.
#[derive(Default)]
pub(super) struct MembershipChange<'a> {
    pub(super) name: &'a str,
    pub(super) added: Vec<PersonIx>,
    pub(super) removed: Vec<PersonIx>,
    /// Those who are added because somebody took them out at the target.
    pub(super) put_back: HashSet<PersonIx>,
}

/// People who are created with values in the same fields.
pub(super) struct NewKind<'a> {
    /// The fields that are written, in the order of the alphabet.
    pub(super) fields: Vec<&'a str>,
    pub(super) members: Vec<PersonIx>,
}

/// One person whose profile changes.
pub(super) struct ProfileChange<'a> {
    pub(super) member: PersonIx,
    /// The address before and after, where that is what changes.
    pub(super) address: Option<(&'a str, &'a str)>,
    /// Whether the address before is somebody's doing at the target since the last run.
    pub(super) moved_outside: bool,
    pub(super) fields: Vec<FieldChange<'a>>,
}

/// One value that somebody changed at the target since the last run, in words.
pub(super) struct OutsideRow<'a> {
    /// The group, for a field of one and for a membership.
    pub(super) group: Option<&'a str>,
    /// The group's id at the target.
    pub(super) group_id: Option<&'a str>,
    /// The person, for a field of one and for a membership.
    pub(super) member: Option<&'a str>,
    /// The field, under the target's name; nothing for a membership.
    pub(super) field: Option<&'a str>,
    /// What was there at the end of the last run, is there now, and is wanted.
    pub(super) changed: &'a ChangedOutside,
}

impl OutsideRow<'_> {
    /// Says what becomes of it.
    pub(super) fn fate(&self) -> &'static str {
        match (self.field, self.changed.fate) {
            (None, OnDrift::Overwrite) => "is added again",
            (None, OnDrift::Keep) => "stays out",
            (Some(_), OnDrift::Overwrite) => "is overwritten",
            (Some(_), OnDrift::Keep) => "is kept",
            (_, OnDrift::Stop) => "stops the run",
        }
    }
}

/// Returns what somebody changed at the target since the last run, row by row.
pub(super) fn changed_outside(planned: &Planned) -> impl Iterator<Item = OutsideRow<'_>> {
    planned.plan.changed_outside.iter().map(|changed| {
        let (pair, person, field) = match &changed.what {
            Outside::Group(pair, field) => (Some(*pair), None, Some(field.as_str())),
            Outside::Member(person, field) => (None, Some(*person), Some(field.as_str())),
            Outside::Address(person) => (None, Some(*person), Some("address")),
            Outside::Membership(pair, person) => (Some(*pair), Some(*person), None),
        };
        let pair = pair.map(|pair| planned.plan.pair(pair));
        let member = person.map(|person| planned.member(person));
        OutsideRow {
            group: pair.map(|pair| pair.name.as_str()),
            group_id: pair.and_then(|pair| pair.target.as_deref()),
            member,
            field,
            changed,
        }
    })
}

/// Opt-outs of one group, or of the whole account.
pub(super) struct OptOuts<'a> {
    pub(super) group: Option<&'a str>,
    pub(super) members: Vec<PersonIx>,
}

/// A plan sorted for reading.
pub(super) struct PlanView<'a> {
    pub(super) opt_outs: Vec<OptOuts<'a>>,
    pub(super) new_fields: Vec<&'a str>,
    pub(super) groups: Vec<GroupChange<'a>>,
    pub(super) memberships: Vec<MembershipChange<'a>>,
    pub(super) profiles: Vec<ProfileChange<'a>>,
    /// Everybody who is created.
    pub(super) created: HashSet<PersonIx>,
    /// The same by the fields that are written, the largest kind first.
    pub(super) kinds: Vec<NewKind<'a>>,
    /// Those who are created only to hold an opt-out and join no group.
    pub(super) holders: Vec<PersonIx>,
    pub(super) withheld: BTreeMap<Reason, Vec<Withheld>>,
    pub(super) blocked: BTreeMap<BlockedReason, Vec<&'a Blocked>>,
}

impl<'a> PlanView<'a> {
    pub(super) fn new(planned: &'a Planned) -> PlanView<'a> {
        let plan = &planned.plan;
        let mut view = PlanView {
            opt_outs: Vec::new(),
            new_fields: Vec::new(),
            groups: Vec::new(),
            memberships: Vec::new(),
            profiles: Vec::new(),
            created: HashSet::new(),
            kinds: Vec::new(),
            holders: Vec::new(),
            withheld: BTreeMap::new(),
            blocked: by_reason(&plan.blocked),
        };
        let marks = Marks::of(plan);
        let mut opt_outs: BTreeMap<Option<u32>, BTreeSet<PersonIx>> = BTreeMap::new();
        let mut memberships: BTreeMap<u32, MembershipChange<'a>> = BTreeMap::new();
        let mut profiles: BTreeMap<PersonIx, ProfileChange<'a>> = BTreeMap::new();
        for edit in &plan.operations {
            match edit {
                Edit::SetOptOut { pair, members, .. } => opt_outs
                    .entry(pair.map(|pair| pair.0))
                    .or_default()
                    .extend(members),
                Edit::CreateCustomField { label } => view.new_fields.push(label),
                Edit::CreateMembers {
                    members,
                    to_opt_out,
                } => {
                    view.created.extend(members);
                    if *to_opt_out {
                        view.holders.extend(members);
                    }
                }
                Edit::AddMemberships { pair, members } | Edit::BringBack { pair, members } => {
                    let change = memberships.entry(pair.0).or_default();
                    change.name = &plan.pair(*pair).name;
                    change.added.extend(members);
                    let members = members.iter().copied();
                    let put_back = members.filter(|person| marks.has_membership(*pair, *person));
                    change.put_back.extend(put_back);
                }
                Edit::RemoveMemberships { pair, members } => {
                    let change = memberships.entry(pair.0).or_default();
                    change.name = &plan.pair(*pair).name;
                    change.removed.extend(members);
                }
                Edit::UpdateMember {
                    member,
                    fields,
                    before,
                } => {
                    profiles
                        .entry(*member)
                        .or_insert_with(|| ProfileChange::of(*member))
                        .fields = compared(edit, fields, before, &marks);
                }
                Edit::ChangeAddress {
                    member, from, to, ..
                } => {
                    let change = profiles
                        .entry(*member)
                        .or_insert_with(|| ProfileChange::of(*member));
                    change.address = Some((from, to));
                    change.moved_outside = marks.has_address(*member);
                }
                _ => view.groups.extend(group_change(plan, edit, &marks)),
            }
        }
        view.opt_outs = opt_outs
            .into_iter()
            .map(|(pair, members)| OptOuts {
                group: pair.map(|pair| plan.pairs[pair as usize].name.as_str()),
                members: members.into_iter().collect(),
            })
            .collect();
        // Who is created for an opt-out and joins another group as well is shown there.
        let joining: HashSet<PersonIx> = memberships
            .values()
            .flat_map(|change| change.added.iter().copied())
            .collect();
        view.holders.retain(|person| !joining.contains(person));
        view.kinds = kinds(planned, &view.created);
        view.memberships = memberships.into_values().collect();
        view.profiles = profiles.into_values().collect();
        for withheld in &plan.withheld {
            view.withheld
                .entry(withheld.reason)
                .or_default()
                .push(*withheld);
        }
        view
    }
}

/// What of a plan undoes somebody's doing at the target.
#[derive(Default)]
pub(super) struct Marks<'a> {
    groups: HashSet<(PairIx, &'a str)>,
    members: HashSet<(PersonIx, &'a str)>,
    addresses: HashSet<PersonIx>,
    memberships: HashSet<(PairIx, PersonIx)>,
}

impl<'a> Marks<'a> {
    pub(super) fn of(plan: &'a Plan) -> Marks<'a> {
        let mut marks = Marks::default();
        let undone = plan.changed_outside.iter();
        for changed in undone.filter(|changed| changed.fate != OnDrift::Keep) {
            match &changed.what {
                Outside::Group(pair, field) => drop(marks.groups.insert((*pair, field))),
                Outside::Member(person, field) => drop(marks.members.insert((*person, field))),
                Outside::Address(person) => drop(marks.addresses.insert(*person)),
                Outside::Membership(pair, person) => {
                    marks.memberships.insert((*pair, *person));
                }
            }
        }
        marks
    }

    /// Tells whether an edit undoes what somebody did to a field.
    pub(super) fn has_field(&self, edit: &Edit, field: &str) -> bool {
        match edit {
            Edit::UpdateMember { member, .. } => self.members.contains(&(*member, field)),
            _ => edit
                .pair()
                .is_some_and(|pair| self.groups.contains(&(pair, field))),
        }
    }

    /// Tells whether somebody gave a person another address.
    pub(super) fn has_address(&self, person: PersonIx) -> bool {
        self.addresses.contains(&person)
    }

    /// Tells whether somebody took a person out of a group.
    pub(super) fn has_membership(&self, pair: PairIx, person: PersonIx) -> bool {
        self.memberships.contains(&(pair, person))
    }
}

fn kinds<'a>(planned: &'a Planned, created: &HashSet<PersonIx>) -> Vec<NewKind<'a>> {
    let mut sorted: BTreeMap<Vec<&str>, Vec<PersonIx>> = BTreeMap::new();
    for person in created {
        let values = planned.created_values.get(person);
        let fields = values.map(|values| values.keys().map(AsRef::as_ref).collect());
        sorted
            .entry(fields.unwrap_or_default())
            .or_default()
            .push(*person);
    }
    let mut kinds: Vec<NewKind<'_>> = sorted
        .into_iter()
        .map(|(fields, mut members)| {
            members.sort_unstable();
            NewKind { fields, members }
        })
        .collect();
    kinds.sort_by_key(|kind| std::cmp::Reverse(kind.members.len()));
    kinds
}

/// Returns what creating a person writes.
pub(super) fn created(planned: &Planned, person: PersonIx) -> Vec<FieldChange<'_>> {
    planned
        .created_values
        .get(&person)
        .map(set)
        .unwrap_or_default()
}

impl ProfileChange<'_> {
    fn of(member: PersonIx) -> Self {
        ProfileChange {
            member,
            address: None,
            moved_outside: false,
            fields: Vec::new(),
        }
    }
}

/// Sorts what is blocked by its reason.
pub(super) fn by_reason<'a>(
    blocked: impl IntoIterator<Item = &'a Blocked>,
) -> BTreeMap<BlockedReason, Vec<&'a Blocked>> {
    let mut sorted: BTreeMap<BlockedReason, Vec<&Blocked>> = BTreeMap::new();
    for blocked in blocked {
        sorted.entry(blocked.reason).or_default().push(blocked);
    }
    sorted
}

/// Returns what an edit changes of a group itself; nothing where it is about people.
pub(super) fn group_change<'a>(
    plan: &'a Plan,
    edit: &'a Edit,
    marks: &Marks<'_>,
) -> Option<GroupChange<'a>> {
    let pair = plan.pair(edit.pair()?);
    let name = pair.name.as_str();
    let lifted = |lift: bool| {
        lift.then(|| "its protection, which rosterd itself had set, is lifted first".to_owned())
    };
    Some(match edit {
        Edit::CreateGroup { fields, .. } => GroupChange {
            verb: GroupVerb::Create,
            name,
            note: None,
            fields: set(fields),
        },
        Edit::AdoptGroup { fields, before, .. } => {
            let id = pair.target.as_deref().unwrap_or_default();
            let then = match (fields.len(), before.len()) {
                (0, _) => " and left as it is",
                (_, 0) => ", and what it lacks is filled in",
                (all, held) if all == held => ", and what the config maps by name is overwritten",
                _ => {
                    ", what it lacks is filled in, and what the config maps by name is overwritten"
                }
            };
            GroupChange {
                verb: GroupVerb::Adopt,
                name,
                note: Some(format!("group {id} at the target is linked{then}")),
                fields: compared(edit, fields, before, marks),
            }
        }
        Edit::UpdateGroup { fields, before, .. } => GroupChange {
            verb: GroupVerb::Change,
            name,
            note: None,
            fields: compared(edit, fields, before, marks),
        },
        Edit::RenameGroup {
            from,
            to,
            via,
            fields,
            before,
            ..
        } => {
            let detour = via
                .as_ref()
                .map(|via| format!(", by way of \"{via}\""))
                .unwrap_or_default();
            let mut fields = compared(edit, fields, before, marks);
            let is_name = |change: &FieldChange<'_>| {
                let is = |value: Option<&Value>, name: &str| {
                    value.and_then(Value::as_text) == Some(name)
                };
                is(change.before, from) && is(change.after, to)
            };
            // The line says it, unless another field changes in the same way and nobody could tell
            // which of them it means.
            let mut names = fields
                .iter()
                .enumerate()
                .filter(|(_, change)| is_name(change));
            let name_at = match (names.next(), names.next()) {
                (Some((at, _)), None) => Some(at),
                _ => None,
            };
            let mut outside = "";
            if let Some(at) = name_at
                && fields.remove(at).outside
            {
                outside = ", as it was before somebody renamed it at the target";
            }
            GroupChange {
                verb: GroupVerb::Change,
                name: from,
                note: Some(format!("is renamed to \"{to}\"{detour}{outside}")),
                fields,
            }
        }
        Edit::ArchiveGroup {
            lift_protection, ..
        } => GroupChange {
            verb: GroupVerb::Archive,
            name,
            note: lifted(*lift_protection),
            fields: Vec::new(),
        },
        Edit::DeleteGroup {
            lift_protection, ..
        } => GroupChange {
            verb: GroupVerb::Delete,
            name,
            note: lifted(*lift_protection),
            fields: Vec::new(),
        },
        _ => return None,
    })
}

fn set(fields: &Record) -> Vec<FieldChange<'_>> {
    fields
        .iter()
        .map(|(field, after)| FieldChange {
            field,
            before: None,
            after: Some(after),
            compares: false,
            outside: false,
        })
        .collect()
}

/// Returns what is written, beside what was there.
pub(super) fn compared<'a>(
    edit: &Edit,
    fields: &'a Record,
    before: &'a Record,
    marks: &Marks<'_>,
) -> Vec<FieldChange<'a>> {
    fields
        .iter()
        .map(|(field, after)| FieldChange {
            field,
            before: before.get(field),
            after: Some(after),
            compares: true,
            outside: marks.has_field(edit, field),
        })
        .collect()
}

/// Puts refusals together that one limit draws from several groups, those with the greatest figures
/// first; the guards stay in their order.
pub(super) fn by_guard(refusals: &[GuardRefusal]) -> Vec<Vec<&GuardRefusal>> {
    let mut sorted: Vec<Vec<&GuardRefusal>> = Vec::new();
    for refusal in refusals {
        let is_alike = |known: &&mut Vec<&GuardRefusal>| {
            let first = known[0];
            first.group.is_some()
                && refusal.group.is_some()
                && (first.guard, &first.key, &first.limit)
                    == (refusal.guard, &refusal.key, &refusal.limit)
        };
        match sorted.iter_mut().find(is_alike) {
            Some(known) => known.push(refusal),
            None => sorted.push(vec![refusal]),
        }
    }
    for alike in &mut sorted {
        alike.sort_by_key(|refusal| std::cmp::Reverse(refusal.value));
    }
    sorted
}

/// Adds up how much refusals are about, and of how much.
pub(super) fn sums(refusals: &[&GuardRefusal]) -> (u64, u64) {
    let value = refusals.iter().map(|refusal| refusal.value).sum();
    (value, refusals.iter().map(|refusal| refusal.of).sum())
}
