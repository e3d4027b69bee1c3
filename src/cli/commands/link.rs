//! `rosterd link` and `rosterd unlink`: which groups belong together, settled by hand.

use crate::cli::context::{Context, know_job, the_job};
use crate::cli::error::CommandError;
use crate::cli::exit::ExitCode;
use crate::cli::output::print;
use crate::config::Config;
use crate::plan::base::{FieldBases, GroupLink, Origin};
use crate::program::ROSTERD;
use crate::run::Runner;
use crate::state::{Change, Locks};

/// Settles by hand that a source group and a target group belong together.
///
/// Groups are named by their ids at the provider, as plans show them, or by their names; both
/// providers are asked whether they exist. The next plan adopts the target group and fills in what it
/// lacks.
#[derive(clap::Args, Debug)]
#[command(override_usage = "rosterd link [JOB] SOURCE TARGET")]
pub(crate) struct LinkArgs {
    /// The job, which may be left out where there is only one; the id or the name of the group at the
    /// source; the id or the name of the group at the target.
    #[arg(num_args = 2..=3, required = true, value_name = "JOB|GROUP")]
    words: Vec<String>,
}

/// Forgets which target group belongs to a source group, and what the job brought into it.
///
/// Nothing changes at any provider. The next plan looks for a partner again.
#[derive(clap::Args, Debug)]
#[command(override_usage = "rosterd unlink [JOB] SOURCE")]
pub(crate) struct UnlinkArgs {
    /// The job, which may be left out where there is only one, and the id of the group at the source.
    #[arg(num_args = 1..=2, required = true, value_name = "JOB|GROUP")]
    words: Vec<String>,
}

pub(crate) async fn cmd_link(context: &Context, args: &LinkArgs) -> Result<ExitCode, CommandError> {
    let (job, [source, target]) = job_and(&args.words)?;
    let config = known(context, job)?;
    let job = the_job(&config, job, "link")?;
    let (source, target) = (id(source)?, id(target)?);
    let _held = Locks::new(&config.state_path).lock_job(&job.name)?;
    let runner = context.runner(config.clone())?;
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
            "to part them first: {ROSTERD} unlink {} {source}",
            job.name
        )));
    }
    if let Some(link) = links.iter().find(|link| link.target == target) {
        return Err(CommandError::usage(format!(
            "target group {target} is linked to source group {}",
            link.source
        ))
        .hint(format!(
            "to part them first: {ROSTERD} unlink {} {}",
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
            "`{ROSTERD} plan {}` shows what follows from it.",
            job.name
        )
    })?;
    Ok(ExitCode::Done)
}

pub(crate) fn cmd_unlink(context: &Context, args: &UnlinkArgs) -> Result<ExitCode, CommandError> {
    let (job, [source]) = job_and(&args.words)?;
    let config = known(context, job)?;
    let job = the_job(&config, job, "unlink")?;
    let source = id(source)?;
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

/// Parts what was typed: a job, where one is named, and groups.
fn job_and<const GROUPS: usize>(
    words: &[String],
) -> Result<(Option<&str>, [&str; GROUPS]), CommandError> {
    let (job, groups) = match words.split_first() {
        Some((job, groups)) if groups.len() == GROUPS => (Some(job.as_str()), groups),
        _ => (None, words),
    };
    let groups: Vec<&str> = groups.iter().map(String::as_str).collect();
    let groups = groups.try_into();
    let groups = groups.map_err(|_| CommandError::usage("groups are missing, or too many"))?;
    Ok((job, groups))
}

/// Loads the config, with the job of a pair of providers that was named.
fn known(context: &Context, job: Option<&str>) -> Result<Config, CommandError> {
    let mut config = context.config_with_job()?;
    if let Some(job) = job {
        know_job(&mut config, job)?;
    }
    Ok(config)
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
            "to see what the login sees: {ROSTERD} groups {provider}"
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
