//! What people and operators do that turns over who is who: addresses that break and change hands,
//! records that are merged, erased and typed anew, groups that are made anew.

use rosterd::emulator::{Account, Group, GroupKind, Kind, MembershipState};

use super::dice::Dice;
use super::humans::is_usable;
use super::world::{fold, joinable};

/// What an edit says of who is who.
#[derive(Clone, Debug)]
pub(crate) enum News {
    /// Two records were mixed up.
    Exchanged(u64, u64),
    /// Two records, of which the second is gone, stand for one human.
    United(u64, u64),
    /// An address is unusable until it is mended.
    Broken(u64, String),
}

/// The contacts with a usable address, those in groups first in the throw.
fn somebody(dice: &mut Dice, account: &Account) -> Option<u64> {
    let usable = |id: &u64| is_usable(&account.contacts[id].email);
    let listed: Vec<u64> = account
        .contacts
        .keys()
        .copied()
        .filter(|id| {
            usable(id)
                && joinable(account)
                    .iter()
                    .any(|group| account.membership(*group, *id).is_some())
        })
        .collect();
    dice.any(&listed)
}

fn is_single(account: &Account, id: u64) -> bool {
    let address = fold(&account.contacts[&id].email);
    account
        .contacts
        .values()
        .filter(|contact| fold(&contact.email) == address)
        .count()
        == 1
}

/// One thing that somebody does at a source.
pub(crate) fn at_source(dice: &mut Dice, account: &mut Account) -> Option<(String, Vec<News>)> {
    let one = somebody(dice, account)?;
    let from = account.contacts[&one].email.clone();
    let who = format!("{one} ({from})");
    if !is_single(account, one) {
        return None;
    }
    Some(match dice.below(9) {
        0 | 1 => {
            let broken = match dice.below(3) {
                0 if account.kind == Kind::GreenRope => String::new(),
                1 => from.replace("@example.org", "@@example.org"),
                _ => format!("{from};"),
            };
            account.change_address(one, &broken);
            (
                format!("the address of {who} becomes \"{broken}\""),
                vec![News::Broken(one, from)],
            )
        }
        2 | 3 => {
            let other = somebody(dice, account)?;
            let to = account.contacts[&other].email.clone();
            if one == other || !is_single(account, other) {
                return None;
            }
            account.change_address(one, "between@example.org");
            account.change_address(other, &from);
            account.change_address(one, &to);
            (
                format!("{who} and {other} ({to}) swap their addresses"),
                vec![News::Exchanged(one, other)],
            )
        }
        4 | 5 => {
            let other = somebody(dice, account)?;
            let to = account.contacts[&other].email.clone();
            if one == other || !is_single(account, other) {
                return None;
            }
            account.delete_contact(other);
            account.change_address(one, &to);
            (
                format!("{who} is merged with {other} ({to}), whose address stays"),
                vec![News::United(one, other)],
            )
        }
        6 => {
            let other = somebody(dice, account)?;
            let to = account.contacts[&other].email.clone();
            let fresh = format!("fresh{}@example.org", dice.below(1000));
            if one == other
                || !is_single(account, other)
                || account.contact_by_email(&fresh).is_some()
            {
                return None;
            }
            account.change_address(other, &fresh);
            account.change_address(one, &to);
            (
                format!("{other} ({to}) moves to {fresh}, and {who} moves to {to}"),
                Vec::new(),
            )
        }
        7 => (
            format!(
                "{who} is deleted and typed in again as {}",
                retype(account, one)
            ),
            Vec::new(),
        ),
        _ => (again(dice, account)?, Vec::new()),
    })
}

/// Deletes a record and makes one with the same address, which is in the same groups. Who refused
/// is typed in as somebody who does not.
fn retype(account: &mut Account, id: u64) -> u64 {
    let contact = account.contacts[&id].clone();
    let groups = account.groups_of(id);
    account.delete_contact(id);
    let fresh = account.add_person(
        &contact.email,
        contact.get("first_name"),
        contact.get("last_name"),
    );
    for group in groups {
        if account.groups[&group].kind == GroupKind::Static {
            account.join(group, fresh);
        }
    }
    fresh
}

/// Deletes a group and makes one of the same name with those who were active in it.
fn again(dice: &mut Dice, account: &mut Account) -> Option<String> {
    let group = dice.any(&joinable(account))?;
    let Group {
        name,
        sender_name,
        sender_email,
        postal_address,
        members,
        ..
    } = account.groups[&group].clone();
    account.delete_group(group);
    let fresh = account.add_group(&name);
    let entry = account.group_mut(fresh);
    (entry.sender_name, entry.sender_email, entry.postal_address) =
        (sender_name, sender_email, postal_address);
    let all = dice.chance(50);
    for (contact, membership) in members {
        if all || membership.state == MembershipState::Active {
            account.join(fresh, contact);
        }
    }
    Some(format!(
        "group {group} \"{name}\" is deleted and made again as {fresh}, with {} people",
        account.members_of(fresh).len()
    ))
}

/// One thing that somebody does at a target.
pub(crate) fn at_target(dice: &mut Dice, account: &mut Account) -> Option<String> {
    let contacts: Vec<u64> = account.contacts.keys().copied().collect();
    let who = |account: &Account, id: u64| format!("{id} ({})", account.contacts[&id].email);
    Some(match dice.below(6) {
        0..=2 => {
            let refusing: Vec<u64> = contacts
                .into_iter()
                .filter(|id| {
                    account.contacts[id].opted_out.is_some()
                        || account.groups.values().any(|group| {
                            account.membership(group.id, *id) == Some(MembershipState::OptedOut)
                        })
                })
                .collect();
            let contact = dice.any(&refusing)?;
            let told = format!("{}, who refuses mail, is erased", who(account, contact));
            account.delete_contact(contact);
            told
        }
        3 => {
            let contact = dice.any(&contacts)?;
            let told = format!("{} refuses all mail", who(account, contact));
            account.opt_out_of_account(contact).then_some(told)?
        }
        4 => {
            let (group, contact) = (dice.any(&joinable(account))?, dice.any(&contacts)?);
            account.membership(group, contact)?;
            let told = format!(
                "{} refuses the mail of group {group}",
                who(account, contact)
            );
            account.opt_out_of_group(group, contact).then_some(told)?
        }
        _ => again(dice, account)?,
    })
}

/// One thing that somebody does while a run goes on.
pub(crate) fn meanwhile(dice: &mut Dice, account: &mut Account) -> Option<String> {
    let (group, contact) = (dice.any(&joinable(account))?, somebody(dice, account)?);
    let who = format!("{contact} ({})", account.contacts[&contact].email);
    Some(match dice.below(5) {
        0 => {
            account.opt_out_of_account(contact).then_some(())?;
            format!("{who} refuses all mail")
        }
        1 | 2 => {
            account.membership(group, contact)?;
            account.opt_out_of_group(group, contact).then_some(())?;
            format!("{who} refuses the mail of group {group}")
        }
        3 => {
            account.membership(group, contact)?;
            account.leave(group, contact);
            format!("{who} leaves group {group}")
        }
        _ => {
            account.change_contact(contact, [("phone", "555-0199")], []);
            format!("{who} gets another telephone number")
        }
    })
}
