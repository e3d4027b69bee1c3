//! `rosterd forget`: a person removed from all that is remembered.

use serde_json::json;

use super::restore::take_whole;
use crate::cli::confirm::YesArg;
use crate::cli::context::Context;
use crate::cli::error::CommandError;
use crate::cli::exit::ExitCode;
use crate::cli::format::{Format, FormatArg};
use crate::cli::output::print;
use crate::model::normalise_address;
use crate::program::{ROSTERD, completed};
use crate::report::{harmless, write_document};
use crate::state::{Locks, Removal, Store, copies_beside};

/// Removes a person from the state database for good, and keeps them from ever being added again.
///
/// Goes through links, memberships, history, journal, failures, approvals and remembered refusals, also
/// under addresses that the person had before. What stays is a hash of the address and of the known ids
/// that names nobody and bars the person at every account of this database; later readings link
/// nobody to the person and keep no profile of them. An address that the database does not know is barred all the same.
///
/// Asks first; `--yes` answers. Works while neither the service nor a run is active. Copies of the
/// database, exports, saved plans and the providers themselves are not touched.
#[derive(clap::Args, Debug)]
pub(crate) struct ForgetArgs {
    /// The person's address.
    email: String,
    #[command(flatten)]
    yes: YesArg,
    #[command(flatten)]
    format: FormatArg,
}

const IN_USE: &str = "somebody is forgotten while no service and no run is active; `rosterd status` shows what is running";

/// What no database can reach.
const LEFT: [&str; 3] = [
    "The providers still hold the person: remove them there, where that was asked for.",
    "Copies of the database that were made before still hold the person, as do exports, saved plans and reports: delete those, or make them anew. `rosterd restore` of such a copy takes out whom the database that it replaces has forgotten; on another machine, or over a lost or damaged database, it brings them back, so forget them again there.",
    "A hash of the address stays and bars the person; it can't be listed, but whoever has the file can find out whether an address that they know is among those forgotten.",
];

pub(crate) fn cmd_forget(context: &Context, args: &ForgetArgs) -> Result<ExitCode, CommandError> {
    let state = context.state_path()?;
    // The address is not repeated on standard error.
    let address = normalise_address(&args.email).map_err(|_| {
        CommandError::usage("what was typed is no e-mail address, so nobody was forgotten").hint(
            format!("type it as `{ROSTERD} show` shows it, such as ana@example.org"),
        )
    })?;
    let path = state.display().to_string();
    let shown = harmless(&path);
    let is_there = state.exists();
    let locks = Locks::new(&state);
    if is_there {
        // Nobody is kept waiting while a person makes up their mind.
        drop(take_whole(&locks, &completed(IN_USE))?);
    }
    args.yes.confirm(&format!("Forget this person in {shown}?"), |out| {
        if !is_there {
            writeln!(out, "There is no {shown} yet; it would be made, and hold nothing but a hash.")?;
        }
        writeln!(out, "What {shown} holds of the person is removed for good, and the person is never added again.")?;
        LEFT.iter().try_for_each(|note| writeln!(out, "- {note}"))
    })?;
    let _whole = take_whole(&locks, &completed(IN_USE))?;
    let store = Store::open(&state, Context::now())?;
    let removal = store.forget_person(address.as_str(), Context::now())?;
    let copies = copies_beside(&state).map(|copies| {
        copies
            .iter()
            .map(|copy| copy.display().to_string())
            .collect::<Vec<_>>()
    });
    let mut left = notes(&removal);
    if let Err(error) = &copies {
        left.push(format!(
            "Whether copies are beside the database could not be seen: {error}."
        ));
    }
    let copies = copies.unwrap_or_default();
    let rows = counts(&removal);
    print(|out| match args.format.format {
        Format::Text => {
            if removal.is_anything() {
                let words = rows.iter().filter(|(_, _, rows)| *rows > 0);
                let words: Vec<String> = words
                    .map(|(_, what, rows)| format!("{what} {rows}"))
                    .collect();
                writeln!(
                    out,
                    "Forgot the person in {shown}. Removed or emptied: {}.",
                    words.join(", ")
                )?;
            } else {
                writeln!(
                    out,
                    "{shown} knew nothing of this address, or has forgotten it before."
                )?;
            }
            writeln!(
                out,
                "The person is never added again at any account of this database."
            )?;
            for copy in &copies {
                writeln!(
                    out,
                    "- {} is a copy beside the database, and may hold the person.",
                    harmless(copy)
                )?;
            }
            left.iter()
                .try_for_each(|note| writeln!(out, "- {}", harmless(note)))
        }
        Format::Json => {
            let removed: serde_json::Map<String, serde_json::Value> = rows
                .iter()
                .map(|(key, _, rows)| ((*key).to_owned(), (*rows).into()))
                .collect();
            write_document(
                out,
                &json!({"version": super::VERSION, "path": path, "known": removal.is_anything(), "removed": removed,
                        "copies": copies, "left": left}),
            )
        }
    })?;
    Ok(ExitCode::Done)
}

/// The counts by their keys in JSON and their words.
fn counts(removal: &Removal) -> [(&'static str, &'static str, usize); 8] {
    [
        ("links", "links", removal.links),
        ("memberships", "memberships", removal.memberships),
        ("history", "entries of the history", removal.history),
        ("journal", "items of the journal", removal.journal),
        ("failures", "failures", removal.failures),
        ("approvals", "acceptances and approvals", removal.approvals),
        (
            "refusals",
            "refusals, for which the hash bars",
            removal.refusals,
        ),
        ("memories", "other memories", removal.memories),
    ]
}

fn notes(removal: &Removal) -> Vec<String> {
    let mut notes: Vec<String> = LEFT.map(ToOwned::to_owned).to_vec();
    match removal.later {
        0 => {}
        1 => notes.push("One contact had this address once and has another one by now; it stays. Where it is the same person, forget that address as well.".to_owned()),
        many => notes.push(format!("{many} contacts had this address once and have other ones by now; they stay. Where they are the same person, forget those addresses as well.")),
    }
    if removal.log_is_held {
        notes.push("Another program reads the database, so its write-ahead log still holds what was removed; end that program and run this again.".to_owned());
    }
    notes
}
