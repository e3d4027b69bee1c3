//! Looks at named members of groups alone, right before they are taken out: what that takes depends
//! on them, and not on how many others there are.

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};

use super::again::{GroupNow, failed, groups_now, row_now};
use crate::model::{MembershipState, normalise_address};
use crate::provider::{NamedAsk, NamedMember, Told};
use crate::run::accounts::{Handle, unless_stopped};
use crate::run::error::RunError;

/// Returns how members stand in groups now, asked for by the ids of both: by name where that takes
/// fewer requests than listing the groups, which hold `listed` as far as is known.
pub(in crate::run) async fn named_now(
    handle: &Handle,
    asked: &BTreeMap<String, BTreeSet<String>>,
    listed: u64,
) -> Result<HashMap<String, GroupNow>, RunError> {
    let mut people: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
    for (group, ids) in asked {
        for id in ids {
            people.entry(id.clone()).or_default().insert(group.clone());
        }
    }
    let ask = NamedAsk {
        people: &people,
        listed,
    };
    let asking = async {
        let named = handle.adapter.named_members(&ask).await;
        named.map_err(failed(handle))
    };
    let Some(named) = unless_stopped(&handle.stop, asking).await? else {
        return groups_now(handle, &asked.keys().cloned().collect()).await;
    };
    let mut seen = HashMap::new();
    for (group, ids) in asked {
        let told = |member: &NamedMember| member.groups.get(group) == Some(&Told::NotListed);
        // Nobody is a member of a group that is gone, or that the login does not see any more.
        let gone = if named.iter().any(told) {
            row_now(handle, group).await?.err()
        } else {
            None
        };
        let now = gone.unwrap_or_else(|| named_in(group, ids, &named));
        seen.insert(group.clone(), now);
    }
    Ok(seen)
}

/// Puts together what was said of a group. Whoever was asked for and is not told of is uncertain.
fn named_in(group: &str, ids: &BTreeSet<String>, named: &[NamedMember]) -> GroupNow {
    let mut uncertain: HashSet<String> = ids.iter().cloned().collect();
    let mut now = GroupNow {
        asked: Some(uncertain.clone()),
        ..GroupNow::unread("not everybody was asked after".to_owned())
    };
    for member in named.iter().filter(|member| ids.contains(&member.id)) {
        let Some(told) = member.groups.get(group) else {
            continue;
        };
        uncertain.remove(&member.id);
        let Told::Listed { state, refused_at } = *told else {
            continue;
        };
        now.by_id.insert(member.id.clone(), state);
        if let Some(time) = refused_at.filter(|_| state == MembershipState::OptedOut) {
            now.refused_at.insert(member.id.clone(), time);
        }
        let address = member.address.as_deref().map(normalise_address);
        if let Some(Ok(address)) = address {
            let people = now.by_address.entry(address.as_str().to_owned());
            people.or_default().push((member.id.clone(), state));
        }
    }
    now.uncertain = uncertain;
    now
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn whoever_is_not_told_of_is_neither_in_the_group_nor_out_of_it() {
        let member = |id: &str, told: &[(&str, Told)]| NamedMember {
            id: id.to_owned(),
            address: Some(format!("Reader{id}@example.org")),
            groups: told
                .iter()
                .map(|(group, told)| ((*group).to_owned(), *told))
                .collect(),
        };
        let listed = |state| Told::Listed {
            state,
            refused_at: Some(7),
        };
        let named = [
            member("1", &[("g", listed(MembershipState::Active))]),
            member("2", &[("g", listed(MembershipState::OptedOut))]),
            member("3", &[("g", Told::NotListed)]),
            member("4", &[("h", listed(MembershipState::Active))]),
            member("6", &[("g", listed(MembershipState::Active))]),
        ];
        let ids = ["1", "2", "3", "4", "5"].map(str::to_owned);
        let now = named_in("g", &ids.into(), &named);
        let told = ["1", "2", "3", "4", "5", "6"].map(|id| now.tells_of(id));
        assert_eq!(
            told,
            [true, true, true, false, false, false],
            "of somebody for whom nobody asked nothing is known either"
        );
        assert!(!now.whole && !now.by_id.contains_key("6"));
        let states = ["1", "2", "3", "4"].map(|id| now.by_id.get(id).copied());
        assert_eq!(
            states,
            [
                Some(MembershipState::Active),
                Some(MembershipState::OptedOut),
                None,
                None
            ]
        );
        assert_eq!(now.refused_at, HashMap::from([("2".to_owned(), 7)]));
        assert_eq!(
            now.by_address["reader1@example.org"],
            [("1".to_owned(), MembershipState::Active)]
        );
    }
}
