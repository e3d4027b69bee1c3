//! What the journal keeps of an item, so that a later run can find out what became of it.

use super::Applying;
use crate::model::{GroupRow, Record, Value, Write};
use crate::plan::fold_group_name;
use crate::run::error::RunError;
use crate::run::settle::Item;
use crate::state::{FieldChange, JournalItem, Priors};

impl Applying<'_> {
    pub(super) fn journal_item(
        &self,
        write: &Write,
        position: usize,
        item: &Item,
    ) -> Result<JournalItem, RunError> {
        let planned = &self.prepared.planned;
        let joined: Vec<String> = item
            .joins
            .iter()
            .filter_map(|pair| self.group_id(*pair))
            .collect();
        let group = match item.op {
            "create_group" => Some(self.namesakes(item))
                .filter(|ids| !ids.is_empty())
                .map(|ids| ids.join(",")),
            _ => item
                .pair
                .and_then(|pair| self.group_id(pair))
                .or_else(|| (!joined.is_empty()).then(|| joined.join(","))),
        };
        Ok(JournalItem {
            key: self.prepared.known(self.job).key(&self.so_far, item),
            group,
            group_source: item
                .pair
                .and_then(|pair| planned.plan.pair(pair).source.clone()),
            member: item.person.map(|person| self.address(person)),
            member_source: item.person.and_then(|person| {
                let at = *planned.people.sources(person).first()?;
                Some(
                    planned
                        .text(self.prepared.sides.source.members[at as usize].id)
                        .to_owned(),
                )
            }),
            member_id: item.target_id.clone(),
            detail: item.detail.clone(),
            fields: Self::fields_of(write, position).unwrap_or_default(),
            before: self.priors(item)?,
            absent_from: self.absent_from(item),
        })
    }

    /// Returns what the fields held that an item changes; of what is created there is nothing to tell.
    fn priors(&self, item: &Item) -> Result<Priors, RunError> {
        if !matches!(
            item.op,
            "adopt_group" | "update_group" | "rename_group" | "update_member"
        ) {
            return Ok(Priors::new());
        }
        let changes = self.changes_of(item)?.into_iter();
        let prior = |change: FieldChange| {
            let nothing = || change.is_before_known.then(|| Value::from(""));
            change.before.clone().or_else(nothing)
        };
        Ok(changes
            .map(|(field, change)| (field, prior(change)))
            .collect())
    }

    /// Returns the values that an item of a write stores; nothing of people who exist and keep
    /// theirs.
    fn fields_of(write: &Write, position: usize) -> Option<Record> {
        let fields = match write {
            Write::CreateGroup { fields, .. } => fields,
            Write::EditGroups { edits } => &edits.get(position)?.fields,
            Write::CreateMembers { rows, .. } => &rows.get(position)?.fields,
            Write::UpdateMembers { edits } => &edits.get(position)?.fields,
            Write::JoinGroups { rows } => &rows.get(position)?.fields,
            Write::LeaveGroups { rows, .. } => &rows.get(position)?.fields,
            _ => return None,
        };
        Some(fields.clone())
    }

    /// Returns the groups of an addition that were listed in this run without the person.
    fn absent_from(&self, item: &Item) -> Option<String> {
        if !matches!(item.op, "add_memberships" | "create_members") {
            return None;
        }
        let groups: Vec<String> = item
            .pair
            .iter()
            .chain(&item.joins)
            .filter(|pair| self.confirming().was_absent(item, **pair))
            .filter_map(|pair| self.group_id(*pair))
            .collect();
        (!groups.is_empty()).then(|| groups.join(","))
    }

    /// Returns the groups that have the name of a group before it is created: whatever becomes of
    /// the request, none of them is it.
    fn namesakes(&self, item: &Item) -> Vec<&str> {
        let Some(name) = item.detail.as_deref().map(fold_group_name) else {
            return Vec::new();
        };
        let field = self.prepared.schema.group_name_field();
        let has_name = |row: &&GroupRow| {
            row.wire
                .get(field)
                .is_some_and(|held| fold_group_name(&held.to_string()) == name)
        };
        self.prepared
            .sides
            .target_rows
            .values()
            .filter(has_name)
            .map(|row| row.id.as_str())
            .collect()
    }
}
