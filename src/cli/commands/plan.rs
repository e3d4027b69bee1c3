//! `rosterd plan`: what a run would do.

use std::io::{self, BufWriter, Write};
use std::path::{Path, PathBuf};

use super::apply::read_header;
use crate::cli::context::{Context, find_job};
use crate::cli::error::CommandError;
use crate::cli::exit::ExitCode;
use crate::cli::format::PlanFormat;
use crate::cli::output::{print, tell};
use crate::cli::wait::WaitArg;
use crate::report::{write_plan_html, write_plan_json, write_plan_text};
use crate::run::Planned;

/// Reads both sides and shows what a run would do; writes to no provider.
#[derive(clap::Args, Debug)]
pub(crate) struct PlanArgs {
    /// The job.
    job: String,
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
    let config = context.config()?;
    find_job(&config, &args.job)?;
    if let Some(path) = &args.out {
        // Found out before the providers are read, which can take an hour.
        may_be_replaced(path)?;
    }
    let runner = context.runner_that_waits(config, args.wait.wait)?;
    let planned = context
        .interrupt
        .run(Box::pin(runner.plan(&args.job)))
        .await??;
    if let Some(path) = &args.out {
        save_as(path, &planned)?;
    }
    print(|out| match args.format {
        PlanFormat::Text => write_plan_text(out, &planned, context.verbose()),
        PlanFormat::Json => write_plan_json(out, &planned),
        PlanFormat::Html => write_plan_html(out, &planned),
    })?;
    Ok(if args.detailed_exitcode {
        detailed(&planned)
    } else {
        ExitCode::Done
    })
}

fn detailed(planned: &Planned) -> ExitCode {
    match &planned.plan {
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
pub(super) fn save_as(path: &Path, planned: &Planned) -> Result<(), CommandError> {
    save(path, planned).map_err(|error| {
        CommandError::file(ExitCode::Failed, "saving the plan as", path, &error)
    })?;
    tell(|out| {
        writeln!(
            out,
            "Saved the plan as {0}; `rosterd apply {0}` applies it, once.",
            path.display()
        )
    });
    Ok(())
}

/// Saves a plan: the whole file, or the one that was there before.
fn save(path: &Path, planned: &Planned) -> io::Result<()> {
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
