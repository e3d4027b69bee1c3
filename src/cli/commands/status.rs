//! `rosterd status`: whether the service is alive, and how the jobs fare.

use crate::cli::context::Context;
use crate::cli::error::CommandError;
use crate::cli::exit::ExitCode;
use crate::cli::format::{Format, FormatArg};
use crate::cli::output::print;
use crate::report::{
    Life, needs_a_person, write_channels_text, write_status_json, write_status_text,
};
use crate::state::Store;
use crate::web::view::{job_rows, life};

/// Shows whether the service is alive, how each job fares, and what waits for a person.
///
/// Of each job it shows the state, when it runs next and how its last run ended.
///
/// The service tells the state database every quarter of a minute that it is alive; where nothing was
/// heard for a minute it counts as not running.
#[derive(clap::Args, Debug)]
pub(crate) struct StatusArgs {
    /// Ends with 1 when something needs a person, for probes: a job that fails, is refused by a guard,
    /// has items that nobody accepted or is half undone, a schedule without a service, or a service that
    /// keeps its config because the new one is wrong.
    #[arg(long)]
    check: bool,
    #[command(flatten)]
    format: FormatArg,
}

pub(crate) fn cmd_status(context: &Context, args: &StatusArgs) -> Result<ExitCode, CommandError> {
    let config = context.config_with_job()?;
    let store = Context::existing_store(&config)?;
    let now = Context::now();
    let jobs = job_rows(&config, store.as_ref(), now, 1)?;
    let life = life(store.as_ref(), now)?;
    // It says something of a service that is there.
    let wrong_config = match (&store, life) {
        (Some(store), Life::Alive(_)) => store.wrong_config()?,
        _ => None,
    };
    let wrong = wrong_config.as_deref();
    let channels = store.as_ref().map(Store::channels).transpose()?;
    let channels = channels.unwrap_or_default();
    print(|out| match args.format.format {
        Format::Text => write_status_text(out, &jobs, life, wrong, now)
            .and_then(|()| write_channels_text(out, &channels, now)),
        Format::Json => write_status_json(out, &jobs, life, wrong, now),
    })?;
    let is_mute = channels.iter().any(|channel| channel.given_up > 0);
    if args.check && (needs_a_person(&jobs, life) || wrong.is_some() || is_mute) {
        return Ok(ExitCode::Failed);
    }
    Ok(ExitCode::Done)
}
