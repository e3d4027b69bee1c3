//! The lists of groups: whether they are whole, and what is carried for them.

use std::collections::{BTreeMap, BTreeSet};

use crate::config::settled::JobConfig;
use crate::model::{
    Certificate, Existence, Group, GroupKind, GroupRow, Incomplete, Listing, ObjectKind, Reading,
    Snapshot, TotalMeanings, Value, Writable,
};
use crate::provider::{GroupsByPeople, ReadError};
use crate::run::Runner;
use crate::run::accounts::Handle;
use crate::run::error::RunError;
use crate::state::Store;

/// The groups of an account that jobs write to.
pub(in crate::run) struct GroupsToWrite {
    pub(in crate::run) rows: Vec<GroupRow>,
    pub(in crate::run) certificate: Certificate,
    /// What an account without a list of groups is taken for.
    pub(in crate::run) belief: Option<Belief>,
}

/// That an account without a list of groups has none.
pub(in crate::run) struct Belief {
    /// A sentence that says so, and why.
    pub(in crate::run) words: String,
    /// Whether nothing speaks for it, so that no group is made on the strength of it alone.
    pub(in crate::run) is_bare: bool,
}

/// With a list of groups that came in pieces nothing else means anything. One that nothing vouches
/// for, or that is shorter than was announced, can be used, without concluding from what is not in
/// it.
pub(super) fn certain(provider: &str, certificate: &Certificate) -> Result<(), RunError> {
    match certificate.problems.as_slice() {
        [] => Ok(()),
        why => Err(RunError::Groups {
            provider: provider.to_owned(),
            why: why.join("; "),
        }),
    }
}

/// Asks for groups by id that a listing does not show. A group is missing only when it can't be found that
/// way either: nothing counts the groups of some accounts. Returns those of which that can't be told, with
/// the reason.
pub(super) async fn look_for<'a>(
    handle: &Handle,
    ids: impl Iterator<Item = &'a str>,
    rows: &mut Vec<GroupRow>,
) -> Result<BTreeMap<String, String>, RunError> {
    let mut unseen: BTreeSet<String> = ids.map(str::to_owned).collect();
    for row in rows.iter() {
        unseen.remove(&row.id);
    }
    let mut unsure = BTreeMap::new();
    for id in unseen {
        match handle.adapter.group(&id).await {
            Ok(row) => rows.extend(row),
            // Whether it is there is not known, so nothing is missing for not being listed.
            Err(ReadError::Call(error)) if error.is_of_the_question() => {
                let why = format!("group {id} could not be looked for: {error}");
                unsure.insert(id, why);
            }
            Err(error) => return Err(handle.read_error()(error)),
        }
    }
    Ok(unsure)
}

impl Runner {
    /// Reads the groups of an account that jobs write to.
    ///
    /// One without any group may show no list of them. That is believed, and said in a sentence, as
    /// long as nothing known here says that it has groups, the login sees everything, and everybody
    /// of the account shows to be in none: otherwise it would take groups for gone, or make one twice.
    /// Where nobody is shown either, a login that sees nothing looks the same, and a guard asks.
    pub(in crate::run) async fn groups_to_write(
        &self,
        target: &Handle,
        wanted: &(dyn Fn(&str, &str) -> bool + Sync),
    ) -> Result<GroupsToWrite, RunError> {
        let error = match target.adapter.groups(wanted).await {
            Err(ReadError::NoGroups(error)) if self.is_unused(&target.name)? => error,
            groups => {
                let (rows, certificate) = groups.map_err(target.read_error())?;
                return Ok(GroupsToWrite {
                    rows,
                    certificate,
                    belief: None,
                });
            }
        };
        let shown = target.adapter.groups_by_people().await;
        let (is_bare, why) = match shown.map_err(target.read_error())? {
            GroupsByPeople::Unsaid => {
                return Err(target.read_error()(ReadError::NoGroups(error)));
            }
            GroupsByPeople::NoGroups => (false, "no link, no pin and no contact says otherwise"),
            GroupsByPeople::Nobody => (
                true,
                "no link and no pin says otherwise, but it shows no contact either, as to a login that sees nothing; groups are made there only with an approval",
            ),
        };
        Ok(GroupsToWrite {
            rows: Vec::new(),
            certificate: Certificate::of_the_end(),
            belief: Some(Belief {
                words: format!(
                    "\"{}\" shows no list of groups ({error}), and counts as an account without any: {why}.",
                    target.name
                ),
                is_bare,
            }),
        })
    }

    /// Tells whether some job writes to a provider whose login sees everything, and no group of its
    /// account is linked, is pinned or may have been made.
    fn is_unused(&self, provider: &str) -> Result<bool, RunError> {
        let config = &self.inner.config;
        let mut jobs = config.jobs.values();
        let Some(job) = jobs.find(|job| job.target == provider) else {
            return Ok(false);
        };
        let (account, store) = (&job.target_account, self.store());
        let is_pinned = config.jobs.values().any(|job| {
            !job.groups.pin.is_empty()
                && (job.target_account == *account || job.source_account == *account)
        });
        Ok(!config.providers[provider].shared_access
            && !is_pinned
            && !store.has_group_links(account)?
            && store.last_creation_unsettled(account)?.is_none())
    }
}

/// Reads which objects the fields that the config maps may name; what a group names already counts,
/// whether it is seen or not.
pub(in crate::run) async fn nameable(
    target: &Handle,
    job: &JobConfig,
    rows: &BTreeMap<String, GroupRow>,
) -> Result<BTreeMap<String, BTreeSet<String>>, RunError> {
    let mut nameable = BTreeMap::new();
    for field in job.map_group.keys() {
        let Some(mut ids) = target
            .adapter
            .nameable(field)
            .await
            .map_err(target.read_error())?
        else {
            continue;
        };
        for row in rows.values() {
            if let Some(Value::List(named)) = row.wire.get(field.as_str()) {
                ids.extend(named.iter().cloned());
            }
        }
        nameable.insert(field.clone(), ids);
    }
    Ok(nameable)
}

/// Makes groups of rows, with carried values as if the provider had returned them.
pub(in crate::run) fn groups_with_carried(
    store: &Store,
    account: &str,
    rows: &[GroupRow],
    schema: &crate::model::Schema,
) -> Result<Vec<Group>, RunError> {
    let mut carried = store.carried(account, ObjectKind::Group)?;
    Ok(rows
        .iter()
        .map(|row| {
            let mut group = Group::from_row(row.clone(), schema);
            for (field, value) in carried.remove(&group.id).unwrap_or_default() {
                // What a provider makes up of other fields is not what somebody wrote elsewhere.
                if schema
                    .by_canonical(ObjectKind::Group, &field)
                    .is_some_and(|row| row.writable == Writable::No)
                {
                    group.canonical.insert(field, value);
                } else {
                    group.canonical.entry(field).or_insert(value);
                }
            }
            group.protected |= group
                .canonical
                .get("protected")
                .and_then(Value::as_bool)
                .unwrap_or(false);
            group
        })
        .collect())
}

/// A snapshot that knows the groups and nothing else, good enough to pair groups.
pub(in crate::run) fn bare_snapshot(
    provider: &str,
    mut groups: Vec<Group>,
    certificate: &Certificate,
    meanings: &mut BTreeSet<TotalMeanings>,
) -> Snapshot {
    groups.sort_by(|left, right| left.id.cmp(&right.id));
    Snapshot {
        unsure_groups: BTreeSet::new(),
        provider: provider.to_owned(),
        groups: certificate.certify(groups, meanings),
        members: Vec::new(),
        listings: BTreeMap::<String, Reading<Listing>>::new(),
        certificates: BTreeMap::new(),
        account_state: Reading::Incomplete(Incomplete {
            partial: (),
            why: Vec::new(),
            opt_outs_complete: false,
        }),
        existence: Existence::Unknown,
        field_use: BTreeMap::new(),
        shown_custom: None,
        ended_removals: Vec::new(),
        unreadable: BTreeMap::new(),
    }
}

/// Says which patterns of a job's scope match no group of its source.
pub(in crate::run) fn unmatched(job: &JobConfig, groups: &[Group]) -> Vec<String> {
    let named: Vec<(&str, &str, bool)> = groups
        .iter()
        .map(|group| {
            let built_in = group.kind == GroupKind::BuiltIn;
            (group.id.as_str(), group.name.as_str(), built_in)
        })
        .collect();
    let patterns = job.groups.unmatched(&named).into_iter();
    patterns
        .map(|pattern| {
            format!(
                "The pattern \"{pattern}\" in `jobs.{}.groups.include` matches no group of {}.",
                job.name, job.source
            )
        })
        .collect()
}
