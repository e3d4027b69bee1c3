//! `rosterd restore`: a copy of the state database put back.

use std::path::{Path, PathBuf};

use serde_json::json;

use crate::cli::confirm::YesArg;
use crate::cli::context::Context;
use crate::cli::error::CommandError;
use crate::cli::exit::ExitCode;
use crate::cli::format::{Format, FormatArg};
use crate::cli::output::print;
use crate::program::{ROSTERD, completed};
use crate::report::{describe_inventory, harmless, inventory_json, write_document};
use crate::state::{LockError, Locks, StagedCopy, StateError, Store};

/// Puts a copy of the state database back, while neither the service nor a run is active.
///
/// The copy may be of an older version; one that is damaged, newer or not rosterd's is refused, and
/// nothing changes. What was there is kept as `<file>.before-restore`, or with a number where an
/// earlier restore kept something under that name. What the copy can't know is said before the
/// question; `--yes` answers it.
///
/// The next run of each job finds out by reading what changed at the providers since the copy was
/// made. It takes up what it finds there, and adds nobody whom either side shows as refusing.
#[derive(clap::Args, Debug)]
pub(crate) struct RestoreArgs {
    /// The copy, as `rosterd backup` wrote it.
    file: PathBuf,
    #[command(flatten)]
    yes: YesArg,
    #[command(flatten)]
    format: FormatArg,
}

/// What the copy can't know, whatever it holds.
const UNKNOWN: [&str; 5] = [
    "What changed at the providers since the copy was made is found by reading: the next run of each job takes up what it finds, and adds nobody whom either side shows as refusing.",
    "Refusals that rosterd has remembered since then and that neither side shows any more are not in the copy, and bar nobody.",
    "People whom rosterd has unsubscribed from ActiveCampaign lists since then count as people who refuse.",
    "Pauses, acceptances, approvals and links set by hand are as they were when the copy was made.",
    "Whoever was forgotten since then (`rosterd forget`) stays forgotten, where the database that is replaced is whole and of this version; else the copy brings them back, so forget them again. The copy itself goes on to hold them.",
];

pub(crate) fn cmd_restore(context: &Context, args: &RestoreArgs) -> Result<ExitCode, CommandError> {
    let state = context.state_path()?;
    let now = Context::now();
    let staged = StagedCopy::read(&args.file, now)?;
    let present = present(&state)?;
    let locks = Locks::new(&state);
    // Nobody is kept waiting while a person makes up their mind.
    drop(take_whole(&locks, &completed(IN_USE))?);
    let (from, path) = (args.file.display().to_string(), state.display().to_string());
    let (copy, shown) = (harmless(&from), harmless(&path));
    let held = describe_inventory(staged.inventory(), &Context::zone());
    let notes = notes(&staged, matches!(present, Present::Nothing));
    args.yes.confirm(
        &format!("Restore {shown} from {copy}?"),
        |out| {
            writeln!(out, "{copy} holds: {held}.")?;
            match &present {
                Present::Nothing => writeln!(out, "There is no {shown} yet.")?,
                Present::Described(words) => writeln!(
                    out,
                    "{shown} {words}; it is kept beside it as {shown}.before-restore, or with a number where that is taken."
                )?,
            }
            notes.iter().try_for_each(|note| writeln!(out, "- {note}"))
        },
    )?;
    let _whole = take_whole(&locks, &completed(IN_USE))?;
    let done = staged.put_back(&state, now)?;
    let kept = done.kept.map(|kept| kept.display().to_string());
    print(|out| match args.format.format {
        Format::Text => {
            writeln!(out, "Restored {shown} from {copy}: {held}.")?;
            if let Some(kept) = &kept {
                writeln!(
                    out,
                    "What was there is kept as {0}; `{ROSTERD} restore {0}` goes back to it.",
                    harmless(kept)
                )?;
            }
            match done.forgotten {
                None | Some(0) => {}
                Some(1) => writeln!(
                    out,
                    "1 person of the copy had been forgotten since, and was taken out."
                )?,
                Some(many) => writeln!(
                    out,
                    "{many} people of the copy had been forgotten since, and were taken out."
                )?,
            }
            // Whoever was asked has read them.
            let unread = notes.iter().filter(|_| args.yes.yes);
            let mut unread = unread.map(|note| writeln!(out, "- {note}"));
            unread.try_for_each(|written| written)
        }
        Format::Json => write_document(
            out,
            &json!({"version": super::VERSION, "path": path, "from": from, "restored": inventory_json(staged.inventory()),
                    "kept": kept, "forgotten": done.forgotten, "notes": notes}),
        ),
    })?;
    Ok(ExitCode::Done)
}

/// What stands where the copy is to go.
enum Present {
    Nothing,
    Described(String),
}

/// Looks at what is to be replaced; a foreign file is none of ours to replace.
fn present(state: &Path) -> Result<Present, CommandError> {
    let directory = state
        .parent()
        .filter(|parent| !parent.as_os_str().is_empty());
    if let Some(directory) = directory.filter(|directory| !directory.is_dir()) {
        return Err(StateError::NoDirectory {
            path: state.to_owned(),
            directory: directory.to_owned(),
        }
        .into());
    }
    let described = match Store::inventory(state) {
        Ok(None) => return Ok(Present::Nothing),
        Ok(Some(there)) => format!("holds: {}", describe_inventory(&there, &Context::zone())),
        Err(StateError::Damaged { reason, .. }) => format!("is damaged ({reason})"),
        Err(StateError::Newer { found, known, .. }) => {
            format!("has schema version {found}, and this rosterd knows versions up to {known}")
        }
        Err(error) => return Err(error.into()),
    };
    Ok(Present::Described(described))
}

const IN_USE: &str = "a copy is put back while no service and no run is active; `rosterd status` shows what is running";

/// Takes the whole database, or says what it is in use for.
pub(super) fn take_whole(locks: &Locks, hint: &str) -> Result<crate::state::Guard, CommandError> {
    locks.lock_whole().map_err(|error| {
        let is_busy = matches!(error, LockError::Busy { .. });
        let failure = CommandError::from(error);
        if is_busy { failure.hint(hint) } else { failure }
    })
}

fn notes(staged: &StagedCopy, is_new: bool) -> Vec<String> {
    let mut notes: Vec<String> = UNKNOWN.map(ToOwned::to_owned).to_vec();
    match staged.inventory().unsettled {
        0 => {}
        1 => notes.push("The outcome of 1 request is unknown to the copy; the next run of its job settles it by reading.".to_owned()),
        many => notes.push(format!("The outcome of {many} requests is unknown to the copy; the next runs of their jobs settle them by reading.")),
    }
    if is_new {
        notes.push("No other machine may go on with these accounts from a database of its own: nothing keeps the two apart.".to_owned());
    }
    notes
}
