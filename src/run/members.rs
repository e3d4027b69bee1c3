//! Who is in one group of an account, and who was.

use std::collections::HashMap;

use jiff::Timestamp;

use super::accounts::{Runner, unless_stopped};
use super::error::RunError;
use crate::model::{Group, Names};
use crate::plan::fold_group_name;
use crate::provider;
use crate::run::read::OneGroup;
use crate::state::{MemberThen, Stood, Store};

/// How many names are offered in place of one that is not known.
const MOST_NEAR: usize = 3;

/// A group as people name it: by its id, or by a name that need not be its alone.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct NamedGroup {
    /// The configured name of the provider.
    pub provider: String,
    /// The id.
    pub id: String,
    /// The name, where one is known.
    pub name: String,
}

/// What a text names among groups.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum MeantGroup {
    /// One group.
    One(NamedGroup),
    /// Several of the same name.
    Several(Vec<NamedGroup>),
    /// None; the groups whose names are nearest.
    Nobody(Vec<NamedGroup>),
}

impl MeantGroup {
    /// Finds a group by its id, or else by its name in the spelling of any case.
    pub fn among(groups: &[NamedGroup], text: &str) -> MeantGroup {
        // Two accounts may have one id.
        let by_id = groups.iter().filter(|group| group.id == text);
        let by_id: Vec<NamedGroup> = by_id.cloned().collect();
        match by_id.as_slice() {
            [only] => return MeantGroup::One(only.clone()),
            [] => {}
            _ => return MeantGroup::Several(by_id),
        }
        let folded = fold_group_name(text);
        let named = groups
            .iter()
            .filter(|group| !group.name.is_empty() && fold_group_name(&group.name) == folded);
        let named: Vec<NamedGroup> = named.cloned().collect();
        match named.as_slice() {
            [only] => MeantGroup::One(only.clone()),
            [] => MeantGroup::Nobody(nearest(groups, &folded)),
            _ => MeantGroup::Several(named),
        }
    }
}

fn nearest(groups: &[NamedGroup], folded: &str) -> Vec<NamedGroup> {
    let mut near: Vec<(usize, &NamedGroup)> = groups
        .iter()
        .filter_map(|group| {
            let name = fold_group_name(&group.name);
            let away = strsim::damerau_levenshtein(&name, folded);
            let is_part = !folded.is_empty() && name.contains(folded);
            let is_near = away * 2 <= name.chars().count();
            (!name.is_empty() && (is_part || is_near)).then_some((away, group))
        })
        .collect();
    near.sort();
    let near = near.into_iter().take(MOST_NEAR);
    near.map(|(_, group)| group.clone()).collect()
}

/// Who is in a group, as the account shows it.
#[derive(Clone, Debug)]
pub struct GroupMembers {
    /// The group.
    pub group: NamedGroup,
    /// When reading began.
    pub at: Timestamp,
    /// The people, by address.
    pub members: Vec<MemberNow>,
    /// Why there may be others, or another state; empty where these are all.
    pub doubts: Vec<String>,
}

/// Somebody in a group.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MemberNow {
    /// The id in the account.
    pub id: String,
    /// The address, or what stands in its place.
    pub email: Option<String>,
    /// How they stand: `active`, `unconfirmed`, `bounced`, `held`, `opted_out`, or `unknown`.
    pub state: &'static str,
    /// Since when they stand like that, where a run of rosterd brought or saw it, or the provider tells
    /// it.
    pub since: Option<Timestamp>,
    /// The start of the run that saw them there first, where no run brought them.
    pub seen: Option<Timestamp>,
}

impl Runner {
    /// Reads who is in a group of an account, archived and dynamic ones included; which group `text`
    /// means is said where it is not one.
    pub async fn group_members(
        &self,
        provider: &str,
        text: &str,
    ) -> Result<Result<GroupMembers, MeantGroup>, RunError> {
        let _held = self.hold_to_read(&[&provider.to_owned()]).await?;
        let reading = async {
            let pick = |groups: &[Group]| {
                let named = groups.iter().map(|group| NamedGroup {
                    provider: provider.to_owned(),
                    id: group.id.clone(),
                    name: group.name.clone(),
                });
                let named: Vec<NamedGroup> = named.collect();
                match MeantGroup::among(&named, text) {
                    MeantGroup::One(group) => Ok(group.id),
                    other => Err(other),
                }
            };
            self.read_one_group(provider, &pick).await
        };
        let read = unless_stopped(&self.inner.options.stop, reading).await?;
        self.inner.options.progress.finish(provider);
        let read = match read {
            Ok(read) => read,
            Err(meant) => return Ok(Err(meant)),
        };
        let account = self.account_hash(provider);
        let then = self
            .store()
            .members_at(&account, &read.group.id, read.begun)?;
        let known: HashMap<&str, &MemberThen> = then
            .members
            .iter()
            .map(|member| (member.id.as_str(), member))
            .collect();
        let mut members = members_of(&read, read.names());
        for member in &mut members {
            let stood = match member.state {
                "active" => Stood::Member,
                "opted_out" => Stood::OptedOut,
                _ => continue,
            };
            let known = known.get(member.id.as_str());
            if let Some(known) = known.filter(|known| known.stood == stood) {
                member.since = member.since.or(known.since);
                member.seen = known.seen;
            }
        }
        members.sort_by(|left, right| (&left.email, &left.id).cmp(&(&right.email, &right.id)));
        Ok(Ok(GroupMembers {
            group: NamedGroup {
                provider: provider.to_owned(),
                id: read.group.id.clone(),
                name: read.group.name.clone(),
            },
            at: read.begun,
            members,
            doubts: read.doubts,
        }))
    }
}

fn members_of(read: &OneGroup, names: &Names) -> Vec<MemberNow> {
    let Some(reading) = read.snapshot.listing(&read.group.id) else {
        return Vec::new();
    };
    let listing = reading.seen();
    let rows = listing.rows.iter().map(|row| {
        let member = &read.snapshot.members[row.member as usize];
        let address = member.address.or(member.unusable);
        let refused = listing.refused_at(row.member);
        MemberNow {
            id: names.text(member.id).to_owned(),
            email: address.map(|address| names.text(address).to_owned()),
            state: read.state_of(*row, reading),
            since: refused.and_then(|seconds| Timestamp::from_second(seconds).ok()),
            seen: None,
        }
    });
    rows.collect()
}

/// Finds the groups of a provider that the state database knows, as far as the jobs that write to it
/// linked them; of others it knows nobody.
///
/// # Errors
/// What the state database says.
pub fn remembered_groups(
    store: &Store,
    config: &crate::config::Config,
    provider: &str,
) -> Result<Vec<NamedGroup>, RunError> {
    let mut groups = Vec::new();
    for job in config.jobs.values().filter(|job| job.target == provider) {
        let kind = config.providers[&job.target].kind;
        let field = provider::schema(kind).group_name_field();
        for link in store.links(&job.name)? {
            let held = link.fields.get(field).and_then(|base| base.target.as_ref());
            groups.push(NamedGroup {
                provider: provider.to_owned(),
                id: link.target,
                name: held.map_or(link.name, ToString::to_string),
            });
        }
    }
    groups.sort();
    groups.dedup_by(|later, kept| later.id == kept.id);
    Ok(groups)
}

/// Finds the groups at the target with which the jobs have paired a group of their source.
///
/// # Errors
/// What the state database says.
pub fn partners_at_target(
    store: &Store,
    config: &crate::config::Config,
    provider: &str,
    text: &str,
) -> Result<Vec<NamedGroup>, RunError> {
    let mut partners = Vec::new();
    for job in config.jobs.values().filter(|job| job.source == provider) {
        let folded = fold_group_name(text);
        for link in store.links(&job.name)? {
            if link.source == text || fold_group_name(&link.name) == folded {
                partners.push(NamedGroup {
                    provider: job.target.clone(),
                    id: link.target,
                    name: link.name,
                });
            }
        }
    }
    partners.sort();
    partners.dedup();
    Ok(partners)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn groups(named: &[(&str, &str)]) -> Vec<NamedGroup> {
        let named = named.iter().map(|(id, name)| NamedGroup {
            provider: "mail".to_owned(),
            id: (*id).to_owned(),
            name: (*name).to_owned(),
        });
        named.collect()
    }

    fn ids(found: MeantGroup) -> (&'static str, Vec<String>) {
        let of = |groups: Vec<NamedGroup>| groups.into_iter().map(|group| group.id).collect();
        match found {
            MeantGroup::One(group) => ("one", vec![group.id]),
            MeantGroup::Several(groups) => ("several", of(groups)),
            MeantGroup::Nobody(groups) => ("nobody", of(groups)),
        }
    }

    #[test]
    fn a_group_is_known_by_its_id_and_by_a_name_that_no_other_has() {
        let known = groups(&[
            ("1", "Donors"),
            ("2", "News"),
            ("3", "news "),
            ("4", "2"),
            ("5", ""),
        ]);
        let find = |text: &str| ids(MeantGroup::among(&known, text));
        assert_eq!(find("donors"), ("one", vec!["1".to_owned()]));
        assert_eq!(
            find("News"),
            ("several", vec!["2".to_owned(), "3".to_owned()])
        );
        assert_eq!(
            find("2"),
            ("one", vec!["2".to_owned()]),
            "an id is nobody else's"
        );
        assert_eq!(find("Donros"), ("nobody", vec!["1".to_owned()]));
        assert_eq!(find(""), ("nobody", vec![]));
        assert_eq!(find("\u{1b}[2J"), ("nobody", vec![]));
    }
}
