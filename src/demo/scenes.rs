//! What people do in the providers' own pages between the runs of the story.

use std::collections::BTreeMap;

use anyhow::Context as _;

use crate::emulator::{Account, World};

/// The people and groups of a day at the source.
pub(super) struct Cast {
    /// Refuses all mail.
    pub(super) refuser: String,
    /// Refuses the mail of one group.
    pub(super) reluctant: String,
    /// Leaves a group.
    pub(super) leaver: String,
    /// Gets another address: the old and the new one.
    pub(super) mover: (String, String),
    /// Joins.
    pub(super) newcomer: String,
    /// Where all this happens.
    pub(super) group: String,
    /// Gets another name: the old and the new one.
    pub(super) renamed: (String, String),
    /// The run that carried all this, once there is one.
    pub(super) run: String,
}

/// Changes a few people and one group at the source.
pub(super) fn everyday_changes(world: &mut World) -> anyhow::Result<Cast> {
    let (group, name, people) = {
        let (source, target) = (world.account("crm"), world.account("mail"));
        let mut found = source.groups.values().map(|group| {
            (
                group.id,
                group.name.clone(),
                plain_people(source, target, group.id),
            )
        });
        found
            .find(|(_, _, people)| people.len() >= 8)
            .context("the made-up data has no group that is large enough")?
    };
    let [refuser, reluctant, leaver, mover] = [people[0], people[2], people[4], people[6]];
    let source = world.account_mut("crm");
    let address = |account: &Account, contact: u64| account.contacts[&contact].email.to_lowercase();
    let moved_from = address(source, mover);
    let moved_to = format!("moved.{moved_from}");
    let cast = Cast {
        refuser: address(source, refuser),
        reluctant: address(source, reluctant),
        leaver: address(source, leaver),
        mover: (moved_from, moved_to.clone()),
        newcomer: "noor.newcomer@example.org".to_owned(),
        group: name,
        renamed: rename_another(source, group)?,
        run: String::new(),
    };
    source.opt_out_of_account(refuser);
    source.opt_out_of_group(group, reluctant);
    source.leave(group, leaver);
    source.change_address(mover, &moved_to);
    let newcomer = source.add_person(&cast.newcomer, "Noor", "Newcomer");
    source.join(group, newcomer);
    Ok(cast)
}

fn rename_another(source: &mut Account, except: u64) -> anyhow::Result<(String, String)> {
    let other = source
        .groups
        .values()
        .find(|group| group.id != except)
        .context("the made-up data has one group only")?;
    let (id, from) = (other.id, other.name.clone());
    let to = format!("{from} and friends");
    source.rename_group(id, &to);
    Ok((from, to))
}

/// Members of a group at the source who are mailed at both sides and whose address is plain and
/// stands only once.
fn plain_people(source: &Account, target: &Account, group: u64) -> Vec<u64> {
    let Some(partner) = target.find_group(&source.groups[&group].name) else {
        return Vec::new();
    };
    let mailed = target.mailed_by(partner);
    let mut uses: BTreeMap<String, u32> = BTreeMap::new();
    source
        .contacts
        .values()
        .for_each(|contact| *uses.entry(contact.email.to_lowercase()).or_default() += 1);
    let plain = |contact: &u64| {
        let address = source.contacts[contact].email.to_lowercase();
        address.is_ascii() && uses[&address] == 1 && mailed.binary_search(&address).is_ok()
    };
    source.groups[&group]
        .members
        .keys()
        .copied()
        .filter(plain)
        .collect()
}

/// Takes one more person out of a group at the source. Returns the group's id and the address.
pub(super) fn another_leaves(world: &mut World, name: &str) -> anyhow::Result<(u64, String)> {
    let (group, leaver) = {
        let (source, target) = (world.account("crm"), world.account("mail"));
        let group = source
            .find_group(name)
            .with_context(|| format!("there is no group \"{name}\""))?;
        let plain = plain_people(source, target, group);
        (
            group,
            *plain.first().context("nobody is left in the group")?,
        )
    };
    let source = world.account_mut("crm");
    source.leave(group, leaver);
    Ok((group, source.contacts[&leaver].email.to_lowercase()))
}

/// A group that lost most of its people, and who they were.
pub(super) struct Accident {
    pub(super) group: u64,
    pub(super) name: String,
    pub(super) lost: Vec<u64>,
}

/// Takes three of four people out of the largest group of the source, as a slip of the hand does.
pub(super) fn accident(world: &mut World) -> anyhow::Result<Accident> {
    let source = world.account_mut("crm");
    let largest = source
        .groups
        .values()
        .max_by_key(|group| group.members.len())
        .context("the made-up data has no group")?;
    let (group, name) = (largest.id, largest.name.clone());
    let lost: Vec<u64> = source
        .members_of(group)
        .into_iter()
        .filter(|(_, state)| *state == crate::emulator::MembershipState::Active)
        .map(|(contact, _)| contact)
        .enumerate()
        .filter_map(|(position, contact)| (position % 4 != 0).then_some(contact))
        .collect();
    for contact in &lost {
        source.leave(group, *contact);
    }
    Ok(Accident { group, name, lost })
}

/// Has a few people of other groups refuse all mail.
pub(super) fn some_refuse(world: &mut World, except: u64) {
    let source = world.account_mut("crm");
    let others = source.groups.values().filter(|group| group.id != except);
    let people: Vec<u64> = others
        .filter_map(|group| group.members.keys().next().copied())
        .take(3)
        .collect();
    for person in people {
        source.opt_out_of_account(person);
    }
}

/// Puts everybody back.
pub(super) fn repair(world: &mut World, accident: &Accident) {
    world
        .account_mut("crm")
        .join_all(accident.group, accident.lost.iter().copied());
}

/// Somebody who refused all mail changes their mind at the source.
pub(super) fn change_of_mind(world: &mut World, address: &str) -> anyhow::Result<()> {
    let source = world.account_mut("crm");
    let contact = source
        .contact_by_email(address)
        .context("somebody of the made-up data has vanished")?;
    source.resubscribe(contact);
    Ok(())
}
