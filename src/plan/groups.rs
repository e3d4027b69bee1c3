//! Which target group stands for which source group, and what has to change in it.

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};

use unicode_normalization::UnicodeNormalization;

use super::bars::{bar_of_account, bar_of_pair};
use super::base::{Base, GroupLink, Origin};
use super::fields::{FieldEdit, FieldRules, compare};
use super::{
    Blocked, BlockedReason, DesiredGroup, Edit, GroupPair, Inputs, PairIx, PersonIx, Reason, What,
    Withheld,
};
use crate::model::policy::{Adopt, Dynamic, Missing, OnDrift};
use crate::model::{
    Group, GroupKind, GroupStatus, MemberStatus, MembershipState, ObjectKind, Record, Unread,
    Value, Writable,
};

/// What planning the groups led to.
#[derive(Debug, Default)]
pub(super) struct GroupPlan {
    pub(super) pairs: Vec<GroupPair>,
    /// Renames, creations, adoptions and updates, in the order of sending.
    pub(super) edits: Vec<Edit>,
    /// Archiving and deletion, which come last.
    pub(super) removals: Vec<Edit>,
    pub(super) blocked: Vec<Blocked>,
    pub(super) withheld: Vec<Withheld>,
    pub(super) warnings: Vec<String>,
    /// Item keys of fields that somebody changed at the target and that would be overwritten.
    pub(super) overwritten: BTreeSet<String>,
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

/// Reduces a text to what stays readable of it in any encoding, so that one that can't be read can
/// be held against one that can.
fn skeleton(text: &str) -> String {
    let letters = text.nfc().filter(char::is_ascii_alphanumeric);
    letters.map(|letter| letter.to_ascii_lowercase()).collect()
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

/// Lets only those partners pass of which enough is known: whether joining one sends mail shows only
/// on a look at it, and only a linked one needs no fields to be recognised by.
fn readable(partner: Partner<'_>) -> Result<Partner<'_>, (BlockedReason, String)> {
    match &partner {
        Partner::Existing { group, link } => match group.unread {
            Some(unread) if unread == Unread::Details || link.is_none() => Err((
                BlockedReason::IncompleteRead,
                unread_of("target", group, unread),
            )),
            _ => Ok(partner),
        },
        Partner::New => Ok(partner),
    }
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
                        "\"{name}\" is not created, because the config's mapping wants it archived."
                    ));
                    self.pair(group, None, name, false, false);
                }
                Ok(Partner::New) if self.waits("create_group", &name).is_some() => {
                    let words = self.waits("create_group", &name).unwrap_or_default();
                    let detail = format!("its creation was refused: {words}");
                    self.block(&name, Some(&group.id), BlockedReason::ValueRefused, detail);
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

    /// Returns the provider's words where an operation on a group was refused and rests until its
    /// next attempt is due.
    fn waits(&self, op: &str, group: &str) -> Option<String> {
        let key = super::item_key(op, group, "");
        self.inputs.base.waiting.get(&key).cloned()
    }

    fn desired_name(&self, group: &Group, desired: Option<&DesiredGroup>) -> String {
        desired
            .and_then(|desired| desired.fields.get(self.name_field))
            .map_or_else(|| group.name.clone(), Value::to_string)
    }

    fn partner(
        &self,
        group: &Group,
        desired: Option<&DesiredGroup>,
    ) -> Result<Partner<'a>, (BlockedReason, String)> {
        let inputs = self.inputs;
        let link = inputs.base.group_of_source(&group.id);
        let pinned = inputs.policy.groups.pin.get(&group.id);
        if let Some(id) = pinned
            .map(String::as_str)
            .or(link.map(|link| link.target.as_str()))
        {
            let link = link.filter(|link| link.target == id);
            return match inputs.target.group(id) {
                Some(target) => Ok(Partner::Existing {
                    group: target,
                    link,
                }),
                None if inputs.target.groups.complete().is_none()
                    || inputs.policy.target_shared =>
                {
                    Err((
                        BlockedReason::IncompleteRead,
                        format!(
                            "the target group {id} can't be seen, and the list of target groups may not be whole"
                        ),
                    ))
                }
                None => Err((
                    BlockedReason::GoneAtTarget,
                    format!("the target group {id} no longer exists"),
                )),
            };
        }
        if let Some(unread) = group.unread {
            return Err((
                BlockedReason::IncompleteRead,
                unread_of("source", group, unread),
            ));
        }
        if let Some(problem) = desired.and_then(|desired| desired.name_problem.as_ref()) {
            return Err((BlockedReason::ValueRefused, problem.clone()));
        }
        if self.inputs.target.groups.complete().is_none() {
            return Err((
                BlockedReason::IncompleteRead,
                format!(
                    "the list of target groups is not whole: {}",
                    self.inputs.target.groups.why_incomplete().join("; ")
                ),
            ));
        }
        let external_field = inputs
            .target_schema
            .by_canonical(ObjectKind::Group, "external_id")
            .map(|spec| spec.wire);
        let external_id = external_field
            .and_then(|field| desired?.fields.get(field))
            .map(Value::to_string);
        if let Some(candidates) = external_id
            .as_ref()
            .and_then(|id| self.by_external_id.get(id))
        {
            let free: Vec<&&Group> = candidates
                .iter()
                .filter(|group| !self.linked_targets.contains(group.id.as_str()))
                .collect();
            match free.as_slice() {
                [] => {}
                [only] => {
                    return Ok(Partner::Existing {
                        group: only,
                        link: None,
                    });
                }
                several => {
                    let ids: Vec<&str> = several.iter().map(|group| group.id.as_str()).collect();
                    return Err((
                        BlockedReason::TwoCandidates,
                        format!(
                            "the target groups {} carry its external id",
                            ids.join(" and ")
                        ),
                    ));
                }
            }
        }
        let name = self.desired_name(group, desired);
        if let Some(why) = self.may_be_there(&name, external_id.as_deref()) {
            return Err((BlockedReason::IncompleteRead, why));
        }
        let same_name = self
            .by_name
            .get(&fold(&name))
            .map_or(&[][..], Vec::as_slice);
        let free: Vec<&&'a Group> = same_name
            .iter()
            .filter(|group| !self.linked_targets.contains(group.id.as_str()))
            .collect();
        match free.as_slice() {
            [] => Ok(Partner::New),
            [only] if inputs.policy.groups.adopt == Adopt::ByName => Ok(Partner::Existing {
                group: only,
                link: None,
            }),
            [only] => Err((
                BlockedReason::NameTaken,
                format!(
                    "the target group {} has the name already, and `adopt = \"never\"` keeps rosterd from taking it over",
                    only.id
                ),
            )),
            several => {
                let ids: Vec<&str> = several.iter().map(|group| group.id.as_str()).collect();
                Err((
                    BlockedReason::TwoCandidates,
                    format!("the target groups {} have the same name", ids.join(" and ")),
                ))
            }
        }
    }

    /// Looks for a group at the target that may be the one that is wanted, but can't be read well
    /// enough to tell: a second one of its kind could not be undone, and one that only has the name
    /// may be somebody else's.
    fn may_be_there(&self, name: &str, external_id: Option<&str>) -> Option<String> {
        let group = self.hidden.iter().find(|group| {
            let has_name = group.unread.is_some_and(Unread::hides_name)
                && skeleton(&group.name) == skeleton(name);
            let shown_id = group.canonical.get("external_id").and_then(Value::as_text);
            let mut ids = shown_id.zip(external_id).into_iter();
            let has_id = ids.any(|(shown, wanted)| skeleton(shown) == skeleton(wanted));
            !self.linked_targets.contains(group.id.as_str()) && (has_name || has_id)
        })?;
        Some(format!(
            "{}, and may be this group",
            unread_of("target", group, group.unread?)
        ))
    }

    /// Blocks all source groups that found the same partner, or would create the same name: one of
    /// them would win by chance.
    fn refuse_shared_partners(&self, found: &mut [Found<'_, 'a>]) {
        let mut claims: BTreeMap<String, Vec<usize>> = BTreeMap::new();
        for (at, (group, desired, partner)) in found.iter().enumerate() {
            let claim = match partner {
                Ok(Partner::Existing { group: target, .. }) => format!("id {}", target.id),
                Ok(Partner::New) => format!("name {}", fold(&self.desired_name(group, *desired))),
                Err(_) => continue,
            };
            claims.entry(claim).or_default().push(at);
        }
        for rivals in claims.values().filter(|rivals| rivals.len() > 1) {
            // A linked pair is settled; only those who would join it now are refused.
            let settled =
                |at: &usize| matches!(&found[*at].2, Ok(Partner::Existing { link: Some(_), .. }));
            let keep: Vec<usize> = rivals.iter().copied().filter(settled).collect();
            let ids: Vec<String> = rivals.iter().map(|at| found[*at].0.id.clone()).collect();
            for at in rivals {
                if keep.len() == 1 && keep[0] == *at {
                    continue;
                }
                found[*at].2 = Err((
                    BlockedReason::TwoCandidates,
                    format!(
                        "the source groups {} would be the same group at the target",
                        ids.join(" and ")
                    ),
                ));
            }
        }
    }

    fn existing(
        &mut self,
        group: &Group,
        desired: Option<&DesiredGroup>,
        target: &Group,
        link: Option<&GroupLink>,
        renames: &mut Vec<Edit>,
    ) {
        let inputs = self.inputs;
        let asked = self.asked_status(desired);
        let is_archived = target.status == GroupStatus::Archived;
        if is_archived && asked == Some(GroupStatus::Archived) {
            // As wanted; nobody joins or leaves it.
            self.left_alone(group, target, link);
            return;
        }
        // Somebody's archiving is undone only where the config overwrites what people change, and never
        // of a group that the job does not know.
        let restores = is_archived
            && asked == Some(GroupStatus::Active)
            && link.is_some()
            && inputs.policy.guards.on_drift == OnDrift::Overwrite;
        if restores && self.lists_refusers(group, target) {
            self.block(
                &target.name,
                Some(&target.id),
                BlockedReason::TargetRefused,
                "the target group is archived, and some of its members refuse mail or could not be read, so that restoring it would mail them; take them out there, or restore it by hand".to_owned(),
            );
            self.left_alone(group, target, link);
            return;
        }
        let restored = Group {
            status: asked.unwrap_or(target.status),
            ..target.clone()
        };
        let as_wanted = if restores { &restored } else { target };
        if let Some(refusal) = as_wanted.refuses_members() {
            self.block(
                &target.name,
                Some(&target.id),
                BlockedReason::TargetRefused,
                format!("the target group {}", refusal.explain()),
            );
            self.left_alone(group, target, link);
            return;
        }
        if target.auto_response && !inputs.policy.allow_auto_response {
            let detail = "the target group mails everyone who joins it; set `allow_auto_response = true` if that is wanted";
            self.block(
                &target.name,
                Some(&target.id),
                BlockedReason::TargetRefused,
                detail.to_owned(),
            );
            self.left_alone(group, target, link);
            return;
        }
        if target.auto_response {
            self.out.warnings.push(format!(
                "The group \"{}\" mails everyone who joins it.",
                target.name
            ));
        }
        let mut wanted = desired
            .map(|desired| desired.fields.clone())
            .unwrap_or_default();
        self.take_status(&mut wanted);
        self.own_protection(group, Some(target), &mut wanted);
        // Whose fields can't be read has none to compare or to write; its members are as they are.
        let unread = [("source", group), ("target", target)]
            .into_iter()
            .find_map(|(side, group)| Some(unread_of(side, group, group.unread?)));
        let is_read = unread.is_none();
        if let Some(detail) = unread {
            self.block(
                &target.name,
                Some(&target.id),
                BlockedReason::IncompleteRead,
                format!("{detail}; its fields stay as they are until then"),
            );
        }
        // A group whose creation was interrupted is the job's own in every field, and no field of
        // it is remembered.
        let created =
            link.is_some_and(|link| link.origin == Origin::Created && link.fields.is_empty());
        let nothing = BTreeSet::new();
        let rules = FieldRules {
            explicit: inputs.explicit_group_fields,
            on_drift: inputs.policy.guards.on_drift,
            created,
            left_out: desired.map_or(&nothing, |desired| &desired.left_out),
        };
        let unshown = self.unshown(target);
        let current = Self::with_unshown(target, link, &unshown);
        let mut edit = if is_read {
            compare(&wanted, &current, link.map(|link| &link.fields), rules)
        } else {
            FieldEdit::default()
        };
        self.take_status(&mut edit.set);
        if let Some(spec) = inputs
            .target_schema
            .by_canonical(ObjectKind::Group, "protected")
        {
            // A protected flag is never cleared by an update.
            if edit
                .set
                .get(spec.wire)
                .is_some_and(|value| value.as_bool() != Some(true))
            {
                edit.set.remove(spec.wire);
            }
        }
        // What can be given on creation only is what it is; asking for a change would be asked for
        // again in every run.
        let fixed = |field: &str| {
            inputs
                .target_schema
                .by_wire(ObjectKind::Group, field)
                .is_some_and(|spec| spec.writable == Writable::OnCreate)
        };
        edit.set.retain(|field, _| !fixed(field));
        edit.kept
            .retain(|field| !fixed(field) && Some(field.as_str()) != self.status_field());
        edit.set.retain(|field, _| {
            let key = super::item_key("update_group", &target.id, field);
            match inputs.base.waiting.get(&key) {
                None => true,
                Some(words) => {
                    self.out.blocked.push(Blocked {
                        what: What::Group,
                        group: Some(target.name.clone()),
                        member: None,
                        id: Some(target.id.clone()),
                        reason: BlockedReason::ValueRefused,
                        detail: format!("{field} was refused: {words}"),
                    });
                    false
                }
            }
        });
        let op = if edit.set.contains_key(self.name_field) {
            "rename_group"
        } else if link.is_none() {
            "adopt_group"
        } else {
            "update_group"
        };
        if !edit.set.is_empty()
            && let Some(words) = self.waits(op, &target.id)
        {
            self.block(
                &target.name,
                Some(&target.id),
                BlockedReason::ValueRefused,
                format!("a change of it was refused: {words}"),
            );
            edit.set.clear();
        }
        for field in edit
            .overwritten
            .iter()
            .filter(|field| edit.set.contains_key(*field))
        {
            self.out
                .overwritten
                .insert(super::item_key("update_group", &target.id, field));
        }
        for field in &edit.kept {
            self.out.warnings.push(format!(
                "\"{}\": somebody changed {field} at the target; it is kept.",
                target.name
            ));
        }
        if !edit.set.is_empty() {
            // Where an edit replaces the whole, only what is sent with it stays; what is not shown
            // can't be repeated otherwise.
            let refused = |field: &str| {
                inputs.base.waiting.contains_key(&super::item_key(
                    "update_group",
                    &target.id,
                    field,
                ))
            };
            let repeated = unshown.iter().filter(|field| !refused(field));
            let repeated = repeated
                .filter_map(|field| Some(((*field).to_owned(), wanted.get(*field)?.clone())));
            edit.set.extend(repeated.collect::<Vec<_>>());
        }
        if restores && let Some(field) = self.status_field() {
            self.out.warnings.push(format!(
                "\"{}\" is restored, as the config's mapping wants it; the next run fills it.",
                target.name
            ));
            let was = target.wire.get(field).cloned();
            edit.before
                .extend(was.map(|status| (field.to_owned(), status)));
            edit.set.insert(field.to_owned(), Value::from("Active"));
        }
        let new_name = edit.set.get(self.name_field).map(Value::to_string);
        // Archiving comes last: whoever refuses the group meanwhile is opted out there first.
        let archives = !is_archived && asked == Some(GroupStatus::Archived);
        let is_kept =
            group.protected || (target.protected && !link.is_some_and(|link| link.protect_set));
        let pair = self.pair(
            group,
            Some(target.id.clone()),
            new_name.clone().unwrap_or_else(|| target.name.clone()),
            link.is_some(),
            !restores,
        );
        if !archives {
            // As it is.
        } else if inputs.base.groups_of_others.contains(&target.id) {
            self.out.warnings.push(format!(
                "\"{}\" is not archived as the config's mapping wants it, because another job fills it.",
                target.name
            ));
        } else if let Some(words) = self.waits("archive_group", &target.id) {
            self.block(
                &target.name,
                Some(&target.id),
                BlockedReason::ValueRefused,
                format!("its archiving was refused: {words}"),
            );
        } else if is_kept {
            self.out.withheld.push(Withheld {
                pair,
                member: None,
                reason: Reason::Protected,
            });
        } else {
            self.out.removals.push(Edit::ArchiveGroup {
                pair,
                lift_protection: target.protected,
            });
        }
        match new_name {
            Some(to) => {
                renames.push(Edit::RenameGroup {
                    pair,
                    from: target.name.clone(),
                    to,
                    via: None,
                    fields: edit.set,
                    before: edit.before,
                });
            }
            None if link.is_none() => self.out.edits.push(Edit::AdoptGroup {
                pair,
                fields: edit.set,
            }),
            None if !edit.set.is_empty() => self.out.edits.push(Edit::UpdateGroup {
                pair,
                fields: edit.set,
                before: edit.before,
            }),
            None => {}
        }
    }

    /// Returns the target's field for the status of a group, where that can be written.
    fn status_field(&self) -> Option<&'static str> {
        let schema = self.inputs.target_schema;
        let spec = schema.by_canonical(ObjectKind::Group, "status")?;
        (spec.writable == Writable::Always).then_some(spec.wire)
    }

    /// Returns the status that the config's mapping wants a group to have; nothing where the config
    /// says nothing of it.
    fn asked_status(&self, desired: Option<&DesiredGroup>) -> Option<GroupStatus> {
        let word = desired?.fields.get(self.status_field()?)?.to_string();
        Some(if word.trim().eq_ignore_ascii_case("archived") {
            GroupStatus::Archived
        } else {
            GroupStatus::Active
        })
    }

    /// Tells whether a target group lists somebody as active who refuses mail, or may do so unseen.
    fn lists_refusers(&self, group: &Group, target: &Group) -> bool {
        let inputs = self.inputs;
        let Some(listing) = inputs.target.listing(&target.id) else {
            // Before anything is read, it is only asked which groups are to be read.
            return !inputs.people.is_empty();
        };
        let pair = GroupPair {
            source: Some(group.id.clone()),
            target: Some(target.id.clone()),
            name: target.name.clone(),
            source_name: group.name.clone(),
            linked: true,
            writable: false,
        };
        let shown = inputs.source.listing(&group.id);
        let whole = listing.complete().is_some()
            && shown.is_some_and(|shown| shown.complete().is_some())
            && inputs.source.account_state.complete().is_some();
        let refuses = |person: PersonIx| {
            let row = inputs.people.get(person);
            let mut records = inputs.people.sources(person).iter();
            let refuses_group = |at: &u32| {
                shown.is_some_and(|shown| {
                    shown.seen().state_of(*at) == Some(MembershipState::OptedOut)
                })
            };
            row.source_status == MemberStatus::OptedOut
                || row.refused_by_address
                || records.any(refuses_group)
                || bar_of_account(inputs, person).is_some()
                || bar_of_pair(inputs, person, &pair).is_some()
        };
        let active = listing.seen().rows.iter();
        let mut active = active.filter(|row| row.state == MembershipState::Active);
        !whole
            || active.any(|row| {
                let person = inputs.people.of_target(row.member);
                person.is_some_and(refuses)
            })
    }

    /// Takes the status out of a group's wanted fields: archiving and restoring are decided apart.
    fn take_status(&self, fields: &mut Record) {
        if let Some(field) = self.status_field() {
            fields.remove(field);
        }
    }

    /// Names the fields that a reading of a target group leaves out without saying that they are
    /// not set.
    fn unshown(&self, target: &Group) -> Vec<&'static str> {
        let fields = self
            .inputs
            .target_schema
            .groups
            .iter()
            .filter(|field| field.may_be_unshown);
        fields
            .map(|field| field.wire)
            .filter(|wire| !target.wire.contains_key(*wire))
            .collect()
    }

    /// Returns what a target group holds, with what is remembered in the place of what no reading
    /// shows.
    fn with_unshown(target: &Group, link: Option<&GroupLink>, unshown: &[&'static str]) -> Record {
        let mut current = target.wire.clone();
        for field in unshown {
            let remembered = link
                .and_then(|link| link.fields.get(*field))
                .and_then(|then| then.target.clone());
            current.extend(remembered.map(|value| ((*field).to_owned(), value)));
        }
        current
    }

    /// Sets the protected flag where the source or the config asks for it, and never asks for its
    /// absence.
    fn own_protection(&self, source: &Group, target: Option<&Group>, fields: &mut Record) {
        let Some(spec) = self
            .inputs
            .target_schema
            .by_canonical(ObjectKind::Group, "protected")
        else {
            return;
        };
        let mapped = fields
            .remove(spec.wire)
            .and_then(|value| value.as_bool())
            .unwrap_or(false);
        let wanted =
            mapped || source.protected || (target.is_none() && self.inputs.policy.groups.protect);
        if wanted && !target.is_some_and(|target| target.protected) {
            fields.insert(spec.wire.to_owned(), Value::Boolean(true));
        }
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
        });
    }

    /// Orders renames so that each name is free when it is taken; one group of a ring steps aside
    /// for a moment.
    fn order_renames(&mut self, mut pending: Vec<Edit>) {
        let mut held: HashMap<String, String> = HashMap::new();
        if self.names_unique {
            for group in self.inputs.target.groups.seen() {
                held.insert(fold(&group.name), group.id.clone());
            }
        }
        // Two groups that want one name are both left alone: which of them got it would be chance.
        let mut wishes: HashMap<String, usize> = HashMap::new();
        for edit in &pending {
            *wishes.entry(fold(&self.rename_of(edit).2)).or_default() += 1;
        }
        let (rivals, mut pending): (Vec<Edit>, Vec<Edit>) = pending
            .drain(..)
            .partition(|edit| self.names_unique && wishes[&fold(&self.rename_of(edit).2)] > 1);
        for edit in rivals {
            self.give_up_rename(edit);
        }
        // Whoever wants a name of a group that stays can't be helped; dropping one may doom the
        // next.
        loop {
            let leaving: HashSet<String> =
                pending.iter().map(|edit| self.rename_of(edit).0).collect();
            let doomed = pending.iter().position(|edit| {
                let (id, _, to) = self.rename_of(edit);
                held.get(&fold(&to))
                    .is_some_and(|owner| *owner != id && !leaving.contains(owner))
            });
            let Some(at) = doomed else { break };
            self.give_up_rename(pending.remove(at));
        }
        let mut ordered = Vec::new();
        while !pending.is_empty() {
            let free = pending.iter().position(|edit| {
                let (id, _, to) = self.rename_of(edit);
                held.get(&fold(&to)).is_none_or(|owner| *owner == id)
            });
            let mut edit = pending.remove(free.unwrap_or(0));
            let (id, from, to) = self.rename_of(&edit);
            held.remove(&fold(&from));
            if free.is_none() {
                let mut aside = format!("{to} (renaming)");
                while held.contains_key(&fold(&aside)) {
                    aside.push('*');
                }
                if let Edit::RenameGroup { via, .. } = &mut edit {
                    *via = Some(aside);
                }
                ordered.push(edit);
                continue;
            }
            held.insert(fold(&to), id);
            ordered.push(edit);
        }
        // Renames come before creations, which may want a name that becomes free.
        ordered.append(&mut self.out.edits);
        self.out.edits = ordered;
    }

    fn rename_of(&self, edit: &Edit) -> (String, String, String) {
        match edit {
            Edit::RenameGroup { pair, from, to, .. } => {
                let id = self.out.pairs[pair.0 as usize]
                    .target
                    .clone()
                    .unwrap_or_default();
                (id, from.clone(), to.clone())
            }
            _ => (String::new(), String::new(), String::new()),
        }
    }

    /// Leaves a name as it is because another group keeps the wanted one; the other fields still
    /// change.
    fn give_up_rename(&mut self, edit: Edit) {
        let Edit::RenameGroup {
            pair,
            from,
            to,
            mut fields,
            mut before,
            ..
        } = edit
        else {
            return;
        };
        let target = self.out.pairs[pair.0 as usize].target.clone();
        self.block(
            &from,
            target.as_deref(),
            BlockedReason::NameTaken,
            format!("another target group is named \"{to}\""),
        );
        from.clone_into(&mut self.out.pairs[pair.0 as usize].name);
        fields.remove(self.name_field);
        before.remove(self.name_field);
        if !fields.is_empty() {
            self.out.edits.push(Edit::UpdateGroup {
                pair,
                fields,
                before,
            });
        }
    }

    /// Blocks creations whose name a group keeps that is linked to another source group.
    fn check_new_names(&mut self) {
        if !self.names_unique {
            return;
        }
        let mut held: HashSet<String> = self
            .inputs
            .target
            .groups
            .seen()
            .iter()
            .map(|group| fold(&group.name))
            .collect();
        for edit in &self.out.edits {
            if let Edit::RenameGroup { from, .. } = edit {
                held.remove(&fold(from));
            }
        }
        for edit in &self.out.edits {
            if let Edit::RenameGroup { to, .. } = edit {
                held.insert(fold(to));
            }
        }
        let edits = std::mem::take(&mut self.out.edits);
        for edit in edits {
            let taken = match &edit {
                Edit::CreateGroup { pair, .. } => held
                    .contains(&fold(&self.out.pairs[pair.0 as usize].name))
                    .then_some(*pair),
                _ => None,
            };
            match taken {
                None => self.out.edits.push(edit),
                Some(pair) => {
                    let entry = &mut self.out.pairs[pair.0 as usize];
                    entry.writable = false;
                    let (name, id) = (entry.name.clone(), entry.source.clone());
                    let detail = "a target group that belongs to another source group has the name"
                        .to_owned();
                    self.block(&name, id.as_deref(), BlockedReason::NameTaken, detail);
                }
            }
        }
    }

    /// Freezes pairs whose source left the scope, and treats those whose source is gone as the
    /// config says.
    fn left_behind(&mut self, source_groups: &[&Group], covered: &[&Group]) {
        let inputs = self.inputs;
        let present: HashSet<&str> = source_groups
            .iter()
            .map(|group| group.id.as_str())
            .collect();
        let active: HashSet<&str> = covered.iter().map(|group| group.id.as_str()).collect();
        let trustworthy = inputs.source.groups.complete().is_some() && !inputs.policy.source_shared;
        let mut links: Vec<&GroupLink> = inputs
            .base
            .groups
            .iter()
            .filter(|link| !active.contains(link.source.as_str()))
            .collect();
        links.sort_by(|left, right| left.source.cmp(&right.source));
        for link in links {
            let target = inputs.target.group(&link.target);
            let name = target.map_or_else(|| link.name.clone(), |group| group.name.clone());
            let pair = PairIx(self.out.pairs.len() as u32);
            self.out.pairs.push(GroupPair {
                source: present
                    .contains(link.source.as_str())
                    .then(|| link.source.clone()),
                target: Some(link.target.clone()),
                name: name.clone(),
                source_name: link.name.clone(),
                linked: true,
                writable: false,
            });
            if present.contains(link.source.as_str()) {
                continue;
            }
            // The config or a hand gave the group to another source group, which fills it from now
            // on.
            let pins = &inputs.policy.groups.pin;
            let pinned = pins
                .iter()
                .any(|(source, target)| *target == link.target && *source != link.source);
            let taken = self.out.pairs[..pair.0 as usize]
                .iter()
                .any(|other| other.source.is_some() && other.target.as_ref() == Some(&link.target));
            if pinned || taken {
                self.out.warnings.push(format!(
                    "The source group of \"{name}\" is gone; another one of this job fills the group, so it is kept."
                ));
                continue;
            }
            if !trustworthy {
                self.out.warnings.push(format!(
                    "The source group of \"{name}\" can't be seen; nothing is concluded from that."
                ));
                continue;
            }
            let Some(target) = target else { continue };
            // The group that takes whoever leaves another one outlives every source.
            let is_parking = inputs.policy.parking_group.as_deref() == Some(link.target.as_str());
            let missing = if is_parking {
                Missing::Keep
            } else {
                inputs.policy.groups.missing
            };
            if missing == Missing::Keep {
                self.out.warnings.push(format!(
                    "The source group of \"{name}\" is gone; the group is kept with its members."
                ));
                continue;
            }
            if let Some(unread) = target.unread {
                // Whether it is protected may be what can't be seen.
                let detail = unread_of("target", target, unread);
                self.block(
                    &name,
                    Some(&link.target),
                    BlockedReason::IncompleteRead,
                    detail,
                );
                continue;
            }
            if target.protected && !link.protect_set {
                self.out.withheld.push(Withheld {
                    pair,
                    member: None,
                    reason: Reason::Protected,
                });
                continue;
            }
            if inputs.base.groups_of_others.contains(&link.target) {
                self.out.warnings.push(format!("The source group of \"{name}\" is gone; another job fills the group, so it is kept."));
                continue;
            }
            let op = if missing == Missing::Archive {
                "archive_group"
            } else {
                "delete_group"
            };
            if let Some(words) = self.waits(op, &link.target) {
                let detail = format!("what the config asks for was refused: {words}");
                self.block(
                    &name,
                    Some(&link.target),
                    BlockedReason::ValueRefused,
                    detail,
                );
                continue;
            }
            let lift_protection = target.protected;
            match missing {
                Missing::Archive if target.status == GroupStatus::Archived => {}
                Missing::Archive => self.out.removals.push(Edit::ArchiveGroup {
                    pair,
                    lift_protection,
                }),
                Missing::Delete => self.out.removals.push(Edit::DeleteGroup {
                    pair,
                    lift_protection,
                }),
                Missing::Keep => {}
            }
        }
    }
}

/// Names the target groups whose members planning needs: the partners of source groups, as far as
/// they are known.
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
    plan_groups(inputs)
        .pairs
        .into_iter()
        .filter(|pair| pair.source.is_some())
        .filter_map(|pair| pair.target)
        .collect()
}
