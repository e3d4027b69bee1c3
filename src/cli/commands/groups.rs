//! `rosterd groups`: what groups an account has.

use crate::cli::context::{Context, find_provider};
use crate::cli::error::CommandError;
use crate::cli::exit::ExitCode;
use crate::cli::format::{Format, FormatArg};
use crate::cli::output::print;
use crate::report::{write_groups_json, write_groups_text};

/// Lists the groups of an account with their ids, and the jobs that link them.
///
/// Ids are what `pin`, `parking_group` and `rosterd link` take. Archived and dynamic groups are
/// listed as well. The number of members is the provider's own count; ActiveCampaign counts the
/// active ones of a list, and none of a user group. Ends with 4 where there may be groups that the
/// login does not show.
#[derive(clap::Args, Debug)]
pub(crate) struct GroupsArgs {
    /// The provider, by its name in the config.
    provider: String,
    #[command(flatten)]
    format: FormatArg,
}

pub(crate) async fn cmd_groups(
    context: &Context,
    args: &GroupsArgs,
) -> Result<ExitCode, CommandError> {
    let config = context.config()?;
    find_provider(&config, &args.provider)?;
    let runner = context.runner(config)?;
    let listed = context
        .interrupt
        .run(Box::pin(runner.account_groups(&args.provider)))
        .await??;
    print(|out| match args.format.format {
        Format::Text => write_groups_text(out, &listed),
        Format::Json => write_groups_json(out, &listed),
    })?;
    Ok(if listed.doubts.is_empty() {
        ExitCode::Done
    } else {
        ExitCode::NeedsPerson
    })
}
