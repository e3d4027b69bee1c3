//! What is remembered of a group that was created, adopted or edited.

use super::Confirming;
use crate::model::{ObjectKind, Record, Value};
use crate::plan::base::{GroupLink, Origin};
use crate::plan::fields::same;
use crate::plan::{GroupPair, PairIx};
use crate::run::settle::bases::{agree_on, bases_of, keep_known, keep_unmade};
use crate::run::settle::group::linked;
use crate::state::Change;

impl Confirming<'_> {
    pub(in crate::run) fn link_of(&self, pair: PairIx) -> Option<&GroupLink> {
        let pair = self.known.plan.pair(pair);
        self.known
            .base
            .groups
            .iter()
            .find(|link| Some(&link.target) == pair.target.as_ref())
    }

    /// Links a group, with what the source asks for and what the target now holds as its base.
    pub(in crate::run) fn group_linked(
        &self,
        ix: PairIx,
        id: &str,
        origin: Origin,
        written: &Record,
    ) -> Vec<Change> {
        let plan = self.known.plan;
        let pair: &GroupPair = plan.pair(ix);
        let Some(source) = pair.source.clone() else {
            return Vec::new();
        };
        let current = self
            .known
            .sides
            .target
            .group(id)
            .map(|group| group.wire.clone())
            .unwrap_or_default();
        let desired = self
            .known
            .desired
            .get(&source)
            .map(|desired| desired.fields.clone())
            .unwrap_or_default();
        let mut fields = bases_of(&desired, &current);
        // What is to be filled and was refused is seen for the first time once more.
        let refused = &plan.agreement.resting_groups;
        for field in refused.get(&ix).into_iter().flatten() {
            fields.remove(field.as_str());
        }
        for (field, value) in written {
            let then = fields.entry(field.clone()).or_default();
            then.target = Some(value.clone());
        }
        let shown = self.known.sides.source.group(&source);
        let link = GroupLink {
            source: source.clone(),
            target: id.to_owned(),
            origin,
            protect_set: false,
            name: pair.source_name.clone(),
            fields,
        };
        let shown = shown.is_some_and(|group| group.protected);
        let mut changes = linked(self.known.job, self.known.schema, link, shown);
        changes.extend(self.carried_of_group(&source, id));
        changes
    }

    pub(super) fn group_edited(&self, ix: PairIx, fields: &Record, op: &str) -> Vec<Change> {
        let pair = self.known.plan.pair(ix);
        let (Some(source), Some(target)) = (&pair.source, &pair.target) else {
            return Vec::new();
        };
        if self.known.undoes && op == "archive_group" {
            // It is the job's no more: what the source asks for is made anew.
            return vec![
                Change::UnlinkGroup {
                    job: self.known.job.name.clone(),
                    source: source.clone(),
                },
                Change::GroupPutAway {
                    account: self.known.job.target_account.clone(),
                    group: target.clone(),
                },
            ];
        }
        if op == "adopt_group" || self.link_of(ix).is_none() {
            return self.group_linked(ix, target, self.origin_of_adoption(source), fields);
        }
        self.group_base(source, target, fields, &pair.source_name)
    }

    pub(in crate::run) fn origin_of_adoption(&self, source: &str) -> Origin {
        if self.known.job.groups.pin.contains_key(source) {
            Origin::Pinned
        } else {
            Origin::Adopted
        }
    }

    /// Remembers the fields of a linked group, with what was just written.
    pub(in crate::run) fn group_base(
        &self,
        source: &str,
        target: &str,
        written: &Record,
        name: &str,
    ) -> Vec<Change> {
        let sides = &self.known.sides;
        let shown = [sides.source.group(source), sides.target.group(target)];
        if shown
            .into_iter()
            .flatten()
            .any(|group| group.unread.is_some())
        {
            // What was agreed last stays agreed while one side's fields can't be read.
            return Vec::new();
        }
        let current = self
            .known
            .sides
            .target
            .group(target)
            .map(|group| group.wire.clone())
            .unwrap_or_default();
        let desired = self.known.desired.get(source).cloned().unwrap_or_default();
        let known = self
            .known
            .base
            .group_of_source(source)
            .map(|link| link.fields.clone())
            .unwrap_or_default();
        let mut fields = bases_of(&desired.fields, &current);
        keep_unmade(&mut fields, &known, written);
        // What was refused and rests is as it was known, or not known at all, emptied fields included.
        let plan = self.known.plan;
        let mut resting = plan.agreement.resting_groups.iter();
        let resting = resting.find(|(ix, _)| plan.pair(**ix).source.as_deref() == Some(source));
        let resting: Vec<_> = resting
            .into_iter()
            .flat_map(|(_, refused)| refused)
            .map(|field| (field.clone(), known.get(field.as_str()).cloned()))
            .collect();
        keep_known(&mut fields, known, written, &desired.left_out);
        for (field, then) in resting {
            match then {
                Some(then) => drop(fields.insert(field.into(), then)),
                None => drop(fields.remove(field.as_str())),
            }
        }
        let name_field = self.known.schema.by_canonical(ObjectKind::Group, "name");
        let name_field = name_field.map(|spec| spec.wire);
        for (field, value) in written {
            let then = fields.entry(field.clone()).or_default();
            then.target = Some(value.clone()).filter(|value| !value.is_empty());
            if Some(field.as_str()) == name_field
                && !same(then.desired.as_ref(), then.target.as_ref())
            {
                // A name on the way to another one was asked for as such: a run that ends here
                // leaves the rename to the next.
                then.desired.clone_from(&then.target);
            }
        }
        if self.known.undoes {
            agree_on(&mut fields, written);
        }
        let mut changes = vec![Change::GroupFields {
            job: self.known.job.name.clone(),
            source: source.to_owned(),
            fields,
            name: name.to_owned(),
        }];
        changes.extend(self.carried_of_group(source, target));
        changes
    }

    fn carried_of_group(&self, source: &str, target: &str) -> Vec<Change> {
        let Some(group) = self.known.sides.source.group(source) else {
            return Vec::new();
        };
        let held = self.known.sides.target.group(target);
        self.known
            .sides
            .mapping
            .carried_fields(ObjectKind::Group, &group.canonical)
            .into_iter()
            .filter(|(field, value)| held.and_then(|held| held.canonical.get(field)) != Some(value))
            .map(|(field, value)| self.carry(ObjectKind::Group, target, &field, value))
            .collect()
    }

    pub(super) fn carry(&self, object: ObjectKind, id: &str, field: &str, value: Value) -> Change {
        Change::Carried {
            account: self.known.job.target_account.clone(),
            object,
            id: id.to_owned(),
            field: field.to_owned(),
            value: Some(value),
        }
    }
}
