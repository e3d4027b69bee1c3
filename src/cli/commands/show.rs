//! `rosterd show`: what one run did.

use crate::cli::context::Context;
use crate::cli::error::CommandError;
use crate::cli::exit::ExitCode;
use crate::cli::format::{Format, FormatArg};
use crate::cli::output::print;
use crate::model::normalise_address;
use crate::report::{ItemFilter, write_show_json, write_show_text};
use crate::state::{JournalOutcome, RunItem, RunRecord, StateError, Store};

/// The words of the plan format.
const OPERATIONS: [&str; 12] = [
    "create_group",
    "adopt_group",
    "update_group",
    "rename_group",
    "archive_group",
    "delete_group",
    "set_opt_out",
    "create_members",
    "update_member",
    "change_address",
    "add_memberships",
    "remove_memberships",
];

const OUTCOMES: [&str; 3] = ["done", "failed", "open"];

/// Shows what one run did by group, or with `-v` item by item with the fields before and after.
///
/// A run that is under way, or was killed, shows what is known to be done so far; what it had sent and
/// nobody knows the outcome of yet is `open`, until the job's next run finds out.
#[derive(clap::Args, Debug)]
pub(crate) struct ShowArgs {
    /// The run's id, or the beginning of it, as `rosterd history` shows it.
    run: String,
    /// Only what was done in the group of this name.
    #[arg(long, value_name = "NAME")]
    group: Option<String>,
    /// Only what was done to the person with this address.
    #[arg(long, value_name = "EMAIL")]
    person: Option<String>,
    /// Only what one kind of operation did.
    #[arg(long, value_name = "OPERATION", value_parser = OPERATIONS)]
    op: Option<String>,
    /// Only what ended like this.
    #[arg(long, value_parser = OUTCOMES)]
    outcome: Option<String>,
    #[command(flatten)]
    format: FormatArg,
}

pub(crate) fn cmd_show(context: &Context, args: &ShowArgs) -> Result<ExitCode, CommandError> {
    let config = context.config()?;
    let unknown = || {
        CommandError::usage(format!(
            "there is no run whose id begins with \"{}\"",
            args.run
        ))
        .hint("`rosterd history` lists the runs")
    };
    let store = Context::existing_store(&config)?.ok_or_else(unknown)?;
    let run = store.run(&args.run)?.ok_or_else(unknown)?;
    let filter = ItemFilter {
        group: args.group.clone(),
        member: args.person.as_deref().map(normalised),
        op: args.op.clone(),
        outcome: args.outcome.clone(),
    };
    let open = open_items(&store, &run)?;
    let mut unread = None;
    let items = store.run_items(&run.id).map_while(|item| match item {
        Ok(item) => Some(item),
        Err(error) => {
            unread = Some(error);
            None
        }
    });
    let items = items.chain(open);
    print(|out| match args.format.format {
        Format::Text => write_show_text(
            out,
            &run,
            items,
            &filter,
            context.verbose(),
            &Context::zone(),
        ),
        Format::Json => {
            let meant = items.filter(|item| filter.is_met_by(item));
            write_show_json(out, &run, meant)
        }
    })?;
    match unread {
        Some(error) => Err(error.into()),
        None => Ok(ExitCode::Done),
    }
}

/// Writes an address as it is kept; what is none may be how somebody without one is named.
fn normalised(address: &str) -> String {
    let normal = normalise_address(address);
    normal.map_or_else(
        |_| address.to_owned(),
        |address| address.as_str().to_owned(),
    )
}

/// What a run had sent and nobody knows the outcome of yet.
fn open_items(store: &Store, run: &RunRecord) -> Result<Vec<RunItem>, StateError> {
    let entries = store.unsettled(&run.job)?.into_iter();
    let entries: Vec<_> = entries.filter(|entry| entry.run == run.id).collect();
    if entries.is_empty() {
        return Ok(Vec::new());
    }
    let links = store.links(&run.job)?;
    let name_of = |id: &str| {
        let link = links.iter().find(|link| link.target == id);
        link.map(|link| link.name.clone())
    };
    let items = entries.iter().flat_map(|entry| &entry.items);
    let open = items.filter(|item| !item.outcome.as_ref().is_some_and(JournalOutcome::is_final));
    Ok(open
        .flat_map(|item| item.item.lines("open", &name_of))
        .collect())
}
