//! `rosterd explain`: why a person or a group is as it is.

use crate::cli::context::{Context, did_you_mean, find_job};
use crate::cli::error::CommandError;
use crate::cli::exit::ExitCode;
use crate::cli::format::{Format, FormatArg};
use crate::cli::output::print;
use crate::cli::wait::WaitArg;
use crate::program::ROSTERD;
use crate::report::{quoted, write_explained_json, write_explained_text};

/// Explains why a person or a group is as it is, and what the next run would do.
///
/// Shows what each side holds, what is remembered, where each value came from, and the rule or the
/// reason that decides. Reads both sides of the job, or of every job; writes to no provider.
#[derive(clap::Args, Debug)]
pub(crate) struct ExplainArgs {
    /// An address, `#` and an id at the source, `##` and an id at the target; anything else is the
    /// name or the id of a group.
    #[arg(value_name = "EMAIL|GROUP")]
    what: String,
    /// The job; without it every job of the config is asked.
    #[arg(long, value_name = "JOB")]
    job: Option<String>,
    #[command(flatten)]
    wait: WaitArg,
    #[command(flatten)]
    format: FormatArg,
}

pub(crate) async fn cmd_explain(
    context: &Context,
    args: &ExplainArgs,
) -> Result<ExitCode, CommandError> {
    let config = context.config_with_job()?;
    let jobs: Vec<String> = match &args.job {
        Some(job) => vec![find_job(&config, job)?.name.clone()],
        None => config.jobs.keys().cloned().collect(),
    };
    if jobs.is_empty() {
        return Err(CommandError::usage("the config has no job"));
    }
    let runner = context.runner_that_waits(config, args.wait.wait)?;
    let mut explained = Vec::new();
    for job in &jobs {
        let asking = context
            .interrupt
            .run(Box::pin(runner.explain(job, &args.what)));
        explained.push(asking.await??);
    }
    let is_person = args.what.contains('@') || args.what.starts_with('#');
    if !is_person && explained.iter().all(|one| one.groups.is_empty()) {
        let mut links = Vec::new();
        for job in &jobs {
            links.extend(runner.store().links(job)?);
        }
        let known = links
            .iter()
            .map(|link| (link.source.as_str(), link.name.as_str()));
        let unknown = CommandError::usage(format!(
            "no account of {} shows a group {}",
            jobs.join(", "),
            quoted(&args.what)
        ));
        return Err(match did_you_mean(known, &args.what) {
            Some(near) => unknown.hint(near),
            None => unknown.hint(format!(
                "`{ROSTERD} groups PROVIDER` lists the groups of an account"
            )),
        });
    }
    print(|out| match args.format.format {
        Format::Json => write_explained_json(out, &explained),
        Format::Text => explained.iter().enumerate().try_for_each(|(at, one)| {
            if at > 0 {
                writeln!(out)?;
            }
            write_explained_text(out, one, &Context::zone(), context.verbose())
        }),
    })?;
    Ok(ExitCode::Done)
}
