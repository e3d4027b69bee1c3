//! `rosterd rehearse`: a job as it would run, on copies of both accounts.

use std::path::PathBuf;

use super::migrate::migration_of;
use crate::cli::context::{Context, find_job};
use crate::cli::error::CommandError;
use crate::cli::exit::ExitCode;
use crate::cli::format::{Format, FormatArg};
use crate::cli::output::print;
use crate::cli::pair::JobArgs;
use crate::cli::wait::WaitArg;
use crate::config::Config;
use crate::emulate::read_faults;
use crate::emulator::FaultRule;
use crate::rehearsal::{Migrating, RehearseOptions, rehearse};
use crate::report::{write_rehearsal_json, write_rehearsal_text};
use crate::run::RunError;

/// Runs a job on copies of both real accounts, and says what would have happened.
///
/// Reads both accounts, everything that each shows, and loads it into an emulator inside this
/// process, with a copy of the state database beside it. The job is then run there by the engine
/// that runs it in truth. The real accounts are only read, and the real state database keeps
/// nothing of it but the number of requests that reading took.
///
/// Says how the run would end, what it would do, whom the target mails afterwards and whom it mailed
/// before, whether the next run has nothing to do, and what it takes in requests and time. Says as
/// well what reading could not see and the copies lack.
///
/// Where a guard refuses the run, it says so, with the commands that approve it, and goes on as if
/// that had been done: in the copies, and nowhere else. `--approve` is an approval that a guard has
/// offered in truth.
///
/// A job runs as by `sync`; with `--migrate`, and for a pair of providers, as by `migrate`.
///
/// With `--faults` the copies go wrong in the first run as the file says, which is written as for
/// `rosterd emulate`; an account goes by the provider's name. The faults end with that run, and more
/// runs finish what it left.
///
/// Time in the copies runs ahead: hours at a provider's pace take as long as they take to compute.
/// The copies are held in memory, in about 5 kB for each person, and in temporary files, which go
/// with the command.
///
/// Ends with 0 only where all is well, and else with the worst of these: 1 an account can't be read,
/// the run fails, the runs after it do not finish what faults have left, or anybody would be mailed
/// who refuses it; 3 a guard refuses the run, or the one after it; 4 items need a person, the next
/// run still has something to do, or the copies lack something or differ from the accounts.
#[derive(clap::Args, Debug)]
pub(crate) struct RehearseArgs {
    #[command(flatten)]
    job: JobArgs,
    /// Rehearses `migrate` of the job, as a person makes it who answers the question; `--from` and
    /// `--to` mean that anyway.
    #[arg(long)]
    migrate: bool,
    /// Rehearses `migrate --yes`, of which nobody is asked, so that every guard judges it.
    #[arg(long)]
    yes: bool,
    /// The approval that a guard offered, which the run would be given.
    #[arg(long, value_name = "ID")]
    approve: Option<String>,
    /// A JSON file with faults to act out in the first run.
    #[arg(long, value_name = "FILE")]
    faults: Option<PathBuf>,
    #[command(flatten)]
    wait: WaitArg,
    #[command(flatten)]
    format: FormatArg,
}

/// Refuses a fault at an account that the job has no part in: it would never happen.
fn known_accounts(config: &Config, job: &str, faults: &[FaultRule]) -> Result<(), CommandError> {
    let job = find_job(config, job)?;
    let named = faults.iter().filter_map(|rule| rule.account.as_deref());
    let mut unknown = named.filter(|name| *name != job.source && *name != job.target);
    match unknown.next() {
        None => Ok(()),
        Some(name) => Err(CommandError::usage(format!(
            "the fault file names an account \"{name}\", and job \"{}\" leads from \"{}\" to \"{}\"",
            job.name, job.source, job.target
        ))
        .hint("name one of the two, or leave `account` out for both")),
    }
}

pub(crate) async fn cmd_rehearse(
    context: &Context,
    args: &RehearseArgs,
) -> Result<ExitCode, CommandError> {
    let mut config = if args.job.is_left_out() {
        context.config_with_job()?
    } else {
        context.config()?
    };
    let pair = args.job.pair_without_job(&config);
    let job = args.job.find(&mut config, "rehearse")?;
    // Found out before both accounts are read, which can take an hour.
    let faults = match &args.faults {
        Some(path) => {
            read_faults(path).map_err(|error| CommandError::from_any(ExitCode::Usage, &error))?
        }
        None => Vec::new(),
    };
    known_accounts(&config, &job, &faults)?;
    let is_migration = args.migrate || args.job.pair().is_some();
    if args.yes && !is_migration {
        return Err(CommandError::usage(
            "`--yes` answers the question of a migration, and `sync` asks none",
        )
        .hint("`--migrate` rehearses the migration of the job"));
    }
    let runner = context.runner_that_waits(config, args.wait.wait)?;
    let options = RehearseOptions {
        faults,
        approve: args.approve.clone(),
        migration: is_migration.then(|| Migrating {
            command: migration_of(pair, &job, args.yes),
            is_asked: !args.yes,
        }),
    };
    let rehearsing = rehearse(&runner, &job, options);
    let rehearsed =
        context
            .interrupt
            .run(Box::pin(rehearsing))
            .await?
            .map_err(|error| match error {
                RunError::Stopped => CommandError::new(
                    ExitCode::Failed,
                    "the rehearsal was asked to stop; nothing was written to either account",
                ),
                error => error.into(),
            })?;
    print(|out| match args.format.format {
        Format::Text => write_rehearsal_text(out, &rehearsed, context.verbose()),
        Format::Json => write_rehearsal_json(out, &rehearsed),
    })?;
    Ok(ExitCode::of(rehearsed.exit_code()))
}
