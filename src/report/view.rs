//! A plan sorted for reading: what belongs together, in the order in which a person asks for it.

use std::collections::{BTreeMap, BTreeSet, HashSet};

use crate::model::{Record, Value};
use crate::plan::{Blocked, BlockedReason, Edit, PersonIx, Plan, Reason, Withheld};
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
    pub(super) fields: Vec<FieldChange<'a>>,
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
                        .fields = compared(fields, before);
                }
                Edit::ChangeAddress {
                    member, from, to, ..
                } => {
                    profiles
                        .entry(*member)
                        .or_insert_with(|| ProfileChange::of(*member))
                        .address = Some((from, to));
                }
                _ => view.groups.extend(group_change(plan, edit)),
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

fn group_change<'a>(plan: &'a Plan, edit: &'a Edit) -> Option<GroupChange<'a>> {
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
        Edit::AdoptGroup { fields, .. } => {
            let id = pair.target.as_deref().unwrap_or_default();
            let note = if fields.is_empty() {
                format!("group {id} at the target is linked and left as it is")
            } else {
                format!("group {id} at the target is linked, and what it lacks is filled in")
            };
            GroupChange {
                verb: GroupVerb::Adopt,
                name,
                note: Some(note),
                fields: set(fields),
            }
        }
        Edit::UpdateGroup { fields, before, .. } => GroupChange {
            verb: GroupVerb::Change,
            name,
            note: None,
            fields: compared(fields, before),
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
            let others = fields
                .iter()
                .filter(|(_, value)| value.as_text() != Some(to));
            GroupChange {
                verb: GroupVerb::Change,
                name: from,
                note: Some(format!("is renamed to \"{to}\"{detour}")),
                fields: others
                    .map(|(field, after)| change(field, after, before))
                    .collect(),
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
        })
        .collect()
}

fn compared<'a>(fields: &'a Record, before: &'a Record) -> Vec<FieldChange<'a>> {
    fields
        .iter()
        .map(|(field, after)| change(field, after, before))
        .collect()
}

fn change<'a>(field: &'a str, after: &'a Value, before: &'a Record) -> FieldChange<'a> {
    FieldChange {
        field,
        before: before.get(field),
        after: Some(after),
        compares: true,
    }
}
