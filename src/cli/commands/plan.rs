//! `rosterd plan`: what a run would do.

use std::io::{self, BufWriter, Write};
use std::path::{Path, PathBuf};

use super::apply::read_header;
use super::sync::{active_jobs, no_run};
use crate::cli::context::{Context, did_you_mean};
use crate::cli::error::CommandError;
use crate::cli::exit::ExitCode;
use crate::cli::format::PlanFormat;
use crate::cli::output::{print, tell};
use crate::cli::page::page_about;
use crate::cli::pair::JobArgs;
use crate::cli::wait::WaitArg;
use crate::config::Config;
use crate::program::ROSTERD;
use crate::report::{
    PageAbout, PlanList, harmless, in_shell, narrow, quoted, tell_twins_apart, write_plan_html,
    write_plan_json, write_plan_text, write_plans_in_short,
};
use crate::run::{Meant, Planned, Runner};

/// Reads both sides and shows what a run would do; writes to no provider.
#[derive(clap::Args, Debug)]
pub(crate) struct PlanArgs {
    #[command(flatten)]
    job: JobArgs,
    /// Plans every job that is neither paused nor disabled, one after the other.
    #[arg(long, conflicts_with_all = ["job", "from", "to"])]
    all: bool,
    /// Shows only what concerns a person or a group: an address, `#` and an id at the source, `##` and
    /// an id at the target; anything else is the name or the id of a group. May be given several
    /// times. What `--out` saves is the whole plan.
    #[arg(long, value_name = "EMAIL|GROUP")]
    only: Vec<String>,
    /// Saves the plan as JSON for `rosterd apply`, whatever `--format` says.
    #[arg(long, value_name = "FILE")]
    out: Option<PathBuf>,
    /// How the plan is printed.
    #[arg(long, value_enum, default_value_t, value_name = "FORMAT")]
    format: PlanFormat,
    /// Ends with 10 when changes are pending, with 3 when a guard would refuse them, and with 0
    /// when there are none.
    #[arg(long)]
    detailed_exitcode: bool,
    #[command(flatten)]
    wait: WaitArg,
}

pub(crate) async fn cmd_plan(context: &Context, args: &PlanArgs) -> Result<ExitCode, CommandError> {
    let mut config = context.config_with_job()?;
    refuse_part_of_page(args.format, &args.only)?;
    if args.all {
        return Box::pin(plan_all(context, config, args)).await;
    }
    let found = args.job.find(&mut config, "plan");
    let job = found.map_err(|error| {
        if args.job.is_left_out() && !config.jobs.is_empty() {
            error.hint("`--all` plans each job")
        } else {
            error
        }
    })?;
    if let Some(path) = &args.out {
        // Found out before the providers are read, which can take an hour.
        may_be_replaced(path)?;
    }
    let runner = context.runner_that_waits(config, args.wait.wait)?;
    let Made { mut planned, meant } = make(context, &runner, &job, args).await?;
    let names = names_of(&planned);
    refuse_unknown(&args.only, [meant.as_slice()], &names, &job)?;
    if let Some(path) = &args.out {
        save_as(path, &mut planned, saved_as(&args.only))?;
    }
    let code = code_of(&planned, args);
    prepare_to_print(&mut planned, &meant, args.format);
    print(|out| match args.format {
        PlanFormat::Text => write_plan_text(out, &planned, context.verbose()),
        PlanFormat::Json => write_plan_json(out, &planned),
        PlanFormat::Html => {
            let job = runner.config().jobs.get(&job);
            let about = PageAbout {
                saved: args.out.as_ref().map(|path| path.display().to_string()),
                ..page_about(context, runner.config(), job)
            };
            write_plan_html(out, &planned, &about)
        }
    })?;
    Ok(code)
}

/// Refuses a page of a part of a plan.
pub(super) fn refuse_part_of_page(format: PlanFormat, only: &[String]) -> Result<(), CommandError> {
    if format != PlanFormat::Html || only.is_empty() {
        return Ok(());
    }
    Err(
        CommandError::usage("a page shows a whole plan, and `--only` a part of one")
            .hint("search the page, or take `--only` with `--format text` or `json`"),
    )
}

/// Says what is saved where only a part of a plan is shown.
pub(super) fn saved_as(only: &[String]) -> &'static str {
    if only.is_empty() {
        "plan"
    } else {
        "whole plan"
    }
}

/// A plan, and who and what is meant in it by `--only`.
struct Made {
    planned: Planned,
    meant: Vec<Meant>,
}

async fn make(
    context: &Context,
    runner: &Runner,
    job: &str,
    args: &PlanArgs,
) -> Result<Made, CommandError> {
    let asking = Box::pin(runner.plan_about(job, &args.only));
    let (planned, meant) = context.interrupt.run(asking).await??;
    Ok(Made { planned, meant })
}

/// Refuses a group that no account of the jobs shows: whoever mistyped a name would take a plan for
/// empty. That nobody knows a person is an answer.
pub(super) fn refuse_unknown<'a>(
    only: &[String],
    meant: impl IntoIterator<Item = &'a [Meant]> + Clone,
    names: &[String],
    jobs: &str,
) -> Result<(), CommandError> {
    let is_known = |at: usize| {
        let mut found = meant
            .clone()
            .into_iter()
            .filter_map(|of_job| of_job.get(at));
        found.any(|one| one.is_person() || one.is_shown || !one.pairs.is_empty())
    };
    match only.iter().enumerate().find(|(at, _)| !is_known(*at)) {
        None => Ok(()),
        Some((_, word)) => {
            let unknown = CommandError::usage(format!(
                "nothing in this plan concerns {}: no account of {jobs} shows a group of this name or id",
                quoted(word)
            ));
            let known = names.iter().map(|name| ("", name.as_str()));
            Err(match did_you_mean(known, word) {
                Some(near) => unknown.hint(near),
                None => unknown.hint(format!(
                    "`{ROSTERD} groups PROVIDER` lists the groups of an account"
                )),
            })
        }
    }
}

/// Returns the names of the groups that a plan is about.
pub(super) fn names_of(planned: &Planned) -> Vec<String> {
    let pairs = planned.plan.pairs.iter();
    pairs.map(|pair| pair.name.clone()).collect()
}

/// Leaves of a plan what is to be printed.
pub(super) fn prepare_to_print(planned: &mut Planned, meant: &[Meant], format: PlanFormat) {
    if !meant.is_empty() {
        narrow(planned, meant);
    }
    // A program goes by the ids, which it gets besides.
    if format != PlanFormat::Json {
        tell_twins_apart(&mut planned.plan);
    }
}

/// Plans every job that is neither paused nor disabled. What keeps one from being planned keeps no
/// other.
async fn plan_all(
    context: &Context,
    config: Config,
    args: &PlanArgs,
) -> Result<ExitCode, CommandError> {
    if args.out.is_some() {
        return Err(CommandError::usage(
            "a saved plan is that of one job, and `--all` plans every job",
        )
        .hint("name a job beside `--out`"));
    }
    if args.format == PlanFormat::Html {
        return Err(
            CommandError::usage("a page is that of one job, and `--all` plans every job")
                .hint("name a job beside `--format html`"),
        );
    }
    let jobs = active_jobs(&config, &Context::store(&config)?)?;
    let left_out = config.jobs.len() - jobs.len();
    let runner = context.runner_that_waits(config, args.wait.wait)?;
    let is_json = args.format == PlanFormat::Json;
    let mut list = PlanList::default();
    let mut codes = Vec::new();
    let mut known: Vec<Vec<Meant>> = Vec::new();
    let mut names = Vec::new();
    for job in &jobs {
        if context.interrupt.stop.is_cancelled() {
            codes.push(ExitCode::Failed);
            break;
        }
        let made = make(context, &runner, job, args).await;
        let apart = |out: &mut dyn Write| match codes.len() {
            0 => Ok(()),
            _ => writeln!(out, "\n"),
        };
        let code = match made {
            Ok(Made { mut planned, meant }) => {
                let code = code_of(&planned, args);
                names.extend(names_of(&planned));
                prepare_to_print(&mut planned, &meant, args.format);
                known.push(meant);
                print(|out| {
                    if is_json {
                        return list.plan(out, &planned);
                    }
                    apart(out)?;
                    write_plan_text(out, &planned, context.verbose())
                })?;
                code
            }
            Err(failure) => {
                tell(|out| failure.print(out));
                print(|out| {
                    if is_json {
                        return list.failure(out, &no_run(job, &failure));
                    }
                    apart(out)?;
                    writeln!(out, "No plan for {}: {}", harmless(job), failure.message())
                })?;
                failure.code()
            }
        };
        codes.push(code);
    }
    if is_json {
        print(|out| list.end(out))?;
    } else if jobs.is_empty() {
        tell(|out| writeln!(out, "Every job is paused or disabled: nothing was planned."));
    } else {
        print(|out| write_plans_in_short(out, jobs.len(), known.len(), left_out))?;
    }
    // Where one could not be asked, it may be the one that knows the group.
    if known.len() == jobs.len() && !jobs.is_empty() {
        let known = known.iter().map(Vec::as_slice);
        if let Err(unknown) = refuse_unknown(&args.only, known, &names, &jobs.join(", ")) {
            if !is_json {
                return Err(unknown);
            }
            // The document is written already, and a second one would not be read.
            tell(|out| unknown.print(out));
            return Ok(unknown.code());
        }
    }
    Ok(ExitCode::worst(codes))
}

fn code_of(planned: &Planned, args: &PlanArgs) -> ExitCode {
    match &planned.plan {
        _ if !args.detailed_exitcode => ExitCode::Done,
        plan if !plan.refusals.is_empty() => ExitCode::Refused,
        plan if plan.is_empty() => ExitCode::Done,
        _ => ExitCode::Pending,
    }
}

/// Refuses to replace anything but an older plan.
pub(super) fn may_be_replaced(path: &Path) -> Result<(), CommandError> {
    match std::fs::metadata(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            let directory = directory_of(path);
            if directory.is_dir() {
                Ok(())
            } else {
                Err(CommandError::usage(format!(
                    "there is no directory {} for the plan",
                    directory.display()
                )))
            }
        }
        Err(error) => Err(CommandError::file(
            ExitCode::Usage,
            "looking at",
            path,
            &error,
        )),
        Ok(_) if read_header(path).is_ok() => Ok(()),
        Ok(_) => Err(CommandError::usage(format!(
            "{} exists and is no saved plan, so it is left as it is",
            path.display()
        ))
        .hint("name another file with `--out`")),
    }
}

/// Saves a plan and says so.
pub(super) fn save_as(path: &Path, planned: &mut Planned, what: &str) -> Result<(), CommandError> {
    save(path, planned).map_err(|error| {
        CommandError::file(ExitCode::Failed, "saving the plan as", path, &error)
    })?;
    let refusal = planned.plan.refusals.first();
    let approval = refusal.map(|refusal| format!(" --approve {}", refusal.approval));
    tell(|out| {
        writeln!(
            out,
            "Saved the {what} as {}; `{ROSTERD} apply {}{}` applies it, once.",
            path.display(),
            in_shell(&path.display().to_string()),
            approval.as_deref().unwrap_or_default()
        )
    });
    planned.saved = Some(path.display().to_string());
    Ok(())
}

/// Saves a plan: the whole file, or the one that was there before.
pub(crate) fn save(path: &Path, planned: &Planned) -> io::Result<()> {
    // The file is readable by its owner only: it holds addresses.
    let mut file = tempfile::NamedTempFile::new_in(directory_of(path))?;
    let mut out = BufWriter::new(file.as_file_mut());
    write_plan_json(&mut out, planned)?;
    out.flush()?;
    drop(out);
    file.as_file().sync_all()?;
    file.persist(path).map_err(|error| error.error)?;
    Ok(())
}

fn directory_of(path: &Path) -> &Path {
    match path.parent() {
        Some(directory) if !directory.as_os_str().is_empty() => directory,
        _ => Path::new("."),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_an_older_plan_is_replaced() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("plan.json");
        assert!(may_be_replaced(&path).is_ok());
        std::fs::write(
            &path,
            r#"{"version":1,"job":"a","fingerprint":"f","operations":[]}"#,
        )
        .unwrap();
        assert!(may_be_replaced(&path).is_ok());
        std::fs::write(&path, "dear diary").unwrap();
        assert_eq!(may_be_replaced(&path).unwrap_err().code(), ExitCode::Usage);
        assert_eq!(
            may_be_replaced(&directory.path().join("missing/plan.json"))
                .unwrap_err()
                .code(),
            ExitCode::Usage
        );
    }
}
