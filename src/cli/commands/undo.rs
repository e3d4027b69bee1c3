//! `rosterd undo`: a plan that takes a run back.

use std::path::PathBuf;

use super::plan::{may_be_replaced, save_as};
use crate::cli::context::{Context, find_run, know_job};
use crate::cli::error::CommandError;
use crate::cli::exit::ExitCode;
use crate::cli::format::{Format, FormatArg};
use crate::cli::output::print;
use crate::cli::wait::WaitArg;
use crate::report::{write_plan_json, write_plan_text};

/// Shows a plan that takes a run back; writes to no provider.
///
/// Groups, fields and memberships get back what the record of the run says they held, where they still
/// hold what the run left there. Opt-outs that were carried stay, whoever was unsubscribed is not
/// re-subscribed, nobody is deleted, a changed address stays, and what stays is listed with the reason.
/// `--out` saves the plan for `rosterd apply`, which judges it by the guards like any other; applying it
/// pauses the job, because its source still asks for what was undone. What an interrupted undo left is
/// finished by the same command once more; until then the plans of the job say so, and `rosterd sync` of
/// the paused job is refused.
#[derive(clap::Args, Debug)]
pub(crate) struct UndoArgs {
    /// The run's id, or the beginning of it, as `rosterd history` shows it.
    run: String,
    /// Saves the plan as JSON for `rosterd apply`, whatever `--format` says.
    #[arg(long, value_name = "FILE")]
    out: Option<PathBuf>,
    #[command(flatten)]
    wait: WaitArg,
    #[command(flatten)]
    format: FormatArg,
}

pub(crate) async fn cmd_undo(context: &Context, args: &UndoArgs) -> Result<ExitCode, CommandError> {
    let mut config = context.config()?;
    let (_, run) = find_run(&config, &args.run)?;
    know_job(&mut config, &run.job)?;
    if let Some(path) = &args.out {
        may_be_replaced(path)?;
    }
    let runner = context.runner_that_waits(config, args.wait.wait)?;
    let making = context.interrupt.run(Box::pin(runner.undo(&run)));
    let planned = making.await??;
    if let Some(path) = &args.out {
        save_as(path, &planned, "plan")?;
    }
    print(|out| match args.format.format {
        Format::Text => write_plan_text(out, &planned, context.verbose()),
        Format::Json => write_plan_json(out, &planned),
    })?;
    Ok(ExitCode::Done)
}
