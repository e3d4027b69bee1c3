//! Reads an account for its own sake, and not as one side of a job: its groups.

use std::collections::BTreeMap;

use super::groups::GroupsToWrite;
use crate::model::{Group, GroupRow, ProviderKind, TotalMeanings, id_order, without_addresses};
use crate::provider;
use crate::run::accounts::{Handle, Runner, unless_stopped};
use crate::run::error::RunError;

/// The groups of an account, as its login shows them.
#[derive(Clone, Debug)]
pub struct AccountGroups {
    /// The configured name of the provider.
    pub provider: String,
    /// Its kind.
    pub kind: ProviderKind,
    /// The groups, in ascending order of the id.
    pub groups: Vec<Group>,
    /// Why there may be others, one sentence each; empty where these are all.
    pub doubts: Vec<String>,
    /// By the group's id, the pairs that jobs have made of it.
    pub links: BTreeMap<String, Vec<LinkedBy>>,
}

/// That a job links a group.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LinkedBy {
    /// The job.
    pub job: String,
    /// Whether the group is the target of the pair, and not the source.
    pub is_target: bool,
    /// The id of the other group of the pair.
    pub partner: String,
}

/// The groups of an account as they were decoded and as they are meant, with the reasons why there may
/// be others.
struct Listed {
    groups: Vec<(GroupRow, Group)>,
    doubts: Vec<String>,
}

impl Runner {
    /// Lists the groups of an account, archived ones included, with the jobs that link them.
    pub async fn account_groups(&self, name: &str) -> Result<AccountGroups, RunError> {
        let _held = self.hold_to_read(&[&name.to_owned()]).await?;
        let handle = self.handle(name)?;
        let reading = async {
            self.inner.options.progress.stage(name, "Reading groups");
            let open = handle.adapter.open().await;
            open.map_err(handle.read_error())?;
            self.groups_of(&handle, &|_, _| false).await
        };
        let listed = unless_stopped(&self.inner.options.stop, reading).await?;
        self.inner.options.progress.finish(name);
        Ok(AccountGroups {
            provider: name.to_owned(),
            kind: handle.adapter.kind(),
            groups: listed.groups.into_iter().map(|(_, group)| group).collect(),
            doubts: listed.doubts,
            links: self.links_at(name)?,
        })
    }

    /// Reads the groups of an account, with every field of the wanted ones, and says why there may
    /// be others.
    async fn groups_of(
        &self,
        handle: &Handle,
        wanted: &(dyn Fn(&str, &str) -> bool + Sync),
    ) -> Result<Listed, RunError> {
        let GroupsToWrite {
            rows,
            certificate,
            belief,
        } = self.groups_to_write(handle, wanted).await?;
        let reading = certificate.certify((), &mut TotalMeanings::all());
        let mut doubts = self.hidden_at(handle);
        doubts.extend(without_names(reading.why_incomplete()));
        let bare = belief.filter(|belief| belief.is_bare);
        doubts.extend(bare.map(|belief| belief.words));
        let unread = rows.iter().filter_map(|row| {
            let what = row.unread?.explain();
            Some(format!("group {} {what}", row.id))
        });
        doubts.extend(unread);
        let schema = provider::schema(handle.adapter.kind());
        let mut groups: Vec<(GroupRow, Group)> = rows
            .into_iter()
            .map(|row| (row.clone(), Group::from_row(row, schema)))
            .collect();
        groups.sort_by(|(left, _), (right, _)| id_order(&left.id).cmp(&id_order(&right.id)));
        Ok(Listed { groups, doubts })
    }

    /// Says what keeps a login from seeing all of its account.
    fn hidden_at(&self, handle: &Handle) -> Vec<String> {
        let provider = self.config().providers.get(&handle.name);
        if provider.is_some_and(|provider| provider.shared_access) {
            let part = "the login sees only a part of the account (`shared_access = true`)";
            return vec![part.to_owned()];
        }
        let mut remarks = handle.adapter.remarks();
        if remarks.is_empty() && !handle.adapter.sees_everything() {
            remarks.push("the login does not see everything of the account".to_owned());
        }
        remarks
    }

    /// Returns the pairs that the jobs of the config have made of a provider's groups.
    fn links_at(&self, name: &str) -> Result<BTreeMap<String, Vec<LinkedBy>>, RunError> {
        let account = self.account_hash(name);
        let mut links: BTreeMap<String, Vec<LinkedBy>> = BTreeMap::new();
        for job in self.config().jobs.values() {
            let sides = [(&job.source_account, false), (&job.target_account, true)];
            for (_, is_target) in sides.into_iter().filter(|(of, _)| **of == account) {
                for link in self.store().links(&job.name)? {
                    let (group, partner) = if is_target {
                        (link.target, link.source)
                    } else {
                        (link.source, link.target)
                    };
                    links.entry(group).or_default().push(LinkedBy {
                        job: job.name.clone(),
                        is_target,
                        partner,
                    });
                }
            }
        }
        Ok(links)
    }
}

/// The provider's words name nobody in what is shown.
fn without_names(why: &[String]) -> Vec<String> {
    why.iter().map(|why| without_addresses(why)).collect()
}
