//! `rosterd failures`: what needs a person.

use std::collections::BTreeSet;

use crate::cli::context::{Context, know_job};
use crate::cli::error::CommandError;
use crate::cli::exit::ExitCode;
use crate::cli::format::{Format, FormatArg};
use crate::cli::output::print;
use crate::report::{write_failures_json, write_failures_text};

/// Lists items that a provider refused or that nobody can sync, with what can be done about them.
#[derive(clap::Args, Debug)]
pub(crate) struct FailuresArgs {
    /// The job; without it all of them.
    job: Option<String>,
    #[command(flatten)]
    format: FormatArg,
}

pub(crate) fn cmd_failures(
    context: &Context,
    args: &FailuresArgs,
) -> Result<ExitCode, CommandError> {
    let mut config = context.config_with_job()?;
    let (mut failures, mut accepted) = (Vec::new(), BTreeSet::new());
    if let Some(store) = Context::existing_store(&config)? {
        failures = store.failures(args.job.as_deref())?;
        let jobs: BTreeSet<&String> = failures.iter().map(|failure| &failure.job).collect();
        for job in jobs {
            let known = store.accepted(job)?.into_iter();
            accepted.extend(known.map(|known| (job.clone(), known.note.item)));
        }
    }
    if let (Some(job), true) = (&args.job, failures.is_empty()) {
        know_job(&mut config, job)?;
    }
    print(|out| match args.format.format {
        Format::Text => write_failures_text(out, &failures, &accepted, Context::now()),
        Format::Json => write_failures_json(out, &failures, &accepted),
    })?;
    Ok(ExitCode::Done)
}
