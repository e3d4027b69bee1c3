//! `rosterd link` and `rosterd unlink`: which groups belong together, settled by hand.

use crate::cli::context::{Context, find_job};
use crate::cli::error::CommandError;
use crate::cli::exit::ExitCode;
use crate::cli::output::print;
use crate::plan::base::{FieldBases, GroupLink, Origin};
use crate::run::Runner;
use crate::state::{Change, Locks};

/// Settles by hand that a source group and a target group belong together.
///
/// Groups are named by their ids at the provider, as plans show them, or by their names; both
/// providers are asked whether they exist. The next plan adopts the target group and fills in what it
/// lacks.
#[derive(clap::Args, Debug)]
pub(crate) struct LinkArgs {
    /// The job.
    job: String,
    /// The id or the name of the group at the source.
    source: String,
    /// The id or the name of the group at the target.
    target: String,
}

/// Forgets which target group belongs to a source group, and what the job brought into it.
///
/// Nothing changes at any provider. The next plan looks for a partner again.
#[derive(clap::Args, Debug)]
pub(crate) struct UnlinkArgs {
    /// The job.
    job: String,
    /// The id of the group at the source.
    source: String,
}

pub(crate) async fn cmd_link(context: &Context, args: &LinkArgs) -> Result<ExitCode, CommandError> {
    let config = context.config()?;
    let job = find_job(&config, &args.job)?;
    let (source, target) = (id(&args.source)?, id(&args.target)?);
    let _held = Locks::new(&config.state_path).lock_job(&job.name)?;
    let runner = context.runner(context.config()?)?;
    let source = find_group(context, &runner, &job.source, source).await?;
    let target = find_group(context, &runner, &job.target, target).await?;
    let (source, target) = (source.as_str(), target.as_str());
    if let Some(pinned) = job
        .groups
        .pin
        .get(source)
        .filter(|pinned| *pinned != target)
    {
        return Err(CommandError::usage(format!(
            "the config pins source group {source} to target group {pinned}"
        ))
        .hint(format!(
            "change `pin` below [jobs.{}.groups] instead",
            job.name
        )));
    }
    let store = Context::store(&config)?;
    let is_named = |name: &str| config.providers.contains_key(name);
    for (provider, account) in [
        (&job.source, &job.source_account),
        (&job.target, &job.target_account),
    ] {
        store.know_renamed(provider, account, is_named)?;
        store.know_account(provider, account)?;
    }
    store.register_job(&job.name, &job.source_account, &job.target_account)?;
    let links = store.links(&job.name)?;
    if links
        .iter()
        .any(|link| link.source == source && link.target == target)
    {
        print(|out| {
            writeln!(
                out,
                "Source group {source} and target group {target} are linked already."
            )
        })?;
        return Ok(ExitCode::Done);
    }
    if let Some(link) = links.iter().find(|link| link.source == source) {
        return Err(CommandError::usage(format!(
            "source group {source} is linked to target group {}",
            link.target
        ))
        .hint(format!(
            "to part them first: rosterd unlink {} {source}",
            job.name
        )));
    }
    if let Some(link) = links.iter().find(|link| link.target == target) {
        return Err(CommandError::usage(format!(
            "target group {target} is linked to source group {}",
            link.source
        ))
        .hint(format!(
            "to part them first: rosterd unlink {} {}",
            job.name, link.source
        )));
    }
    let link = GroupLink {
        source: source.to_owned(),
        target: target.to_owned(),
        origin: Origin::Pinned,
        protect_set: false,
        name: String::new(),
        fields: FieldBases::new(),
    };
    store.record(&[Change::LinkGroup {
        job: job.name.clone(),
        link,
    }])?;
    print(|out| {
        writeln!(
            out,
            "Source group {source} and target group {target} belong together now."
        )?;
        writeln!(
            out,
            "`rosterd plan {}` shows what follows from it.",
            job.name
        )
    })?;
    Ok(ExitCode::Done)
}

pub(crate) fn cmd_unlink(context: &Context, args: &UnlinkArgs) -> Result<ExitCode, CommandError> {
    let config = context.config()?;
    let job = find_job(&config, &args.job)?;
    let source = id(&args.source)?;
    let none = || {
        CommandError::usage(format!(
            "source group {source} is not linked by job \"{}\"",
            job.name
        ))
    };
    if Context::existing_store(&config)?.is_none() {
        return Err(none());
    }
    let store = Context::store(&config)?;
    let _held = Locks::new(&config.state_path).lock_job(&job.name)?;
    if !store.forget_link(&job.name, source)? {
        return Err(none());
    }
    print(|out| {
        writeln!(
            out,
            "Source group {source} is linked no more; nothing was changed at any provider."
        )
    })?;
    Ok(ExitCode::Done)
}

/// Finds the id of the one group that some words stand for.
async fn find_group(
    context: &Context,
    runner: &Runner,
    provider: &str,
    words: &str,
) -> Result<String, CommandError> {
    let found = context
        .interrupt
        .run(Box::pin(runner.find_groups(provider, words)))
        .await??;
    match found.as_slice() {
        [(id, _)] => Ok(id.clone()),
        [] => Err(CommandError::usage(format!(
            "\"{provider}\" shows no group with the id or the name {words:?}"
        ))
        .hint(format!(
            "to see what the login sees: rosterd groups {provider}"
        ))),
        several => {
            let ids: Vec<&str> = several.iter().map(|(id, _)| id.as_str()).collect();
            Err(CommandError::usage(format!(
                "\"{provider}\" has {} groups called {words:?}",
                several.len()
            ))
            .hint(format!("name one by its id: {}", ids.join(", "))))
        }
    }
}

fn id(text: &str) -> Result<&str, CommandError> {
    let id = text.trim();
    if id.is_empty() {
        Err(CommandError::usage("the id or name of a group is empty"))
    } else {
        Ok(id)
    }
}
