//! The users of the simulated accounts: who sits in which user group, and what people change about
//! that.

use rosterd::emulator::{Account, Kind, World};

use super::dice::Dice;
use super::world::add_user_groups;
use crate::support::PARKING;

/// Gives each account that has users some of the people everybody knows, in groups with the names
/// that everybody uses.
pub(crate) fn furnish_staff(dice: &mut Dice, world: &mut World) {
    for account in &mut world.accounts {
        if account.kind != Kind::ActiveCampaign {
            continue;
        }
        let parking = account.add_user_group(PARKING);
        let mut groups = add_user_groups(dice, account);
        groups.push(parking);
        for person in 0..24 {
            if dice.chance(30) {
                let group = *dice.pick(&groups);
                account.add_user(
                    &format!("user{person}"),
                    &format!("p{person}@example.org"),
                    group,
                );
            }
        }
    }
}

/// One random thing that somebody does about the users of an account.
pub(crate) fn edit_staff(dice: &mut Dice, account: &mut Account) -> Option<String> {
    if account.kind != Kind::ActiveCampaign || !dice.chance(40) {
        return None;
    }
    let users: Vec<u64> = account
        .users
        .values()
        .filter(|user| user.group > 3)
        .map(|user| user.id)
        .collect();
    let groups: Vec<u64> = account
        .user_groups
        .keys()
        .copied()
        .filter(|id| *id > 3)
        .collect();
    let (user, group) = (dice.any(&users)?, dice.any(&groups)?);
    let who = format!("user {user} ({})", account.users[&user].email);
    Some(match dice.below(6) {
        0..=2 => {
            account.move_user(user, group);
            format!("{who} goes to user group {group}")
        }
        3 => {
            account.delete_user(user);
            format!("{who} may not log in any more")
        }
        4 => {
            let number = dice.below(24);
            let email = format!("p{number}@example.org");
            if account.user_by_email(&email).is_some() {
                return None;
            }
            let fresh = account.add_user(&format!("late{number}"), &email, group);
            format!("user {fresh} ({email}) is new in user group {group}")
        }
        _ => {
            let parking = account.find_user_group(PARKING)?;
            if group == parking {
                return None;
            }
            account.delete_user_group(group, parking);
            format!("user group {group} is deleted")
        }
    })
}
