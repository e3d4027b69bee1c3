//! What people do in the accounts between runs, each told in one sentence.

use rosterd::emulator::{Account, GroupKind, GroupStatus, Kind, MembershipState};

use super::dice::Dice;
use super::world::{add_address, add_group, add_person, fold, joinable};

/// One random thing that somebody does in an account; nothing when there was nothing to do it to.
pub(crate) fn edit(dice: &mut Dice, account: &mut Account) -> Option<String> {
    let groups = joinable(account);
    let contacts: Vec<u64> = account.contacts.keys().copied().collect();
    let group = dice.any(&groups);
    let contact = dice.any(&contacts);
    let who = |account: &Account, id: u64| format!("{id} ({})", account.contacts[&id].email);
    let place = |account: &Account, id: u64| format!("group {id} \"{}\"", account.groups[&id].name);
    let told = match dice.below(38) {
        0..=5 => {
            let (group, contact) = (group?, contact?);
            if account.membership(group, contact).is_some() || !account.join(group, contact) {
                return None;
            }
            format!("{} joins {}", who(account, contact), place(account, group))
        }
        6..=10 => {
            let group = group?;
            let members: Vec<u64> = account
                .members_of(group)
                .into_iter()
                .map(|(contact, _)| contact)
                .collect();
            let contact = dice.any(&members)?;
            let state = account.membership(group, contact);
            if account.kind == Kind::ActiveCampaign && dice.chance(30) {
                account.end_membership(group, contact);
                let (who, place) = (who(account, contact), place(account, group));
                return Some(format!("an administrator takes {who} off {place}"));
            }
            account.leave(group, contact);
            format!(
                "{} leaves {} ({:?} there)",
                who(account, contact),
                place(account, group),
                state?
            )
        }
        11 | 12 => {
            let person = dice.below(60);
            let contact = add_person(dice, account, person)?;
            if let Some(group) = group {
                account.join(group, contact);
            }
            format!("{} is new, in {group:?}", who(account, contact))
        }
        13 | 14 => {
            let contact = contact?;
            let (field, value) = *dice.pick(&[
                ("city", "Capital City"),
                ("city", ""),
                ("company", "Internal"),
                ("first_name", "Dora"),
            ]);
            if field == "city" && account.kind == Kind::ActiveCampaign {
                return None;
            }
            account.change_contact(contact, [(field, value)], []);
            format!("{} gets {field} \"{value}\"", who(account, contact))
        }
        15 | 16 => {
            let contact = contact?;
            let from = who(account, contact);
            let address = match dice.below(4) {
                // Back to an address that somebody may have had before.
                0 => format!("p{}@example.org", dice.below(24)),
                1 => account.contacts[&contact].email.to_uppercase(),
                _ => format!("moved{}@example.org", dice.below(6)),
            };
            let other = account
                .contacts
                .values()
                .any(|known| known.id != contact && fold(&known.email) == fold(&address));
            if account.contacts[&contact].email.is_empty()
                || (other && account.kind != Kind::GreenRope)
            {
                return None;
            }
            account.change_address(contact, &address);
            format!("{from} moves to {address}")
        }
        17 | 18 => {
            let contact = contact?;
            account
                .opt_out_of_account(contact)
                .then(|| format!("{} refuses all mail", who(account, contact)))?
        }
        19 | 20 => {
            let (group, contact) = (group?, contact?);
            account.opt_out_of_group(group, contact).then(|| {
                format!(
                    "{} refuses the mail of {}",
                    who(account, contact),
                    place(account, group)
                )
            })?
        }
        21 => {
            let contact = contact?;
            account
                .resubscribe(contact)
                .then(|| format!("{} takes all mail again", who(account, contact)))?
        }
        22 => {
            let group = group?;
            let refusing: Vec<u64> = account
                .members_of(group)
                .into_iter()
                .filter(|(_, state)| *state == MembershipState::OptedOut)
                .map(|(contact, _)| contact)
                .collect();
            let contact = dice.any(&refusing)?;
            account.resubscribe_to_group(group, contact);
            format!(
                "{} takes the mail of {} again",
                who(account, contact),
                place(account, group)
            )
        }
        23 => {
            let contact = contact?;
            if account.bounce(contact) {
                format!("{} bounces", who(account, contact))
            } else {
                account.release(contact);
                format!("{} bounces no more", who(account, contact))
            }
        }
        24 => {
            let contact = contact?;
            let told = format!("{} is erased", who(account, contact));
            account.delete_contact(contact);
            told
        }
        25 => {
            let name = *dice.pick(&["Donors", "News", "Board", "Newcomers", "Spring fair"]);
            let group = add_group(dice, account, name)?;
            for contact in contacts.iter().filter(|_| dice.chance(40)) {
                account.join(group, *contact);
            }
            format!(
                "{} is new, with {} people",
                place(account, group),
                account.members_of(group).len()
            )
        }
        26 | 27 => {
            let group = group?;
            let before = place(account, group);
            let name = format!("Circle {}", dice.below(4));
            if account
                .groups
                .values()
                .any(|other| other.name.to_lowercase() == name.to_lowercase())
            {
                return None;
            }
            account.rename_group(group, &name);
            format!("{before} becomes \"{name}\"")
        }
        28 => {
            let (one, other) = (group?, dice.any(&groups)?);
            if one == other {
                return None;
            }
            let (first, second) = (
                account.groups[&one].name.clone(),
                account.groups[&other].name.clone(),
            );
            account.rename_group(one, "in between");
            account.rename_group(other, &first);
            account.rename_group(one, &second);
            format!("groups {one} and {other} swap the names \"{first}\" and \"{second}\"")
        }
        29 | 33 | 34 => {
            let group = group?;
            let told = format!("{} is deleted", place(account, group));
            account.delete_group(group);
            told
        }
        30 | 35 if account.kind == Kind::Emfluence => {
            let group = group?;
            if account.groups[&group].status == GroupStatus::Active {
                account.archive_group(group);
                format!("{} is put away", place(account, group))
            } else {
                account.restore_group(group);
                format!("{} is used again", place(account, group))
            }
        }
        31 | 36 if account.kind == Kind::Emfluence => {
            let id = group?;
            let choice = dice.below(4);
            let told = place(account, id);
            // Nobody can read who refuses a dynamic group.
            if choice == 2
                && account
                    .members_of(id)
                    .iter()
                    .any(|(_, state)| *state == MembershipState::OptedOut)
            {
                return None;
            }
            let group = account.group_mut(id);
            match choice {
                0 => group.protected = !group.protected,
                1 => {
                    group.auto_response = if group.auto_response.is_some() {
                        None
                    } else {
                        Some(9001)
                    }
                }
                2 => group.kind = GroupKind::Dynamic,
                _ => "Once a week.".clone_into(&mut group.description),
            }
            let words = [
                "gets the other protected flag",
                "gets the other auto-response",
                "becomes dynamic",
                "is described anew",
            ];
            format!("{told} {}", words[choice])
        }
        32 if account.kind == Kind::GreenRope => {
            let twin = contact?;
            let address = account.contacts[&twin].email.clone();
            if address.is_empty() {
                return None;
            }
            let contact = add_address(dice, account, &address)?;
            if let Some(group) = group {
                account.join(group, contact);
            }
            format!(
                "{} is entered a second time, in {group:?}",
                who(account, contact)
            )
        }
        _ => {
            let contact = contact?;
            let (field, value) = *dice.pick(&[
                ("phone", "555-0100"),
                ("last_name", "Beispiel"),
                ("zip", "62701"),
            ]);
            if field == "zip" && account.kind == Kind::ActiveCampaign {
                return None;
            }
            account.change_contact(contact, [(field, value)], []);
            format!("{} gets {field} \"{value}\"", who(account, contact))
        }
    };
    Some(told)
}
