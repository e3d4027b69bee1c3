//! `rosterd apply`: a saved plan, once.

use std::fs::File;
use std::io::BufReader;
use std::path::{Path, PathBuf};

use serde::Deserialize;

use super::sync::{finish, result_of};
use crate::cli::context::{Context, know_job};
use crate::cli::error::CommandError;
use crate::cli::exit::ExitCode;
use crate::cli::format::FormatArg;
use crate::cli::wait::WaitArg;
use crate::notify::Notifier;
use crate::plan::{Basis, OperationPrint};
use crate::program::ROSTERD;
use crate::report::{in_shell, is_sealed, opt_outs_wait};
use crate::run::SavedPlan;

/// Applies a plan that `rosterd plan --out` saved, once.
///
/// Everything that the plan touches is read again first; any difference ends with 3, and nothing is
/// written. What an interrupted apply left is finished by `rosterd sync`.
#[derive(clap::Args, Debug)]
pub(crate) struct ApplyArgs {
    /// The saved plan.
    file: PathBuf,
    /// The approval that a guard offered, for a plan that it refused.
    #[arg(long, value_name = "ID")]
    approve: Option<String>,
    #[command(flatten)]
    wait: WaitArg,
    #[command(flatten)]
    format: FormatArg,
}

/// The longest name of a job, a guard or an approval in a saved plan, in bytes.
const LONGEST_NAME: usize = 1024;

/// What of a saved plan is read back: everything else is read from the providers and planned again.
#[derive(Debug, Deserialize)]
pub(super) struct Header {
    version: u32,
    job: String,
    fingerprint: String,
    /// Only their number is read: what they say is planned again.
    operations: Vec<serde::de::IgnoredAny>,
    #[serde(default)]
    refusals: Vec<RefusalHeader>,
    #[serde(default)]
    waiting_opt_outs: u64,
    #[serde(default)]
    basis: Option<BasisHeader>,
    /// The run that the plan takes back.
    #[serde(default)]
    undo: Option<String>,
    /// What a part of a plan is about.
    #[serde(default)]
    only: Option<serde::de::IgnoredAny>,
}

#[derive(Debug, Deserialize)]
struct BasisHeader {
    config: String,
    last_run: String,
    operations: Vec<(String, String)>,
}

#[derive(Debug, Deserialize)]
struct RefusalHeader {
    guard: String,
    approval: String,
}

pub(crate) async fn cmd_apply(
    context: &Context,
    args: &ApplyArgs,
) -> Result<ExitCode, CommandError> {
    let header = read_whole(&args.file)?;
    let mut config = context.config()?;
    know_job(&mut config, &header.job)?;
    // Of one that is used up the guard is no matter any more.
    let store = Context::existing_store(&config)?;
    let used = store.map(|store| store.plan_used(&header.fingerprint));
    let is_fresh = used.transpose()?.flatten().is_none();
    if let (Some(refusal), None, true) = (header.refusals.first(), &args.approve, is_fresh) {
        let waiting = opt_outs_wait(header.waiting_opt_outs);
        let waiting = waiting.map_or_else(String::new, |waiting| format!("{waiting}: "));
        return Err(CommandError::new(
            ExitCode::Refused,
            format!(
                "{waiting}{} refused this plan; nothing was written",
                guards(&header.refusals)
            ),
        )
        .hint(format!(
            "to let it pass, once: {ROSTERD} apply {} --approve {}",
            in_shell(&args.file.display().to_string()),
            refusal.approval
        )));
    }
    let runner = context.runner_that_waits(config, args.wait.wait)?;
    let saved = SavedPlan::from(header);
    let notifier = Notifier::of_command(&runner);
    let outcome = context
        .interrupt
        .run(Box::pin(runner.apply(&saved, args.approve.as_deref())))
        .await?;
    notifier.ended(&saved.job, Some(&outcome));
    let (result, code) = result_of(&saved.job, outcome);
    let code = finish(context, args.format, &[result], code, false)?;
    context.interrupt.run(notifier.finish()).await?;
    Ok(code)
}

/// Names every guard that refused a plan, once each.
fn guards(refusals: &[RefusalHeader]) -> String {
    let mut names: Vec<&str> = Vec::new();
    for refusal in refusals {
        if !names.contains(&refusal.guard.as_str()) {
            names.push(&refusal.guard);
        }
    }
    match names.as_slice() {
        [first @ .., last] if !first.is_empty() => {
            format!("the guards {} and {last}", first.join(", "))
        }
        _ => format!("the guard {}", names.concat()),
    }
}

/// Reads a saved plan as it is applied, for those who apply it by themselves.
pub(crate) fn saved_plan(path: &Path) -> Result<SavedPlan, CommandError> {
    read_whole(path).map(SavedPlan::from)
}

/// Reads a saved plan, and refuses what is none that could be applied.
fn read_whole(path: &Path) -> Result<Header, CommandError> {
    let header = read_header(path)?;
    if header.version != super::VERSION {
        return Err(CommandError::usage(format!(
            "{} is a plan of version {}, and this rosterd applies version {}",
            path.display(),
            header.version,
            super::VERSION
        ))
        .hint(format!(
            "make a new one with `{ROSTERD} plan {} --out FILE`",
            header.job
        )));
    }
    if header.only.is_some() {
        return Err(CommandError::new(
            ExitCode::Refused,
            format!(
                "{} shows only a part of a plan, and a plan is applied as a whole; nothing was written",
                path.display()
            ),
        )
        .hint(format!(
            "`{ROSTERD} plan {} --out FILE` saves the whole plan",
            header.job
        )));
    }
    refuse_edited(path, &header.job)?;
    Ok(header)
}

impl From<Header> for SavedPlan {
    fn from(header: Header) -> SavedPlan {
        SavedPlan {
            job: header.job,
            fingerprint: header.fingerprint,
            empty: header.operations.is_empty(),
            basis: header.basis.map(Basis::from),
            undo: header.undo,
        }
    }
}

impl From<BasisHeader> for Basis {
    fn from(header: BasisHeader) -> Basis {
        let prints = header.operations.into_iter();
        Basis {
            config: header.config,
            last_run: header.last_run,
            operations: prints
                .map(|(label, print)| OperationPrint { label, print })
                .collect(),
        }
    }
}

/// Refuses a plan whose file says something else than `rosterd plan` wrote: what it shows would not
/// be what is applied.
fn refuse_edited(path: &Path, job: &str) -> Result<(), CommandError> {
    let sealed = File::open(path)
        .and_then(|file| is_sealed(BufReader::new(file)))
        .map_err(|error| CommandError::file(ExitCode::Usage, "reading the plan", path, &error))?;
    if sealed {
        return Ok(());
    }
    Err(CommandError::new(
        ExitCode::Refused,
        format!(
            "{} was edited after it was saved, so that it may show something else than would be applied; nothing was written",
            path.display()
        ),
    )
    .hint(format!(
        "a plan is changed by the config and at the providers: make a new one with `{ROSTERD} plan {job} --out FILE`"
    )))
}

impl Header {
    /// Whether its names are of a length that a plan's names have; longer ones would only flood
    /// whoever reads the message.
    fn is_plausible(&self) -> bool {
        let names = self
            .refusals
            .iter()
            .flat_map(|refusal| [&refusal.guard, &refusal.approval]);
        names
            .chain([&self.job, &self.fingerprint])
            .all(|name| name.len() <= LONGEST_NAME)
    }
}

/// Reads what decides of a saved plan.
pub(super) fn read_header(path: &Path) -> Result<Header, CommandError> {
    let file = File::open(path)
        .map_err(|error| CommandError::file(ExitCode::Usage, "opening the plan", path, &error))?;
    let no_plan = || {
        CommandError::usage(format!("{} is no saved plan", path.display()))
            .hint(format!("`{ROSTERD} plan JOB --out FILE` saves one"))
    };
    let header: Header = serde_json::from_reader(BufReader::new(file)).map_err(|error| {
        if error.is_io() {
            return CommandError::file(ExitCode::Usage, "reading the plan", path, &error.into());
        }
        no_plan()
    })?;
    if header.is_plausible() {
        Ok(header)
    } else {
        Err(no_plan())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn header_of(text: &str) -> Result<Header, CommandError> {
        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(file.path(), text).unwrap();
        read_header(file.path())
    }

    #[test]
    fn a_plan_is_told_from_other_files() {
        let header = header_of(
            r#"{"version":1,"job":"a","fingerprint":"f","operations":[{"seq":1}],"refusals":[{"guard":"g","approval":"x","value":3}],"new":1}"#,
        )
        .unwrap();
        assert_eq!(
            (
                header.version,
                header.job.as_str(),
                header.fingerprint.as_str()
            ),
            (1, "a", "f")
        );
        assert_eq!(header.refusals[0].approval, "x");
        let endless = format!(
            r#"{{"version":1,"job":"{}","fingerprint":"f","operations":[]}}"#,
            "x".repeat(2_000)
        );
        for text in [
            "",
            "{}",
            "[1]",
            "not json",
            r#"{"version":1,"runs":[]}"#,
            "\u{0}\u{1}",
            &endless,
        ] {
            let error = header_of(text).unwrap_err();
            assert_eq!(error.code(), ExitCode::Usage, "{text}");
            assert!(error.message().ends_with("is no saved plan"), "{text}");
        }
    }
    #[test]
    fn a_plan_that_was_cut_short_anywhere_is_none() {
        let whole = r#"{"version":1,"job":"a","fingerprint":"f","operations":[{"seq":1,"fields":{"n":1e3,"t":"é\u0000"}}],"refusals":[]}"#;
        assert!(header_of(whole).is_ok());
        for end in (0..whole.len()).filter(|end| whole.is_char_boundary(*end)) {
            assert_eq!(
                header_of(&whole[..end]).unwrap_err().code(),
                ExitCode::Usage,
                "cut at {end}"
            );
        }
    }
}
