//! Compares what two emulated accounts would mail, from their own data and not from anything that
//! rosterd remembers.

use std::collections::BTreeSet;

use crate::emulator::{Account, Group, MembershipState};
use crate::model::normalise_address;

/// What a comparison found.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Verdict {
    /// Groups of the source that were compared.
    pub(super) groups: usize,
    /// What became of the source's memberships.
    pub(super) shares: Shares,
    /// Who should get a group's mail at the target and does not, as `group: address`.
    pub(super) missing: Vec<String>,
    /// Who refuses a group's mail at the source and gets it at the target, as `group: address`.
    pub(super) mailed_against_will: Vec<String>,
}

/// The memberships of the source by what they are at the target; the shares add up to what is listed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Shares {
    /// All that the source lists.
    pub(super) listed: usize,
    /// They get mail at the target.
    pub(super) mailed: usize,
    /// They refuse it, at one side or the other.
    pub(super) refuse: usize,
    /// Their address is given up, at one side or the other.
    pub(super) undeliverable: usize,
    /// They have no address that could be used.
    pub(super) no_address: usize,
    /// They are a further record of somebody who was counted.
    pub(super) twice: usize,
}

impl Verdict {
    /// Ends with an error that names the first difference, if there is one.
    pub(super) fn settle(self) -> anyhow::Result<Self> {
        match self.missing.iter().chain(&self.mailed_against_will).next() {
            None => Ok(self),
            Some(first) => anyhow::bail!(
                "the accounts are not what the plan said: {} missing, {} mailed against their will, the first is {first}",
                self.missing.len(),
                self.mailed_against_will.len()
            ),
        }
    }
}

impl Verdict {
    /// Says of each membership of a group what it is at the target.
    fn count(
        &mut self,
        source: &Account,
        group: &Group,
        mailed: &BTreeSet<String>,
        refusing: &BTreeSet<String>,
    ) {
        let mut counted = BTreeSet::new();
        for contact in group.members.keys() {
            self.shares.listed += 1;
            let address = source.contact(*contact).map(|contact| &contact.email);
            let address = address.and_then(|address| normalise_address(address).ok());
            let Some(address) = address.map(|address| address.as_str().to_owned()) else {
                self.shares.no_address += 1;
                continue;
            };
            let (is_mailed, refuses) = (mailed.contains(&address), refusing.contains(&address));
            let share = match counted.insert(address) {
                false => &mut self.shares.twice,
                true if is_mailed => &mut self.shares.mailed,
                true if refuses => &mut self.shares.refuse,
                true => &mut self.shares.undeliverable,
            };
            *share += 1;
        }
    }
}

/// Compares each group of the source that a job covers with the target's group of the same name.
pub(super) fn compare(
    source: &Account,
    target: &Account,
    covers: impl Fn(&str) -> bool,
) -> Verdict {
    let mut verdict = Verdict::default();
    let unwilling = |account: &Account, group| barred(account, group, false);
    for group in source.groups.values().filter(|group| covers(&group.name)) {
        let Some(partner) = target.find_group(&group.name) else {
            verdict
                .missing
                .push(format!("{}: the whole group", group.name));
            continue;
        };
        verdict.groups += 1;
        let refused = unwilling(source, group.id);
        let barred: BTreeSet<String> = barred(source, group.id, true)
            .into_iter()
            .chain(barred(target, partner, true))
            .collect();
        let wanted = normalised(source.mailed_by(group.id));
        let mailed: BTreeSet<String> = normalised(target.mailed_by(partner));
        let refusing: BTreeSet<String> = refused
            .iter()
            .cloned()
            .chain(unwilling(target, partner))
            .collect();
        verdict.count(source, group, &mailed, &refusing);
        let named = |address: &String| format!("{}: {address}", group.name);
        verdict.missing.extend(
            wanted
                .iter()
                .filter(|address| !mailed.contains(*address) && !barred.contains(*address))
                .map(named),
        );
        verdict.mailed_against_will.extend(
            mailed
                .iter()
                .filter(|address| refused.contains(*address))
                .map(named),
        );
    }
    verdict
}

/// Who refuses the mail of the account or of one group, and on request whose address is given up.
fn barred(account: &Account, group: u64, undeliverable: bool) -> BTreeSet<String> {
    let contacts = account.contacts.values();
    let of_account = contacts.filter(|contact| {
        contact.opted_out.is_some() || undeliverable && contact.bounced.is_some()
    });
    let of_group = account
        .members_of(group)
        .into_iter()
        .filter(|(_, state)| match state {
            MembershipState::OptedOut => true,
            MembershipState::Bounced => undeliverable,
            MembershipState::Active | MembershipState::Unconfirmed => false,
        });
    let of_group = of_group.filter_map(|(contact, _)| account.contact(contact));
    normalised(
        of_account
            .chain(of_group)
            .map(|contact| contact.email.clone()),
    )
}

fn normalised(addresses: impl IntoIterator<Item = String>) -> BTreeSet<String> {
    addresses
        .into_iter()
        .filter_map(|address| normalise_address(&address).ok())
        .map(|address| address.as_str().to_owned())
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::emulator::Kind;

    #[test]
    fn what_is_missing_and_what_is_wrong_is_named() {
        let mut source = Account::new(Kind::GreenRope, "crm", 1);
        let mut target = Account::new(Kind::Emfluence, "mail", 2);
        let (here, there) = (source.add_group("Donors"), target.add_group("Donors"));
        source.add_group("Choir");
        for (name, at_source, at_target) in [
            (
                "both",
                Some(MembershipState::Active),
                Some(MembershipState::Active),
            ),
            ("late", Some(MembershipState::Active), None),
            (
                "left",
                Some(MembershipState::Active),
                Some(MembershipState::OptedOut),
            ),
            (
                "refuses",
                Some(MembershipState::OptedOut),
                Some(MembershipState::Active),
            ),
            ("refused", Some(MembershipState::OptedOut), None),
        ] {
            for (account, group, state) in [
                (&mut source, here, at_source),
                (&mut target, there, at_target),
            ] {
                let contact = account.add_contact(&format!("{name}@example.org"));
                if let Some(state) = state {
                    account.set_membership_state(group, contact, state);
                }
            }
        }
        let verdict = compare(&source, &target, |_| true);
        assert_eq!(
            verdict.missing,
            ["Donors: late@example.org", "Choir: the whole group"]
        );
        assert_eq!(verdict.mailed_against_will, ["Donors: refuses@example.org"]);
        let shares = Shares {
            listed: 5,
            mailed: 2,
            refuse: 2,
            undeliverable: 1,
            ..Shares::default()
        };
        assert_eq!((verdict.groups, verdict.shares), (1, shares));
        assert!(
            verdict
                .settle()
                .unwrap_err()
                .to_string()
                .contains("2 missing, 1 mailed against their will")
        );
    }
}
