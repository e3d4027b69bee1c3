//! `rosterd undo`: a plan that takes a run back.

use std::path::PathBuf;

use super::plan::{
    may_be_replaced, names_of, prepare_to_print, refuse_part_of_page, refuse_unknown, save_as,
    saved_as,
};
use crate::cli::context::{Context, find_run, know_job};
use crate::cli::error::CommandError;
use crate::cli::exit::ExitCode;
use crate::cli::format::PlanFormat;
use crate::cli::output::print;
use crate::cli::page::page_about;
use crate::cli::wait::WaitArg;
use crate::report::{PageAbout, concerns, write_plan_html, write_plan_json, write_plan_text};

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
    /// Shows only what concerns a person or a group: an address, `#` and an id at the source, `##` and
    /// an id at the target; anything else is the name or the id of a group. May be given several
    /// times. What `--out` saves is the whole plan.
    #[arg(long, value_name = "EMAIL|GROUP")]
    only: Vec<String>,
    /// How the plan is printed.
    #[arg(long, value_enum, default_value_t, value_name = "FORMAT")]
    format: PlanFormat,
    #[command(flatten)]
    wait: WaitArg,
}

pub(crate) async fn cmd_undo(context: &Context, args: &UndoArgs) -> Result<ExitCode, CommandError> {
    let mut config = context.config()?;
    refuse_part_of_page(args.format, &args.only)?;
    let (_, run) = find_run(&config, &args.run)?;
    know_job(&mut config, &run.job)?;
    if let Some(path) = &args.out {
        may_be_replaced(path)?;
    }
    let runner = context.runner_that_waits(config, args.wait.wait)?;
    let making = Box::pin(runner.undo_about(&run, &args.only));
    let (mut planned, mut meant) = context.interrupt.run(making).await??;
    for one in &mut meant {
        // A group of the record need not be there any more.
        let left = planned.undoing.iter().flat_map(|undoing| &undoing.left);
        one.is_shown |= left.into_iter().any(|left| concerns(&planned, left, one));
    }
    let names = names_of(&planned);
    refuse_unknown(&args.only, [meant.as_slice()], &names, &run.job)?;
    if let Some(path) = &args.out {
        save_as(path, &mut planned, saved_as(&args.only))?;
    }
    prepare_to_print(&mut planned, &meant, args.format);
    print(|out| match args.format {
        PlanFormat::Text => write_plan_text(out, &planned, context.verbose()),
        PlanFormat::Json => write_plan_json(out, &planned),
        PlanFormat::Html => {
            let job = runner.config().jobs.get(&run.job);
            let about = PageAbout {
                saved: args.out.as_ref().map(|path| path.display().to_string()),
                ..page_about(context, runner.config(), job)
            };
            write_plan_html(out, &planned, &about)
        }
    })?;
    Ok(ExitCode::Done)
}
