//! Compares what two emulated accounts would mail, from their own data and not from anything that
//! rosterd remembers.

use std::collections::BTreeSet;

use crate::emulator::{Account, MembershipState};
use crate::model::normalise_address;

/// What a comparison found.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Verdict {
    /// Groups of the source that were compared.
    pub(super) groups: usize,
    /// Memberships that get mail at the target.
    pub(super) mailed: usize,
    /// Who should get a group's mail at the target and does not, as `group: address`.
    pub(super) missing: Vec<String>,
    /// Who refuses a group's mail at the source and gets it at the target, as `group: address`.
    pub(super) mailed_against_will: Vec<String>,
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
        let mailed = normalised(target.mailed_by(partner));
        verdict.mailed += mailed.len();
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
        assert_eq!((verdict.groups, verdict.mailed), (1, 2));
        assert!(
            verdict
                .settle()
                .unwrap_err()
                .to_string()
                .contains("2 missing, 1 mailed against their will")
        );
    }
}
