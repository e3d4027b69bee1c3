//! Looks what stands at the provider, after a doubt and before anything is recorded that an answer did
//! not confirm.

use std::collections::BTreeSet;

use super::Applying;
use crate::model::{MemberStatus, ObjectKind, Write};
use crate::plan::fold_group_name;
use crate::run::error::RunError;
use crate::run::read::{group_now, groups_now, people_now};
use crate::run::settle::{Answer, Item, Newcomer, Standing, groups_of};

impl Applying<'_> {
    /// Looks which items of a write stand at the provider now: nothing stands for an item that is
    /// certainly not done.
    pub(super) async fn observe(
        &self,
        write: &Write,
        items: &[Item],
    ) -> Result<Vec<Option<Standing>>, RunError> {
        let uncertain = |what: &str| RunError::Write {
            provider: self.handle.name.clone(),
            why: format!("{what} could not be read back to its end"),
        };
        Ok(match write {
            Write::CreateGroup { name, .. } => {
                let (rows, certificate) = self
                    .handle
                    .adapter
                    .groups(&|_, _| false)
                    .await
                    .map_err(self.handle.read_error())?;
                if certificate
                    .certify((), &mut crate::model::TotalMeanings::all())
                    .complete()
                    .is_none()
                {
                    return Err(uncertain("the list of groups"));
                }
                let field = self.prepared.schema.group_name_field();
                let before = &self.prepared.sides.target_rows;
                // Providers trim and squeeze names.
                let wanted = fold_group_name(name);
                let mut found = rows.into_iter().filter(|row| {
                    !before.contains_key(&row.id)
                        && row
                            .wire
                            .get(field)
                            .is_some_and(|value| fold_group_name(&value.to_string()) == wanted)
                });
                let first = found.next();
                if let (Some(first), Some(second)) = (&first, found.next()) {
                    let why = format!(
                        "the groups {} and {} appeared while one of that name was created, and which one it is can't be told; keep one of them",
                        first.id, second.id
                    );
                    return Err(RunError::Write {
                        provider: self.handle.name.clone(),
                        why,
                    });
                }
                vec![first.map(|row| Standing::of(&row.id))]
            }
            Write::EditGroups { edits } => {
                let ids: BTreeSet<&str> = edits.iter().map(|edit| edit.id.as_str()).collect();
                let (rows, _) = self
                    .handle
                    .adapter
                    .groups(&|id, _| ids.contains(id))
                    .await
                    .map_err(self.handle.read_error())?;
                edits
                    .iter()
                    .map(|edit| {
                        let row = rows.iter().find(|row| row.id == edit.id)?;
                        // A name in between is replaced by a later edit of the same group.
                        let last_sent = self
                            .prepared
                            .sides
                            .target_rows
                            .get(&edit.id)
                            .map(|row| &row.wire);
                        let unshown = |field: &str| {
                            !row.wire.contains_key(field)
                                && self
                                    .prepared
                                    .schema
                                    .by_wire(ObjectKind::Group, field)
                                    .is_some_and(|spec| spec.may_be_unshown)
                        };
                        // What is not shown proves nothing, and something has to.
                        let mut shown = edit
                            .fields
                            .iter()
                            .filter(|(field, _)| !unshown(field))
                            .peekable();
                        let stands = shown.peek().is_some()
                            && shown.all(|(field, value)| {
                                let held = row.wire.get(field);
                                let later = last_sent.and_then(|sent| sent.get(field));
                                crate::plan::fields::same(Some(value), held)
                                    || (later.is_some() && crate::plan::fields::same(later, held))
                            });
                        stands.then(Standing::default)
                    })
                    .collect()
            }
            Write::DeleteGroup { id } => vec![
                self.handle
                    .adapter
                    .group(id)
                    .await
                    .map_err(self.handle.read_error())?
                    .is_none()
                    .then(Standing::default),
            ],
            Write::CreateMembers { join, .. } if !join.is_empty() => {
                let mut shown: Vec<Newcomer> = items.iter().map(|_| Newcomer::default()).collect();
                for group in join {
                    let now = group_now(&self.handle, group).await?;
                    for (item, shown) in items.iter().zip(&mut shown) {
                        let address = item
                            .person
                            .map(|person| self.address(person))
                            .unwrap_or_default();
                        shown.see(&now, &address);
                    }
                }
                shown.into_iter().map(Newcomer::standing).collect()
            }
            Write::CreateMembers { .. }
            | Write::CreateOptedOut { .. }
            | Write::ChangeAddress { .. }
            | Write::OptOutOfAccount { .. } => {
                let addresses: Vec<String> = items
                    .iter()
                    .filter_map(|item| item.person)
                    .map(|person| self.address(person))
                    .collect();
                let now = people_now(&self.handle, &addresses).await?;
                let creates = matches!(
                    write,
                    Write::CreateMembers { .. } | Write::CreateOptedOut { .. }
                );
                let opt_out = matches!(
                    write,
                    Write::OptOutOfAccount { .. } | Write::CreateOptedOut { .. }
                );
                items
                    .iter()
                    .map(|item| {
                        let address = self.address(item.person?);
                        let Some(people) = now.by_address.get(&address) else {
                            let is_untold = creates && now.unknown.contains(&address);
                            return is_untold.then(Standing::untold);
                        };
                        let person = match &item.target_id {
                            Some(id) => people.iter().find(|person| person.id == *id)?,
                            None => people.first()?,
                        };
                        (!opt_out || person.status == MemberStatus::OptedOut)
                            .then(|| Standing::of_person(&person.id, person.status))
                    })
                    .collect()
            }
            Write::AddMemberships { .. }
            | Write::RemoveMemberships { .. }
            | Write::OptOutOfGroups { .. }
            | Write::JoinGroups { .. }
            | Write::LeaveGroups { .. }
            | Write::BringBack { .. } => {
                let seen = match self.leavers_now(write).await? {
                    Some(seen) => seen,
                    None => {
                        groups_now(&self.handle, &groups_of(write).into_iter().collect()).await?
                    }
                };
                items
                    .iter()
                    .enumerate()
                    .map(|(position, item)| self.stands(write, position, item, &seen))
                    .collect()
            }
            // The same values once more do no harm.
            Write::UpdateMembers { .. } => vec![None; items.len()],
            Write::CreateCustomField { label, .. } => {
                let fields = self
                    .handle
                    .adapter
                    .custom_fields()
                    .await
                    .map_err(self.handle.read_error())?;
                vec![fields.find(label).is_some().then(Standing::default)]
            }
        })
    }

    /// Adds what holds for people in the whole account to what their groups show: the listing of a
    /// group need not tell it, and whoever refuses there is in no group perhaps.
    pub(super) async fn with_account_states(
        &self,
        items: &[Item],
        found: &mut [Option<Standing>],
    ) -> Result<(), RunError> {
        let people = items.iter().filter_map(|item| item.person);
        let addresses: Vec<String> = people.map(|person| self.address(person)).collect();
        let now = people_now(&self.handle, &addresses).await?;
        for (item, found) in items.iter().zip(found) {
            let Some(address) = item.person.map(|person| self.address(person)) else {
                continue;
            };
            let people = now.by_address.get(&address).map_or(&[][..], Vec::as_slice);
            let strictest = people.iter().map(|person| person.status).max();
            match found {
                Some(found) if found.id.is_some() => found.status = found.status.max(strictest),
                _ if strictest.is_some_and(|status| status != MemberStatus::Active) => {
                    *found = Some(Standing {
                        id: people.first().map(|person| person.id.clone()),
                        status: strictest,
                        // Nothing but the address says that this is who was to be created.
                        answer: Answer::Objection,
                        ..Standing::untold()
                    });
                }
                None if !now.states_known || now.unknown.contains(&address) => {
                    *found = Some(Standing::untold());
                }
                _ => {}
            }
        }
        Ok(())
    }
}
