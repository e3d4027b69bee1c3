//! In which order groups are renamed, and which names can't be given.

use crate::model::in_quotes;
use std::collections::{HashMap, HashSet};

use super::{Planner, fold};
use crate::plan::{BlockedReason, Edit, Outside};

impl Planner<'_> {
    /// Orders renames so that each name is free when it is taken; one group of a ring steps aside
    /// for a moment.
    pub(super) fn order_renames(&mut self, mut pending: Vec<Edit>) {
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
            format!("another target group is named {}", in_quotes(&to)),
        );
        from.clone_into(&mut self.out.pairs[pair.0 as usize].name);
        fields.remove(self.name_field);
        before.remove(self.name_field);
        let name = Outside::Group(pair, self.name_field.to_owned());
        self.out
            .changed_outside
            .retain(|changed| changed.what != name);
        if !fields.is_empty() {
            self.out.edits.push(Edit::UpdateGroup {
                pair,
                fields,
                before,
            });
        }
    }

    /// Blocks creations whose name a group keeps that is linked to another source group.
    pub(super) fn check_new_names(&mut self) {
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
}
