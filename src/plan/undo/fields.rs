//! Values that go back: of groups and of profiles.

use std::collections::{BTreeMap, HashMap};

use compact_str::CompactString;

use super::{Did, DidField, Inverse, Left, NotUndone};
use crate::model::{Group, ObjectKind, Record, Value, Writable};
use crate::plan::base::FieldBase;
use crate::plan::fields::{FieldEdit, same};
use crate::plan::{Edit, PairIx, fold_group_name};

/// The fields of one object over the run: what they held before it, and after.
type Changed = BTreeMap<CompactString, DidField>;

impl<'a> Inverse<'a> {
    /// Gives groups the values back that they had.
    pub(super) fn group_fields(&mut self) {
        let ops = ["adopt_group", "update_group", "rename_group"];
        let lines = self
            .ask
            .did
            .iter()
            .filter(|did| ops.contains(&did.op.as_str()));
        let (chains, lines) = chained(lines, |did| did.group_id.as_deref());
        let mut plans: HashMap<&str, Result<FieldsBack, Left>> = HashMap::new();
        for (id, changed) in &chains {
            let back = self.group_of(id).and_then(|(pair, group)| {
                if !self.pairs[pair.0 as usize].writable {
                    return Err(self.unfilled(id, Some(pair)));
                }
                if self.inputs.base.groups_of_others.contains(&group.id) {
                    return Err(Left::OtherJob);
                }
                let back = self.group_back(group, changed)?;
                Ok((pair, group, back))
            });
            let back = back.map(|(pair, group, back)| {
                self.write_group(pair, group, &back);
                back
            });
            plans.insert(id, back);
        }
        self.account_for(lines, &plans, |did| did.group_id.as_deref());
    }

    fn group_back(&self, group: &Group, changed: &Changed) -> Result<FieldsBack, Left> {
        if group.unread.is_some() {
            return Err(Left::NotRead);
        }
        let inputs = self.inputs;
        let schema = inputs.target_schema;
        let wire = |canonical: &str| {
            let spec = schema.by_canonical(ObjectKind::Group, canonical);
            spec.map(|spec| spec.wire)
        };
        let mut back = FieldsBack::default();
        for (field, change) in changed {
            let spec = schema.by_wire(ObjectKind::Group, field);
            let held = group.wire.get(field);
            let why = if spec.is_some_and(|spec| spec.writable != Writable::Always) {
                Some(Left::FieldStays)
            } else if wire("protected") == Some(field.as_str()) {
                Some(Left::Protected)
            } else if wire("status") == Some(field.as_str()) {
                Some(Left::GroupGone)
            } else if wire("name") == Some(field.as_str())
                && let Some(name) = &change.before
                && self.is_name_taken(group, &name.to_string())
            {
                Some(Left::Taken)
            } else {
                None
            };
            let link = self.links.get(group.id.as_str()).copied();
            let spelled = link.and_then(|link| link.fields.get(field));
            back.take(field, held, change, spelled, why);
        }
        Ok(back)
    }

    /// Tells whether another group of the target has a name.
    fn is_name_taken(&self, group: &Group, name: &str) -> bool {
        let name = fold_group_name(name);
        let own = usize::from(fold_group_name(&group.name) == name);
        self.names.get(&name).is_some_and(|named| *named > own)
    }

    fn write_group(&mut self, pair: PairIx, group: &Group, back: &FieldsBack) {
        if back.set.is_empty() {
            return;
        }
        let (mut fields, before) = (back.set.clone(), back.before.clone());
        // Where an edit replaces the whole, what no reading shows has to be repeated.
        let link = self.links.get(group.id.as_str()).copied();
        let specs = self.inputs.target_schema.groups.iter();
        for spec in specs.filter(|spec| spec.may_be_unshown && !group.wire.contains_key(spec.wire))
        {
            let known = link.and_then(|link| link.fields.get(spec.wire)?.target.clone());
            if let Some(value) = known {
                fields.entry(spec.wire.into()).or_insert(value);
            }
        }
        let name_field = self.inputs.target_schema.group_name_field();
        self.operations.push(match fields.get(name_field) {
            Some(to) => Edit::RenameGroup {
                pair,
                from: group.name.clone(),
                to: to.to_string(),
                via: None,
                fields,
                before,
            },
            None => Edit::UpdateGroup {
                pair,
                fields,
                before,
            },
        });
    }

    /// Gives people the values back that they had.
    pub(super) fn profiles(&mut self) {
        let lines = self.ask.did.iter().filter(|did| did.op == "update_member");
        let (chains, lines) = chained(lines, |did| did.member_id.as_deref());
        let mut plans: HashMap<&str, Result<FieldsBack, Left>> = HashMap::new();
        let mut edits = BTreeMap::new();
        for (id, changed) in &chains {
            let did = Did {
                member_id: Some((*id).to_owned()),
                ..Did::default()
            };
            let back = self.person(&did).and_then(|(person, _)| {
                let now = self.ask.profiles.get(&person).ok_or(Left::NotRead)?;
                if self.inputs.target.is_unreadable(id) {
                    return Err(Left::NotRead);
                }
                let schema = self.inputs.target_schema;
                let mut back = FieldsBack::default();
                for (field, change) in changed {
                    let spec = schema.by_wire(ObjectKind::Member, field);
                    let fixed = spec.is_some_and(|spec| spec.writable != Writable::Always);
                    // What another job wants to be there, it would only write again.
                    let wanted = now.wanted_by_others.get(field).into_iter().flatten();
                    let mut wanted = wanted.filter(|it| !same(Some(it), change.before.as_ref()));
                    let why = if fixed {
                        Some(Left::FieldStays)
                    } else {
                        wanted.next().map(|_| Left::OtherJob)
                    };
                    let spelled = now.spelled.get(field);
                    back.take(field, now.held.get(field), change, spelled, why);
                }
                if !back.set.is_empty() {
                    edits.insert(person, back.clone());
                }
                Ok(back)
            });
            plans.insert(id, back);
        }
        for (member, back) in edits {
            let FieldsBack { set, before, .. } = back;
            self.undoing.profiles.insert(
                member,
                FieldEdit {
                    set: set.clone(),
                    before: before.clone(),
                    ..FieldEdit::default()
                },
            );
            self.operations.push(Edit::UpdateMember {
                member,
                fields: set,
                before,
            });
        }
        self.account_for(lines, &plans, |did| did.member_id.as_deref());
    }

    /// Says of each line about fields what becomes of it.
    fn account_for(
        &mut self,
        lines: Vec<&'a Did>,
        plans: &HashMap<&str, Result<FieldsBack, Left>>,
        key: impl Fn(&'a Did) -> Option<&'a str>,
    ) {
        for did in lines {
            let plan = match key(did).and_then(|id| plans.get(id)) {
                Some(Ok(back)) => Ok(back),
                Some(Err(why)) => Err(*why),
                None => Err(Left::NotTakenDown),
            };
            let back = match plan {
                Err(why) => {
                    self.leave(did, why);
                    continue;
                }
                Ok(back) => back,
            };
            if did.fields.is_empty() {
                // A group that was linked as it stood has nothing to get back.
                let why = if did.is_known_whole {
                    Left::AlreadySo
                } else {
                    Left::NotTakenDown
                };
                self.leave(did, why);
                continue;
            }
            let kept = |field: &CompactString| Some((field.to_string(), *back.kept.get(field)?));
            let kept: Vec<(String, Left)> = did.fields.keys().filter_map(kept).collect();
            let Some((_, why)) = kept.first() else {
                self.undoing.undone += 1;
                continue;
            };
            let mut runs = did.fields.values().filter_map(|it| it.overtaken_by.clone());
            self.undoing.left.push(NotUndone {
                op: did.op.clone(),
                group: did.group.clone(),
                group_id: did.group_id.clone(),
                member: did.member.clone(),
                member_id: did.member_id.clone(),
                partly: kept.len() < did.fields.len(),
                why: *why,
                run: runs.next_back(),
                fields: kept,
            });
        }
    }
}

/// The fields of one object that get their values back.
#[derive(Clone, Default)]
struct FieldsBack {
    set: Record,
    before: Record,
    /// Those that do not, with the reason.
    kept: BTreeMap<CompactString, Left>,
}

impl FieldsBack {
    /// Decides on one field, by what it holds now, held before the run and held after it; `spelled` is
    /// what the job remembers of it, since a target may spell otherwise what was written.
    fn take(
        &mut self,
        field: &CompactString,
        held: Option<&Value>,
        change: &DidField,
        spelled: Option<&FieldBase>,
        why: Option<Left>,
    ) {
        let (before, after) = (change.before.as_ref(), change.after.as_ref());
        let why = if change.overtaken_by.is_some() {
            Some(Left::LaterRun)
        } else if before.is_none() && !change.is_before_known {
            // Whether it was empty, or only not shown, nobody knows.
            Some(Left::NotTakenDown)
        } else if same(held, before) {
            Some(Left::AlreadySo)
        } else if let Some(why) = why {
            Some(why)
        } else {
            let is_spelled = |base: &FieldBase| {
                base.written
                    && same(base.desired.as_ref(), after)
                    && same(base.target.as_ref(), held)
            };
            let stands = same(held, after) || spelled.is_some_and(is_spelled);
            (!stands).then_some(Left::ChangedSince)
        };
        if let Some(why) = why {
            self.kept.insert(field.clone(), why);
            return;
        }
        let value = before.cloned().unwrap_or_else(|| Value::from(""));
        self.set.insert(field.clone(), value);
        if let Some(held) = held {
            self.before.insert(field.clone(), held.clone());
        }
    }
}

/// Puts the lines about one object together: what its fields held before the first of them, and after
/// the last.
fn chained<'a>(
    lines: impl Iterator<Item = &'a Did>,
    key: impl Fn(&'a Did) -> Option<&'a str>,
) -> (BTreeMap<&'a str, Changed>, Vec<&'a Did>) {
    let lines: Vec<&Did> = lines.collect();
    let mut chains: BTreeMap<&str, Changed> = BTreeMap::new();
    for did in &lines {
        let Some(id) = key(did) else { continue };
        let chain = chains.entry(id).or_default();
        for (field, change) in &did.fields {
            match chain.get_mut(field) {
                Some(first) => first.after.clone_from(&change.after),
                None => drop(chain.insert(field.clone(), change.clone())),
            }
        }
    }
    (chains, lines)
}
