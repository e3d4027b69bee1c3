//! `rosterd emulate`: the emulated providers as a server of their own.

use std::net::SocketAddr;
use std::path::PathBuf;

use crate::cli::error::CommandError;
use crate::cli::exit::ExitCode;
use crate::cli::output::stdout;
use crate::emulate::{self, EmulateOptions};

/// Serves an emulated emfluence, GreenRope and ActiveCampaign with made-up people, for rehearsals
/// and tests.
///
/// Prints one JSON line with base URLs and test credentials, then serves until it is asked to stop.
#[derive(clap::Args, Debug)]
pub(crate) struct EmulateArgs {
    /// Where it listens; port 0 takes a free one.
    #[arg(long, value_name = "ADDRESS", default_value = "127.0.0.1:8089")]
    listen: SocketAddr,
    /// The same seed and sizes always make the same people.
    #[arg(long, value_name = "NUMBER", default_value_t = 1)]
    seed: u64,
    /// How many groups the filled account gets.
    #[arg(long, value_name = "NUMBER", default_value_t = 12)]
    groups: usize,
    /// How many people the filled account gets.
    #[arg(long, value_name = "NUMBER", default_value_t = 200)]
    members: usize,
    /// A JSON file with faults to act out.
    #[arg(long, value_name = "FILE")]
    faults: Option<PathBuf>,
    /// Writes a config with all emulated accounts, and their logins into FILE.secrets; replaces
    /// nothing.
    #[arg(long, value_name = "FILE")]
    write_config: Option<PathBuf>,
}

pub(crate) async fn cmd_emulate(args: &EmulateArgs) -> Result<ExitCode, CommandError> {
    let options = EmulateOptions {
        listen: args.listen,
        seed: args.seed,
        groups: args.groups,
        members: args.members,
        faults: args.faults.clone(),
        config: args.write_config.clone(),
    };
    emulate::run(&options, &mut stdout())
        .await
        .map_err(|error| CommandError::from_any(ExitCode::Usage, &error))?;
    Ok(ExitCode::Done)
}
