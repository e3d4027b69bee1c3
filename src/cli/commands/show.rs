//! `rosterd show`: what one run did.

use std::collections::BTreeSet;

use crate::cli::context::{Context, did_you_mean, find_run};
use crate::cli::error::CommandError;
use crate::cli::exit::ExitCode;
use crate::cli::format::ShowFormat;
use crate::cli::output::print;
use crate::cli::page::page_about;
use crate::model::normalise_address;
use crate::plan::base::GroupLink;
use crate::plan::fold_group_name;
use crate::program::ROSTERD;
use crate::report::{
    ItemFilter, operations, quoted, write_show_html, write_show_json, write_show_text,
};
use crate::state::{About, FOUND, RunItem, RunRecord, Store};
use crate::web::view::open_items;

const OUTCOMES: [&str; 4] = ["done", "failed", "open", FOUND];

/// Shows what one run did by group, or with `-v` item by item with the fields before and after.
///
/// A run that is under way, or was killed, shows what was known to be done and refused by then; what it
/// had sent and nobody knows the outcome of is `open`, until the job's next run finds out. What that one
/// finds done is an item of the run that had sent it, `found`, and counts in no summary.
#[derive(clap::Args, Debug)]
pub(crate) struct ShowArgs {
    /// The run's id, or the beginning of it, as `rosterd history` shows it.
    run: String,
    /// Only what was done in the group of this name, or of this id at the target.
    #[arg(long, value_name = "NAME")]
    group: Option<String>,
    /// Only what was done to the person with this address.
    #[arg(long, value_name = "EMAIL")]
    person: Option<String>,
    /// Only what one kind of operation did.
    #[arg(long, value_name = "OPERATION", value_parser = operations())]
    op: Option<String>,
    /// Only what ended like this.
    #[arg(long, value_parser = OUTCOMES)]
    outcome: Option<String>,
    /// How the run is shown.
    #[arg(long, value_enum, default_value_t, value_name = "FORMAT")]
    format: ShowFormat,
}

pub(crate) fn cmd_show(context: &Context, args: &ShowArgs) -> Result<ExitCode, CommandError> {
    let config = context.config()?;
    let (store, run) = find_run(&config, &args.run)?;
    let filter = ItemFilter {
        group: args.group.clone(),
        member: args.person.as_deref().map(normalised),
        op: args.op.clone(),
        outcome: args.outcome.clone(),
    };
    let open = open_items(&store, &run)?;
    refuse_unknown(&store, &run, &filter, &open)?;
    let mut unread = None;
    let kept = store.run_items(&run.id).map(|item| {
        item.map_err(|error| {
            let words = error.to_string();
            unread = Some(error);
            words
        })
    });
    print(|out| match args.format {
        ShowFormat::Text => write_show_text(
            out,
            &run,
            kept.map_while(Result::ok).chain(open),
            &filter,
            context.verbose(),
            &Context::zone(),
        ),
        ShowFormat::Html => {
            let about = page_about(context, &config, config.jobs.get(&run.job));
            let items = kept.chain(open.into_iter().map(Ok));
            write_show_html(out, &run, items, &filter, &about)
        }
        ShowFormat::Json => {
            let items = kept.map_while(Result::ok).chain(open);
            let meant = items.filter(|item| filter.is_met_by(item));
            write_show_json(out, &run, meant)
        }
    })?;
    match unread {
        Some(error) => Err(error.into()),
        None => Ok(ExitCode::Done),
    }
}

/// Refuses a group or a person that neither the run nor its job knows: whoever mistyped a name would take the
/// run for one that did nothing.
fn refuse_unknown(
    store: &Store,
    run: &RunRecord,
    filter: &ItemFilter,
    open: &[RunItem],
) -> Result<(), CommandError> {
    let (mut group, mut member) = (filter.group.as_deref(), filter.member.as_deref());
    let mut names: BTreeSet<String> = BTreeSet::new();
    let mut look = |item: &RunItem| {
        let is = |wanted: Option<&str>, held: &Option<String>| {
            wanted.is_some() && wanted == held.as_deref()
        };
        if group.is_some() && filter.is_of_group(item) {
            group = None;
        }
        if is(member, &item.member) {
            member = None;
        }
        if let (Some(_), Some(name)) = (group, &item.group)
            && !names.contains(name)
        {
            names.insert(name.clone());
        }
        group.is_none() && member.is_none()
    };
    let mut is_known =
        open.iter().any(&mut look) || (filter.group.is_none() && filter.member.is_none());
    let mut items = store.run_items(&run.id);
    while !is_known && let Some(item) = items.next().transpose()? {
        is_known = look(&item);
    }
    drop(items);
    if let Some(group) = group {
        let links = store.links(&run.job)?;
        let is_linked = |link: &GroupLink| {
            fold_group_name(&link.name) == fold_group_name(group) || link.target == group
        };
        if !links.iter().any(is_linked) {
            names.extend(links.into_iter().map(|link| link.name));
            let known = names.iter().map(|name| ("", name.as_str()));
            let unknown = CommandError::usage(format!(
                "run {} did nothing in a group {}, and its job knows none of this name or id",
                run.id,
                quoted(group)
            ));
            return Err(match did_you_mean(known, group) {
                Some(near) => unknown.hint(near),
                None => unknown.hint(format!(
                    "`{ROSTERD} links {}` lists the groups of the job",
                    run.job
                )),
            });
        }
    }
    if let Some(member) = member
        && store
            .past_items(&run.job, About::Person(member), 1)?
            .is_empty()
    {
        return Err(CommandError::usage(format!(
            "nothing that run {} or another run of its job did concerns the person who was asked for",
            run.id
        ))
        .hint(format!(
            "`--person` takes the address that the source shows, or how `{ROSTERD} show {} -v` names somebody without one",
            run.id
        )));
    }
    Ok(())
}

/// Writes an address as it is kept; what is none may be how somebody without one is named.
fn normalised(address: &str) -> String {
    let normal = normalise_address(address);
    normal.map_or_else(
        |_| address.to_owned(),
        |address| address.as_str().to_owned(),
    )
}
