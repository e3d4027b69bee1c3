//! The groups that a job pairs, gathered from the config and the state database.

use std::collections::BTreeSet;

use serde::Serialize;

use super::View;
use crate::config::settled::JobConfig;
use crate::model::ProviderKind;
use crate::plan::base::{GroupLink, Origin};
use crate::provider;
use crate::report::{FORMAT_VERSION, LinkRow, LinkState, Links};
use crate::state::{StateError, Store};

/// Gathers what is known of a job's pairs.
pub fn links(
    store: Option<&Store>,
    job: &JobConfig,
    kind: ProviderKind,
) -> Result<Links, StateError> {
    let mut links = Links {
        job: job.name.clone(),
        source: job.source.clone(),
        target: job.target.clone(),
        links: Vec::new(),
        blocked: Vec::new(),
        accepted: BTreeSet::new(),
    };
    if let Some(store) = store {
        let counts = store.memberships_by_group(&job.name)?;
        for link in store.links(&job.name)? {
            let counts = counts.get(&link.target).copied().unwrap_or_default();
            links.links.push(row(job, kind, link, counts));
        }
        let failures = store.failures(Some(&job.name))?.into_iter();
        links.blocked = failures
            .filter(|failure| failure.note.what == "group")
            .collect();
        let accepted = store.accepted(&job.name)?.into_iter();
        links.accepted = accepted.map(|accepted| accepted.note.item).collect();
    }
    let is_linked = |source: &String| links.links.iter().any(|link| link.source == *source);
    let pins = job.groups.pin.iter();
    let waiting: Vec<LinkRow> = pins
        .filter(|(source, _)| !is_linked(source))
        .map(|(source, target)| LinkRow {
            source: source.clone(),
            source_name: None,
            target: target.clone(),
            target_name: None,
            origin: LinkState::Waiting,
            brought: 0,
            memberships: 0,
        })
        .collect();
    links.links.extend(waiting);
    Ok(links)
}

fn row(
    job: &JobConfig,
    kind: ProviderKind,
    link: GroupLink,
    (brought, memberships): (u64, u64),
) -> LinkRow {
    let name = provider::schema(kind).group_name_field();
    let held = link.fields.get(name).and_then(|base| base.target.as_ref());
    LinkRow {
        origin: match link.origin {
            Origin::Created => LinkState::Created,
            Origin::Adopted => LinkState::Adopted,
            Origin::Pinned if job.groups.pin.get(&link.source) == Some(&link.target) => {
                LinkState::Pinned
            }
            Origin::Pinned => LinkState::ByHand,
        },
        target_name: held.map(ToString::to_string),
        source_name: Some(link.name).filter(|name| !name.is_empty()),
        source: link.source,
        target: link.target,
        brought,
        memberships,
    }
}

/// The pairs of a job, with how many members each group had at the end of the last run.
#[derive(Clone, Debug, Serialize)]
pub struct Groups {
    /// The version of the format.
    pub version: u32,
    /// The job.
    pub job: String,
    /// The configured name of the source.
    pub source: String,
    /// The configured name of the target.
    pub target: String,
    /// The pairs.
    pub links: Vec<LinkRow>,
}

impl View<'_> {
    /// Gathers the pairs of a job; nothing where the config has none of that name.
    pub fn groups(&self, job: &str) -> Result<Option<Groups>, StateError> {
        let Some(job) = self.config.jobs.get(job) else {
            return Ok(None);
        };
        let kind = self.config.providers[&job.target].kind;
        let links = links(self.store, job, kind)?;
        Ok(Some(Groups {
            version: FORMAT_VERSION,
            job: links.job,
            source: links.source,
            target: links.target,
            links: links.links,
        }))
    }
}
