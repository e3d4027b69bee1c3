//! What has to change in a target group that is there.

use crate::model::in_quotes;
use std::collections::BTreeSet;

use super::{Planner, unread_of};
use crate::model::policy::OnDrift;
use crate::model::{
    Group, GroupStatus, LeftAlone, MemberStatus, MembershipState, ObjectKind, Record,
    TargetRefusal, Value, Writable,
};
use crate::plan::bars::{bar_of_account, bar_of_pair};
use crate::plan::base::{GroupLink, Origin};
use crate::plan::fields::{Drifted, FieldEdit, FieldRules, compare, same};
use crate::plan::{
    BlockedReason, ChangedOutside, DesiredGroup, Edit, GroupPair, Outside, PersonIx, Reason,
    Withheld, item_key,
};

impl Planner<'_> {
    pub(super) fn existing(
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
                self.refused_words(group, target, refusal),
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
                "The group {} mails everyone who joins it.",
                in_quotes(&target.name)
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
        let nothing = LeftAlone::default();
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
            .retain(|kept| !fixed(&kept.field) && Some(kept.field.as_str()) != self.status_field());
        let op = if edit.set.contains_key(self.name_field) {
            "rename_group"
        } else if link.is_none() {
            "adopt_group"
        } else {
            "update_group"
        };
        // A group that was linked while the change that came with its adoption rests is updated.
        let rests = || {
            self.rests(op, &target.id).or_else(|| {
                let links = self.rests("adopt_group", &target.id);
                links.filter(|_| op == "update_group")
            })
        };
        let resting = (restores || !edit.set.is_empty()).then(rests).flatten();
        let mut refused = BTreeSet::new();
        if let Some(resting) = &resting {
            let what = "a change of it was refused";
            self.rest(&target.name, &target.id, what, resting);
            let fields = std::mem::take(&mut edit.set).into_keys();
            refused.extend(fields.map(String::from));
        }
        edit.overwritten
            .retain(|drifted| edit.set.contains_key(drifted.field.as_str()));
        for drifted in &edit.overwritten {
            self.out
                .overwritten
                .insert(item_key("update_group", &target.id, &drifted.field));
        }
        for Drifted { field, .. } in &edit.kept {
            self.out.warnings.push(format!(
                "{}: somebody changed {field} at the target; it is kept.",
                in_quotes(&target.name)
            ));
        }
        if !edit.set.is_empty() {
            // Where an edit replaces the whole, only what is sent with it stays; what is not shown
            // can't be repeated otherwise.
            let repeated = unshown
                .iter()
                .filter_map(|field| Some(((*field).into(), wanted.get(*field)?.clone())));
            edit.set.extend(repeated.collect::<Vec<_>>());
        }
        if restores
            && resting.is_none()
            && let Some(field) = self.status_field()
        {
            self.out.warnings.push(format!(
                "{} is restored, as the config's mapping wants it; the next run fills it.",
                in_quotes(&target.name)
            ));
            let was = target.wire.get(field).cloned();
            edit.before.extend(was.map(|status| (field.into(), status)));
            edit.set.insert(field.into(), Value::from("Active"));
            edit.overwritten
                .extend(archived_outside(target, link, field));
        }
        edit.before
            .retain(|field, _| edit.set.contains_key(field.as_str()));
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
        if !refused.is_empty() {
            self.out.resting.insert(pair, refused);
        }
        let drifted = std::mem::take(&mut edit.overwritten).into_iter();
        let drifted = drifted.chain(std::mem::take(&mut edit.kept));
        let fate = inputs.policy.guards.on_drift;
        self.out
            .changed_outside
            .extend(drifted.map(|drifted| ChangedOutside {
                what: Outside::Group(pair, drifted.field),
                base: drifted.base,
                now: drifted.now,
                wanted: drifted.wanted,
                fate,
            }));
        if !archives {
            // As it is.
        } else if inputs.base.groups_of_others.contains(&target.id) {
            self.out.warnings.push(format!(
                "{} is not archived as the config's mapping wants it, because another job fills it.",
                in_quotes(&target.name)
            ));
        } else if let Some(resting) = self.rests("archive_group", &target.id) {
            let what = "its archiving was refused";
            self.rest(&target.name, &target.id, what, &resting);
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
                before: edit.before,
            }),
            None if !edit.set.is_empty() => self.out.edits.push(Edit::UpdateGroup {
                pair,
                fields: edit.set,
                before: edit.before,
            }),
            None => {}
        }
    }

    /// Says why a group takes nobody, and of one that an undo has archived how the job gets on.
    fn refused_words(&self, group: &Group, target: &Group, refusal: TargetRefusal) -> String {
        let inputs = self.inputs;
        if refusal != TargetRefusal::Archived || !inputs.base.put_away.contains(&target.id) {
            return format!("the target group {}", refusal.explain());
        }
        format!(
            "the target group {} was archived by an undo: set it active at {:?} to have the job fill it again, or keep its source group out of the job with `exclude = [\"id:{}\"]` under `[jobs.{}.groups]`",
            target.id, inputs.policy.target, group.id, inputs.policy.job
        )
    }

    /// Returns the target's field for the status of a group, where that can be written.
    fn status_field(&self) -> Option<&'static str> {
        let schema = self.inputs.target_schema;
        let spec = schema.by_canonical(ObjectKind::Group, "status")?;
        (spec.writable == Writable::Always).then_some(spec.wire)
    }

    /// Returns the status that the config's mapping wants a group to have; nothing where the config
    /// says nothing of it.
    pub(super) fn asked_status(&self, desired: Option<&DesiredGroup>) -> Option<GroupStatus> {
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
    pub(super) fn take_status(&self, fields: &mut Record) {
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
            current.extend(remembered.map(|value| ((*field).into(), value)));
        }
        current
    }

    /// Sets the protected flag where the source or the config asks for it, and never asks for its
    /// absence.
    pub(super) fn own_protection(
        &self,
        source: &Group,
        target: Option<&Group>,
        fields: &mut Record,
    ) {
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
            fields.insert(spec.wire.into(), Value::Boolean(true));
        }
    }
}

/// Tells whether it was active when the last run ended that a group is archived now.
fn archived_outside(target: &Group, link: Option<&GroupLink>, field: &str) -> Option<Drifted> {
    let now = target.wire.get(field).cloned();
    let base = link?.fields.get(field)?.target.clone();
    (!same(base.as_ref(), now.as_ref())).then(|| Drifted {
        field: field.to_owned(),
        base,
        now,
        wanted: Some(Value::from("Active")),
    })
}
