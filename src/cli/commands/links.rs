//! `rosterd links`: which groups a job has paired.

use std::collections::BTreeSet;

use crate::cli::context::{Context, the_job};
use crate::cli::error::CommandError;
use crate::cli::exit::ExitCode;
use crate::cli::format::{Format, FormatArg};
use crate::cli::output::print;
use crate::config::settled::JobConfig;
use crate::model::ProviderKind;
use crate::plan::base::{GroupLink, Origin};
use crate::provider;
use crate::report::{LinkRow, LinkState, Links, write_links_json, write_links_text};
use crate::state::{StateError, Store};

/// Lists the pairs of groups of a job, how each came about, and the groups that wait for a person.
///
/// Asks no provider: what is shown is what the last confirmed run knew. BROUGHT counts the
/// memberships that the job brought, of all that stood on both sides then.
#[derive(clap::Args, Debug)]
pub(crate) struct LinksArgs {
    /// The job; may be left out where the config has only one.
    job: Option<String>,
    #[command(flatten)]
    format: FormatArg,
}

pub(crate) fn cmd_links(context: &Context, args: &LinksArgs) -> Result<ExitCode, CommandError> {
    let config = context.config_with(args.job.as_deref())?;
    let job = the_job(&config, args.job.as_deref(), "links")?;
    let kind = config.providers[&job.target].kind;
    let store = Context::existing_store(&config)?;
    let links = links(store.as_ref(), job, kind)?;
    print(|out| match args.format.format {
        Format::Text => write_links_text(out, &links),
        Format::Json => write_links_json(out, &links),
    })?;
    Ok(ExitCode::Done)
}

/// Gathers what is known of a job's pairs.
fn links(store: Option<&Store>, job: &JobConfig, kind: ProviderKind) -> Result<Links, StateError> {
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
