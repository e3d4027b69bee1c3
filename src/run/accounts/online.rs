//! Logs in and looks at what an account shows and grants: `check --online`.

use super::runner::Runner;
use crate::config::settled::Missing;
use crate::model::{CustomFields, GroupRow, ProviderKind};
use crate::provider::{self, Duties};
use crate::run::error::RunError;
use crate::run::read::GroupsToWrite;

/// What `check --online` found out about an account.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OnlineReport {
    /// The configured name.
    pub provider: String,
    /// How many groups the login sees.
    pub groups: usize,
    /// Why the list of groups may not be whole; empty when it is.
    pub doubts: Vec<String>,
    /// What the login may not see, as far as it shows and the config does not say so itself.
    pub remarks: Vec<String>,
    /// Which rights the login lacks for the jobs that write there, as far as the provider shows it.
    pub lacks: Vec<String>,
    /// Whether the definitions of custom fields could be read.
    pub custom_fields_known: bool,
    /// Requests that this took.
    pub requests: u64,
}

impl Runner {
    /// Logs in at a provider, proves the account and the rights, and reads its groups.
    pub async fn check_online(&self, name: &str) -> Result<OnlineReport, RunError> {
        let _held = self.hold_to_read(&[&name.to_owned()]).await?;
        let handle = self.handle(name)?;
        let shared = self
            .inner
            .config
            .providers
            .get(name)
            .is_some_and(|provider| provider.shared_access);
        let before = handle.account.statistics().requests();
        let failed = |error| RunError::Read {
            provider: name.to_owned(),
            error: Box::new(error),
        };
        handle.adapter.open().await.map_err(failed)?;
        let GroupsToWrite {
            rows: groups,
            certificate,
            belief,
        } = self.groups_to_write(&handle, &|_, _| false).await?;
        let custom = handle.adapter.custom_fields().await.map_err(failed)?;
        let mut lacks = match self.duties(name) {
            Some(duties) => handle
                .adapter
                .lacks(duties, &groups)
                .await
                .map_err(failed)?,
            None => Vec::new(),
        };
        lacks.extend(self.unlisted_custom(name, &custom));
        let reading = certificate.certify((), &mut crate::model::TotalMeanings::all());
        let mut remarks: Vec<String> = belief.into_iter().map(|belief| belief.words).collect();
        if !shared {
            remarks.extend(handle.adapter.remarks());
        }
        Ok(OnlineReport {
            provider: name.to_owned(),
            groups: groups.len(),
            doubts: reading.why_incomplete().to_vec(),
            remarks,
            lacks,
            custom_fields_known: custom.known,
            requests: handle.account.statistics().requests() - before,
        })
    }

    /// Finds the groups that some words stand for at a provider: the one with that id, or else all
    /// with that name. Each comes with its id and its name.
    pub async fn find_groups(
        &self,
        name: &str,
        words: &str,
    ) -> Result<Vec<(String, String)>, RunError> {
        let _held = self.hold_to_read(&[&name.to_owned()]).await?;
        let handle = self.handle(name)?;
        let failed = |error| RunError::Read {
            provider: name.to_owned(),
            error: Box::new(error),
        };
        handle.adapter.open().await.map_err(failed)?;
        let schema = provider::schema(handle.adapter.kind());
        let known = |row: GroupRow| {
            let name = row.wire.get(schema.group_name_field());
            (row.id, name.map(ToString::to_string).unwrap_or_default())
        };
        if let Some(row) = handle.adapter.group(words).await.map_err(failed)? {
            return Ok(vec![known(row)]);
        }
        let (rows, certificate) = handle.adapter.groups(&|_, _| false).await.map_err(failed)?;
        // Another group of that name may be among those that did not come.
        let reading = certificate.certify((), &mut crate::model::TotalMeanings::all());
        if !reading.why_incomplete().is_empty() {
            return Err(RunError::Groups {
                provider: name.to_owned(),
                why: reading.why_incomplete().join("; "),
            });
        }
        let folded = |name: &str| name.trim().to_lowercase();
        let named = rows.into_iter().map(known);
        Ok(named
            .filter(|(_, name)| folded(name) == folded(words))
            .collect())
    }

    /// Says which jobs name custom fields of a provider by labels that the login may not list.
    fn unlisted_custom(&self, name: &str, custom: &CustomFields) -> Vec<String> {
        let unknown = CustomFields::default();
        let mut lacks = Vec::new();
        for job in self.inner.config.jobs.values() {
            let mut say = |words: Option<String>| {
                lacks.extend(words.map(|words| format!("`jobs.{}`: {words}", job.name)));
            };
            if job.source == name
                && let Ok(mapping) = self.bind(job, custom, &unknown)
            {
                say(mapping.where_undecided());
                let [of_source, _] = mapping.unlisted_custom();
                say(of_source);
            }
            if job.target == name
                && let Ok(mapping) = self.bind(job, &unknown, custom)
            {
                let [_, of_target] = mapping.unlisted_custom();
                say(of_target);
            }
        }
        lacks
    }

    /// Returns what the jobs of the config may do at a provider; nothing where none writes there.
    fn duties(&self, name: &str) -> Option<Duties> {
        let config = &self.inner.config;
        let users = config.providers.get(name)?.kind == ProviderKind::ActiveCampaignUsers;
        let jobs = config.jobs.values().filter(|job| job.target == name);
        jobs.map(|job| Duties {
            save_groups: true,
            delete_groups: job.groups.missing == Missing::Delete,
            create_members: job.members.create && (job.members.create_users || !users),
            change_members: true,
            create_fields: job.create_fields,
        })
        .reduce(|one, other| Duties {
            save_groups: one.save_groups || other.save_groups,
            delete_groups: one.delete_groups || other.delete_groups,
            create_members: one.create_members || other.create_members,
            change_members: one.change_members || other.change_members,
            create_fields: one.create_fields || other.create_fields,
        })
    }
}
