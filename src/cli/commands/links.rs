//! `rosterd links`: which groups a job has paired.

use crate::cli::context::{Context, the_job};
use crate::cli::error::CommandError;
use crate::cli::exit::ExitCode;
use crate::cli::format::{Format, FormatArg};
use crate::cli::output::print;
use crate::report::{write_links_json, write_links_text};
use crate::web::view::links;

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
