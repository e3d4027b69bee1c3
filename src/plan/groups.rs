//! Which target group stands for which source group, and what has to change in it.
//!
//! A partner is found (`partner`), what it holds is compared with what mapping asks for
//! (`existing`), renames are put in order (`renames`), and those whose source is gone are treated as
//! the config says (`gone`).

mod existing;
mod gone;
mod partner;
mod renames;

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};

use unicode_normalization::UnicodeNormalization;

use partner::readable;

use super::base::{Base, GroupLink, Resting};
use super::{
    Blocked, BlockedReason, ChangedOutside, DesiredGroup, Edit, GroupPair, Inputs, PairIx, What,
    Withheld,
};
use crate::model::in_quotes;
use crate::model::policy::Dynamic;
use crate::model::{Group, GroupKind, GroupStatus, ObjectKind, Unread, Value};

/// What planning the groups led to.
#[derive(Debug, Default)]
pub(super) struct GroupPlan {
    pub(super) pairs: Vec<GroupPair>,
    /// Renames, creations, adoptions and updates, in the order of sending.
    pub(super) edits: Vec<Edit>,
    /// Archiving and deletion, which come last.
    pub(super) removals: Vec<Edit>,
    /// Of pairs of which a change was refused and rests until its next attempt, the fields of that
    /// change.
    pub(super) resting: BTreeMap<PairIx, BTreeSet<String>>,
    pub(super) blocked: Vec<Blocked>,
    pub(super) withheld: Vec<Withheld>,
    pub(super) warnings: Vec<String>,
    /// Item keys of fields that somebody changed at the target and that would be overwritten.
    pub(super) overwritten: BTreeSet<String>,
    /// The same, and what is kept, with the values.
    pub(super) changed_outside: Vec<ChangedOutside>,
}

/// Tells whether a job covers a source group today.
pub fn in_scope(scope: &crate::model::policy::GroupScope, group: &Group) -> bool {
    scope.covers(&group.id, &group.name, group.kind == GroupKind::BuiltIn)
        && group.status == GroupStatus::Active
        && group.kind != GroupKind::Parking
        && (group.kind != GroupKind::Dynamic || scope.dynamic == Dynamic::Snapshot)
}

/// Gives groups whose names can't be read the names that their links remember: what is linked is
/// known by its id, and stays in the scope where it was.
pub fn name_by_links(groups: &mut [Group], base: &Base) {
    let hidden = |group: &&mut Group| group.unread.is_some_and(Unread::hides_name);
    for group in groups.iter_mut().filter(hidden) {
        // A pair that somebody has just linked by hand knows no name yet.
        if let Some(link) = base.group_of_source(&group.id)
            && !link.name.is_empty()
        {
            group.name.clone_from(&link.name);
        }
    }
}

/// Folds a name for comparison: trimmed and with single blanks, as GreenRope keeps it,
/// Unicode-normalised, lower-cased.
pub(crate) fn fold(name: &str) -> String {
    let words: Vec<&str> = name.split_whitespace().collect();
    words
        .join(" ")
        .nfc()
        .collect::<String>()
        .to_lowercase()
        .nfc()
        .collect()
}

enum Partner<'a> {
    Existing {
        group: &'a Group,
        link: Option<&'a GroupLink>,
    },
    New,
}

/// A source group, what mapping made of it, and its partner or why it has none.
type Found<'s, 'a> = (
    &'s Group,
    Option<&'s DesiredGroup>,
    Result<Partner<'a>, (BlockedReason, String)>,
);

struct Planner<'a> {
    inputs: &'a Inputs<'a>,
    out: GroupPlan,
    name_field: &'static str,
    names_unique: bool,
    /// Target groups by folded name.
    by_name: HashMap<String, Vec<&'a Group>>,
    /// Target groups by external id.
    by_external_id: HashMap<String, Vec<&'a Group>>,
    /// Target groups that are not read in full; by a text that can't be read, one may be recognised.
    hidden: Vec<&'a Group>,
    linked_targets: HashSet<&'a str>,
}

/// Plans the groups of a job.
pub(super) fn plan_groups(inputs: &Inputs<'_>) -> GroupPlan {
    let schema = inputs.target_schema;
    let name_spec = schema.by_canonical(ObjectKind::Group, "name");
    let mut by_name: HashMap<String, Vec<&Group>> = HashMap::new();
    let mut by_external_id: HashMap<String, Vec<&Group>> = HashMap::new();
    let mut hidden = Vec::new();
    for group in inputs.target.groups.seen() {
        if group.unread.is_some() {
            hidden.push(group);
        }
        // A guess takes the name of no other.
        if !group.unread.is_some_and(Unread::hides_name) {
            by_name.entry(fold(&group.name)).or_default().push(group);
        }
        if let Some(id) = group.canonical.get("external_id").and_then(Value::as_text) {
            by_external_id.entry(id.to_owned()).or_default().push(group);
        }
    }
    let linked_targets = inputs
        .base
        .groups
        .iter()
        .map(|link| link.target.as_str())
        .chain(inputs.policy.groups.pin.values().map(String::as_str));
    let mut planner = Planner {
        inputs,
        out: GroupPlan::default(),
        name_field: name_spec.map_or("name", |spec| spec.wire),
        names_unique: name_spec.is_some_and(|spec| spec.unique),
        by_name,
        by_external_id,
        hidden,
        linked_targets: linked_targets.collect(),
    };
    planner.run();
    planner.out
}

/// Says what of a group could not be read.
fn unread_of(side: &str, group: &Group, unread: Unread) -> String {
    format!("the {side} group {} {}", group.id, unread.explain())
}

impl<'a> Planner<'a> {
    fn run(&mut self) {
        let inputs = self.inputs;
        let scope = &inputs.policy.groups;
        let source_groups: Vec<&Group> = inputs.source.groups.seen().iter().collect();
        let covered: Vec<&Group> = source_groups
            .iter()
            .copied()
            .filter(|group| in_scope(scope, group))
            .collect();

        let mut found: Vec<Found<'_, 'a>> = covered
            .iter()
            .map(|group| {
                let desired = inputs.desired.get(&group.id);
                let partner = self.partner(group, desired).and_then(readable);
                (*group, desired, partner)
            })
            .collect();
        self.refuse_shared_partners(&mut found);
        self.name_doubtful(&source_groups);

        let mut renames = Vec::new();
        for (group, desired, partner) in found {
            let name = self.desired_name(group, desired);
            match partner {
                Err((reason, detail)) => {
                    self.block(&name, Some(&group.id), reason, detail);
                    let link = inputs.base.group_of_source(&group.id);
                    self.pair(
                        group,
                        link.map(|link| link.target.clone()),
                        name,
                        link.is_some(),
                        false,
                    );
                }
                Ok(Partner::New) if self.asked_status(desired) == Some(GroupStatus::Archived) => {
                    self.out.warnings.push(format!(
                        "{} is not created, because the config's mapping wants it archived.",
                        in_quotes(&name)
                    ));
                    self.pair(group, None, name, false, false);
                }
                Ok(Partner::New) if let Some(resting) = self.rests("create_group", &name) => {
                    self.rest(&name, &group.id, "its creation was refused", &resting);
                    self.pair(group, None, name, false, false);
                }
                Ok(Partner::New) => {
                    let pair = self.pair(group, None, name, false, true);
                    let mut fields = desired
                        .map(|desired| desired.defaults.clone())
                        .unwrap_or_default();
                    fields.extend(
                        desired
                            .map(|desired| desired.fields.clone())
                            .unwrap_or_default(),
                    );
                    self.take_status(&mut fields);
                    self.own_protection(group, None, &mut fields);
                    self.out.edits.push(Edit::CreateGroup { pair, fields });
                }
                Ok(Partner::Existing {
                    group: target,
                    link,
                }) => self.existing(group, desired, target, link, &mut renames),
            }
        }
        self.order_renames(renames);
        self.check_new_names();
        self.left_behind(&source_groups, &covered);
    }

    /// Names the source groups that the job may be meant to cover, had they a name that can be read.
    fn name_doubtful(&mut self, source_groups: &[&Group]) {
        let inputs = self.inputs;
        let scope = &inputs.policy.groups;
        for group in source_groups {
            let Some(unread) = group.unread.filter(|unread| unread.hides_name()) else {
                continue;
            };
            let link = inputs.base.group_of_source(&group.id);
            let known = in_scope(scope, group) || link.is_some_and(|link| !link.name.is_empty());
            let counts = group.kind == GroupKind::Static && group.status == GroupStatus::Active;
            if !known && counts && scope.may_cover(&group.id) {
                let detail = format!(
                    "{}, so that nobody can tell whether the job covers it",
                    unread_of("source", group, unread)
                );
                self.block(
                    &group.name,
                    Some(&group.id),
                    BlockedReason::IncompleteRead,
                    detail,
                );
            }
        }
    }

    /// Returns what is known of an operation on a group that was refused and rests until its next
    /// attempt is due.
    fn rests(&self, op: &str, group: &str) -> Option<Resting> {
        let key = super::item_key(op, group, "");
        self.inputs.base.resting.get(&key).cloned()
    }

    fn desired_name(&self, group: &Group, desired: Option<&DesiredGroup>) -> String {
        desired
            .and_then(|desired| desired.fields.get(self.name_field))
            .map_or_else(|| group.name.clone(), Value::to_string)
    }

    fn pair(
        &mut self,
        source: &Group,
        target: Option<String>,
        name: String,
        linked: bool,
        writable: bool,
    ) -> PairIx {
        let pair = PairIx(self.out.pairs.len() as u32);
        self.out.pairs.push(GroupPair {
            source: Some(source.id.clone()),
            target,
            name,
            source_name: source.name.clone(),
            linked,
            writable,
        });
        pair
    }

    /// Takes down a pair whose members nobody writes.
    fn left_alone(&mut self, source: &Group, target: &Group, link: Option<&GroupLink>) {
        let (id, name) = (target.id.clone(), target.name.clone());
        self.pair(source, Some(id), name, link.is_some(), false);
    }

    fn block(&mut self, name: &str, id: Option<&str>, reason: BlockedReason, detail: String) {
        self.out.blocked.push(Blocked {
            what: What::Group,
            group: Some(name.to_owned()),
            member: None,
            id: id.map(str::to_owned),
            reason,
            detail,
            rests: None,
        });
    }

    /// Shows what the provider refused and what rests until its next attempt; `what` leads the
    /// provider's words.
    fn rest(&mut self, name: &str, id: &str, what: &str, resting: &Resting) {
        let blocked = Blocked {
            what: What::Group,
            group: Some(name.to_owned()),
            member: None,
            id: Some(id.to_owned()),
            reason: BlockedReason::ValueRefused,
            detail: format!("{what}: {}", resting.words),
            rests: None,
        };
        self.out.blocked.push(blocked.resting(resting));
    }
}

/// Names the target groups whose members planning needs: the partners of source groups, as far as
/// they are known, and those that are to be deleted.
///
/// Where joining a group is leaving another, they are all groups that the login sees.
pub fn partners(inputs: &Inputs<'_>) -> BTreeSet<String> {
    if inputs.capabilities.one_group_per_member {
        return inputs
            .target
            .groups
            .seen()
            .iter()
            .map(|group| group.id.clone())
            .collect();
    }
    let found = plan_groups(inputs);
    let deleted = found.removals.iter().filter_map(|edit| match edit {
        Edit::DeleteGroup { pair, .. } => Some(*pair),
        _ => None,
    });
    let deleted: BTreeSet<PairIx> = deleted.collect();
    let pairs = found
        .pairs
        .into_iter()
        .zip(0..)
        .map(|(pair, at)| (pair, PairIx(at)));
    pairs
        .filter(|(pair, ix)| pair.source.is_some() || deleted.contains(ix))
        .filter_map(|(pair, _)| pair.target)
        .collect()
}
