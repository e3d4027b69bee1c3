//! `rosterd migrate`: once, with a person watching.

use std::io::Write;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, MutexGuard};

use futures_util::future::BoxFuture;

use super::copies::Copies;
use super::sync::{finish, result_of};
use crate::cli::confirm::{YesArg, ask_for_directory};
use crate::cli::context::{Context, find_job};
use crate::cli::error::CommandError;
use crate::cli::exit::ExitCode;
use crate::cli::format::{Format, FormatArg};
use crate::cli::output::{print, tell};
use crate::cli::pair::JobArgs;
use crate::cli::wait::WaitArg;
use crate::config::Config;
use crate::notify::Notifier;
use crate::program::ROSTERD;
use crate::report::{
    harmless, write_assessment_in_short, write_assessment_json, write_assessment_text,
};
use crate::run::{Assessed, Confirm, Estimate, Everything, KeptCopy, Planned};

/// Moves groups and members to another account, once, while a person looks on.
///
/// Says first what moves, what stays behind and what it takes, asks, writes, and reads both sides
/// once more in the end. Interrupted at any point, the same command goes on from there. `--yes` answers the question and
/// never a guard.
#[derive(clap::Args, Debug)]
pub(crate) struct MigrateArgs {
    #[command(flatten)]
    job: JobArgs,
    /// Stops after the assessment: nothing is written to any provider.
    #[arg(long, conflicts_with_all = ["yes", "approve"])]
    assess: bool,
    /// Copies both accounts first, as `rosterd export` does, into a directory of each below this one.
    /// Nothing is written to any provider where that fails. On a terminal it is asked for.
    #[arg(long, value_name = "DIR", conflicts_with = "assess")]
    export: Option<PathBuf>,
    /// The approval that a guard offered: lets the operations it refused pass, once.
    #[arg(long, value_name = "ID")]
    approve: Option<String>,
    #[command(flatten)]
    yes: YesArg,
    #[command(flatten)]
    wait: WaitArg,
    #[command(flatten)]
    format: FormatArg,
}

pub(crate) async fn cmd_migrate(
    context: &Context,
    args: &MigrateArgs,
) -> Result<ExitCode, CommandError> {
    let mut config = context.config()?;
    let pair = args.job.pair_without_job(&config);
    let job = args.job.find(&mut config, "migrate")?;
    let again = migration_of(pair, &job, false);
    if !args.assess {
        // Found out before both accounts are read, which can take an hour.
        args.yes.can_be_answered(
            "`--assess` shows what it would come to, and `--yes` answers the question",
        )?;
    }
    let (source, target) = {
        let job = find_job(&config, &job)?;
        (job.source.clone(), job.target.clone())
    };
    let stop = context.interrupt.stop.clone();
    let copies = match &args.export {
        // Found out before both accounts are read as well.
        Some(root) => Some(Copies::open(root, &config, [&source, &target], &stop)?),
        None => None,
    };
    let runner = context.runner_that_waits(config, args.wait.wait)?;
    if args.assess {
        let assessing = context.interrupt.run(Box::pin(runner.assess(&job, false)));
        let (planned, assessed, estimate) = assessing.await??;
        print(|out| match args.format.format {
            Format::Text => {
                let verbose = context.verbose();
                write_assessment_text(out, &planned, &assessed, &estimate, &again, None, verbose)
            }
            Format::Json => write_assessment_json(out, &planned, &assessed, &estimate),
        })?;
        return Ok(ExitCode::Done);
    }
    let person = Person {
        yes: args.yes,
        json: args.format.format == Format::Json,
        verbose: context.verbose(),
        context,
        command: again,
        config: runner.config(),
        source,
        target,
        export: args.export.as_deref(),
        copies: Mutex::new(copies),
        shown: AtomicBool::new(true),
    };
    let notifier = Notifier::of_command(&runner);
    let migrating = runner.migrate(&job, args.approve.as_deref(), &person);
    let outcome = context.interrupt.run(Box::pin(migrating)).await?;
    notifier.ended(&job, Some(&outcome));
    let (result, code) = result_of(&job, outcome);
    let code = finish(context, args.format, &[result], code, false)?;
    context.interrupt.run(notifier.finish()).await?;
    Ok(code)
}

/// Names the command that makes a migration.
pub(super) fn migration_of(pair: Option<(&str, &str)>, job: &str, yes: bool) -> String {
    let yes = if yes { " --yes" } else { "" };
    match pair {
        Some((from, to)) => format!("{ROSTERD} migrate --from {from} --to {to}{yes}"),
        None => format!("{ROSTERD} migrate {job}{yes}"),
    }
}

/// Whoever watches.
struct Person<'a> {
    yes: YesArg,
    json: bool,
    verbose: bool,
    context: &'a Context,
    command: String,
    config: &'a Config,
    source: String,
    target: String,
    /// Where copies of both accounts go, where that was typed.
    export: Option<&'a Path>,
    /// The copies, where they are to be made.
    copies: Mutex<Option<Copies>>,
    /// Whether what there was to show could be shown.
    shown: AtomicBool,
}

impl Person<'_> {
    fn copies(&self) -> MutexGuard<'_, Option<Copies>> {
        self.copies
            .lock()
            .expect("nothing panics while it holds this lock")
    }
}

impl Confirm for Person<'_> {
    fn show(&self, planned: &Planned, assessed: &Assessed, estimate: &Estimate) {
        let write = |out: &mut dyn Write| {
            let (again, verbose) = (&self.command, self.verbose);
            let export = self.export.map(|root| root.display().to_string());
            let export = export.as_deref();
            write_assessment_text(out, planned, assessed, estimate, again, export, verbose)
        };
        self.context.bars.suspend(|| {
            if !self.json {
                let shown = print(write).is_ok();
                self.shown.store(shown, Ordering::Relaxed);
            } else if self.is_asked() {
                // Standard output belongs to the document, and standard error to nobody's address.
                tell(|out| write_assessment_in_short(out, planned, estimate));
            }
        });
    }

    fn is_asked(&self) -> bool {
        !self.yes.yes
    }

    fn command(&self) -> String {
        self.command.clone()
    }

    fn wants_copies(&self) -> BoxFuture<'_, bool> {
        if self.export.is_some() {
            return Box::pin(std::future::ready(true));
        }
        // Nobody decides about what could not be shown.
        if self.yes.yes || !self.shown.load(Ordering::Relaxed) {
            return Box::pin(std::future::ready(false));
        }
        Box::pin(async move {
            let question =
                "Copy both accounts into files first? A new directory, or nothing for no:";
            loop {
                let (answer, answered) = tokio::sync::oneshot::channel();
                // A thread of its own, as for the question itself.
                std::thread::spawn(move || {
                    answer.send(ask_for_directory(question)).unwrap_or_default();
                });
                let Some(root) = answered.await.ok().flatten() else {
                    return false;
                };
                let providers = [&self.source, &self.target];
                match Copies::open(&root, self.config, providers, &self.context.interrupt.stop) {
                    Ok(copies) => {
                        *self.copies() = Some(copies);
                        return true;
                    }
                    Err(error) => tell(|out| error.print(out)),
                }
            }
        })
    }

    fn keep(&self, account: &Everything) -> Result<KeptCopy, String> {
        let mut copies = self.copies();
        let copies = copies.as_mut().ok_or("no directory was named")?;
        let kept = self.context.bars.suspend(|| copies.keep(account))?;
        // Whoever is asked afterwards has read it and decides.
        if !kept.complete && self.yes.yes {
            return Err(format!(
                "not all of it could be read, as {}/manifest.json says",
                kept.place
            ));
        }
        Ok(kept)
    }

    fn ask(&self) -> BoxFuture<'_, bool> {
        let question = format!("Write this to {}?", harmless(&self.target));
        let yes = self.yes;
        // Nobody says yes to what could not be shown.
        if !self.shown.load(Ordering::Relaxed) {
            return Box::pin(std::future::ready(false));
        }
        let (answer, answered) = tokio::sync::oneshot::channel();
        // A thread of its own: whoever stops the run does not have to answer first.
        std::thread::spawn(move || {
            let confirmed = yes.confirm(&question, |out| writeln!(out)).is_ok();
            // Nobody listens any more where the run was stopped meanwhile.
            answer.send(confirmed).unwrap_or_default();
        });
        Box::pin(async move { answered.await.unwrap_or(false) })
    }
}
