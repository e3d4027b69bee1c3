//! `rosterd accept`: a person has seen what is blocked or refused, and lives with it.

use crate::cli::context::{Context, find_job, know_job, names_a_pair, only_job};
use crate::cli::error::CommandError;
use crate::cli::exit::ExitCode;
use crate::cli::format::{Format, FormatArg};
use crate::cli::output::print;
use crate::config::Config;
use crate::program::ROSTERD;
use crate::report::{write_accepted_json, write_accepted_text};
use crate::run::by_hand::{self, NotChosen, Which};
use crate::state::FailureNote;

/// Accepts blocked or refused items: they stay listed, and need nobody until they change.
///
/// An item is named by the short id that `plan`, `sync` and `failures` show; its beginning is
/// enough. Accepted items no longer make a run end with 4. An item that changes has another id, and
/// asks for a person again.
#[derive(clap::Args, Debug)]
pub(crate) struct AcceptArgs {
    /// The job; may be left out where the config has only one.
    job: Option<String>,
    /// The items, by the ids that `failures` shows.
    items: Vec<String>,
    /// Every item that stands there for this reason, such as `bad_address`.
    #[arg(long, value_name = "REASON", conflicts_with = "items")]
    all_blocked: Option<String>,
    /// Show what is accepted, and change nothing.
    #[arg(long, conflicts_with_all = ["items", "all_blocked", "revoke", "reason"])]
    list: bool,
    /// Take it back: the items need a person again.
    #[arg(long, conflicts_with = "reason")]
    revoke: bool,
    /// Why, for whoever reads the list later.
    #[arg(long, value_name = "TEXT")]
    reason: Option<String>,
    #[command(flatten)]
    format: FormatArg,
}

pub(crate) fn cmd_accept(context: &Context, args: &AcceptArgs) -> Result<ExitCode, CommandError> {
    let mut config = context.config_with_job()?;
    if let Some(job) = args.job.as_deref()
        && names_a_pair(&config, job)
    {
        know_job(&mut config, job)?;
    }
    let (job, items) = job_and_items(&config, args)?;
    if args.list {
        let accepted = match Context::existing_store(&config)? {
            Some(store) => store.accepted(&job)?,
            None => Vec::new(),
        };
        print(|out| match args.format.format {
            Format::Text => write_accepted_text(out, &accepted),
            Format::Json => write_accepted_json(out, &job, &accepted),
        })?;
        return Ok(ExitCode::Done);
    }
    let Some(store) = Context::existing_store(&config)? else {
        return Err(nothing(&job, "no run has left any yet"));
    };
    drop(store);
    let store = Context::store(&config)?;
    let known = if args.revoke {
        let accepted = store.accepted(&job)?.into_iter();
        accepted.map(|accepted| accepted.note).collect()
    } else {
        by_hand::items_that_wait(&store, &job)?
    };
    let chosen = choose(&job, args, &items, &known)?;
    if args.revoke {
        let items: Vec<String> = chosen.iter().map(|note| note.item.clone()).collect();
        store.revoke(&job, &items)?;
    } else {
        store.accept(&job, &chosen, args.reason.as_deref(), Context::now())?;
    }
    let number = chosen.len();
    let items = if number == 1 { "item" } else { "items" };
    print(|out| match args.format.format {
        Format::Json => write_accepted_json(out, &job, &store.accepted(&job).unwrap_or_default()),
        Format::Text if args.revoke => {
            writeln!(out, "{number} {items} of \"{job}\" need a person again.")
        }
        Format::Text => writeln!(
            out,
            "{number} {items} of \"{job}\" accepted: still listed, and no longer a reason to end with 4."
        ),
    })?;
    Ok(ExitCode::Done)
}

/// Tells the job from the items: where the config has only one, the first word may be an item.
fn job_and_items(
    config: &Config,
    args: &AcceptArgs,
) -> Result<(String, Vec<String>), CommandError> {
    let takes_none = args.list || args.all_blocked.is_some();
    let first = args.job.as_deref();
    let (job, items) = match first {
        Some(name) if config.jobs.contains_key(name) || config.jobs.len() != 1 || takes_none => {
            (find_job(config, name)?.name.clone(), args.items.clone())
        }
        first => {
            let items = first.map(str::to_owned).into_iter();
            let items = items.chain(args.items.iter().cloned()).collect();
            (only_job(config, "accept")?, items)
        }
    };
    if takes_none && !items.is_empty() {
        return Err(CommandError::usage(
            "`--list` and `--all-blocked` stand without items",
        ));
    }
    if !takes_none && items.is_empty() {
        return Err(CommandError::usage("`rosterd accept` has to be told which items").hint(
            format!("`{ROSTERD} failures {job}` shows them with their ids; `--all-blocked REASON` takes all of a reason"),
        ));
    }
    Ok((job, items))
}

fn choose(
    job: &str,
    args: &AcceptArgs,
    items: &[String],
    known: &[FailureNote],
) -> Result<Vec<FailureNote>, CommandError> {
    let which = match &args.all_blocked {
        Some(reason) => Which::OfReason(reason),
        None => Which::Named(items),
    };
    by_hand::choose(known, which).map_err(|why| match why {
        NotChosen::Several(item) => {
            CommandError::usage(format!("several items of \"{job}\" begin with \"{item}\""))
                .hint("write more of the id".to_owned())
        }
        why => nothing(job, &why.to_string()),
    })
}

fn nothing(job: &str, why: &str) -> CommandError {
    CommandError::usage(format!("no such item of job \"{job}\": {why}")).hint(format!(
        "`{ROSTERD} failures {job}` shows them with their ids; `{ROSTERD} accept {job} --list` what is accepted"
    ))
}
