//! What a person types and reads: one file per command below `commands`, and what they share.
//!
//! Results go to standard output, everything else to standard error. Commands decide nothing: they
//! read what was typed, call the library, print what it returns, and turn outcomes into exit codes.

mod commands;
mod confirm;
mod context;
mod error;
mod exit;
mod format;
mod interrupt;
mod logging;
mod output;
mod page;
mod paint;
mod pair;
mod progress;
#[cfg(test)]
mod tests;
mod typed;
mod wait;
mod wrap;

use std::ffi::OsString;
use std::path::PathBuf;

use clap::{
    Arg, ArgAction, ArgMatches, Args, CommandFactory, FromArgMatches as _, Parser, Subcommand,
};
use indicatif::MultiProgress;

use commands as command;
pub(crate) use commands::apply::saved_plan;
pub(crate) use commands::plan::save as save_plan;
use context::Context;
pub use error::CommandError;
pub use exit::ExitCode;
pub use format::{Format, FormatArg, PlanFormat};
use interrupt::Interrupt;
pub use logging::LogFormat;

/// Keeps groups and their members the same at two email-marketing or CRM providers.
///
/// rosterd reads both accounts, shows a plan, and applies it. Nothing happens that the plan did not
/// show, and nobody who refused mail is ever added again. Begin with `rosterd demo`, which needs no
/// account, or with `rosterd init`.
#[derive(Debug, Parser)]
#[command(name = "rosterd", version, max_term_width = 100, after_help = EXIT_CODES, disable_help_subcommand = true)]
pub struct Cli {
    #[command(flatten)]
    global: GlobalArgs,
    #[command(subcommand)]
    command: Command,
}

const EXIT_CODES: &str = "\
Exit codes:
  0  done; nothing is left that a person must see
  1  network, provider, credentials, disk, or interrupted
  2  wrong before the first request: usage, config, unknown job, foreign state file
  3  refused by a guard, the plan has moved or is used up, or the question was answered no:
     nothing was written; sync without a name: the only job is paused or disabled
  4  finished, but items failed or are blocked and need a person, or not all could be read;
     rehearse: the next run still has something to do, or the copies are not what the accounts are
  5  another run of the job, or a use of the account, is active; restore: any use of the database
 10  plan --detailed-exitcode: changes are pending";

/// The options of every command.
#[derive(Args, Clone, Debug)]
#[command(next_help_heading = "Global options")]
pub(crate) struct GlobalArgs {
    /// The config file.
    #[arg(long, global = true, env = "ROSTERD_CONFIG", hide_env_values = true, value_name = "FILE", default_value_os_t = context::default_config())]
    config: PathBuf,
    /// The state database, instead of the one that the config names.
    #[arg(long, global = true, value_name = "FILE")]
    state: Option<PathBuf>,
    /// How log lines on standard error look.
    #[arg(
        long,
        global = true,
        value_enum,
        value_name = "FORMAT",
        default_value = "text"
    )]
    log_format: LogFormat,
    /// Shows every address and more log lines; more often, more of them.
    #[arg(short, long, global = true, action = ArgAction::Count)]
    verbose: u8,
    /// Logs errors only, and shows no progress.
    #[arg(short, long, global = true, conflicts_with = "verbose")]
    quiet: bool,
}

#[derive(Debug, Subcommand)]
enum Command {
    Demo(command::demo::DemoArgs),
    Init(command::init::InitArgs),
    Check(command::check::CheckArgs),
    Plan(command::plan::PlanArgs),
    Apply(command::apply::ApplyArgs),
    Sync(command::sync::SyncArgs),
    Migrate(command::migrate::MigrateArgs),
    Rehearse(command::rehearse::RehearseArgs),
    Run(command::run::RunArgs),
    Status(command::status::StatusArgs),
    Schedule(command::schedule::ScheduleArgs),
    History(command::history::HistoryArgs),
    Show(command::show::ShowArgs),
    Failures(command::failures::FailuresArgs),
    Retry(command::retry::RetryArgs),
    Accept(command::accept::AcceptArgs),
    Groups(command::groups::GroupsArgs),
    Links(command::links::LinksArgs),
    Link(command::link::LinkArgs),
    Unlink(command::link::UnlinkArgs),
    Undo(command::undo::UndoArgs),
    Members(command::members::MembersArgs),
    Explain(command::explain::ExplainArgs),
    Pause(command::pause::PauseArgs),
    Resume(command::pause::ResumeArgs),
    Forget(command::forget::ForgetArgs),
    Export(command::export::ExportArgs),
    Backup(command::backup::BackupArgs),
    Restore(command::restore::RestoreArgs),
    Notify(command::notify::NotifyArgs),
    Emulate(command::emulate::EmulateArgs),
    Schema(command::schema::SchemaArgs),
    Completions(command::completions::CompletionsArgs),
    Man(command::man::ManArgs),
    Help(command::help::HelpArgs),
}

/// Runs the command that was typed and returns the exit code.
pub fn run(arguments: impl IntoIterator<Item = OsString>) -> ExitCode {
    let arguments: Vec<OsString> = arguments.into_iter().collect();
    let parsed = definition()
        .try_get_matches_from(&arguments)
        .and_then(|matches| {
            let cli = Cli::from_arg_matches(&matches)?;
            typed::remember(&matches);
            Ok((cli, wants_json(&matches)))
        });
    let (cli, wants_json) = match parsed {
        Ok(parsed) => parsed,
        Err(error) => {
            let code = if error.use_stderr() {
                ExitCode::Usage
            } else {
                ExitCode::Done
            };
            // A closed pipe must not turn `--help | head` into a failure.
            drop(error.print());
            if code == ExitCode::Usage && typed_json(&arguments) {
                let failure = CommandError::from(error);
                drop(output::print_as_it_is(|out| failure.print_json(out)));
            }
            return code;
        }
    };
    let bars = MultiProgress::new();
    let global = &cli.global;
    logging::start(
        global.log_format,
        global.verbose,
        global.quiet,
        cli.command.is_service(),
        &bars,
    );
    let context = Context {
        is_service: cli.command.is_service(),
        global: cli.global,
        bars,
        interrupt: Interrupt::default(),
    };
    let runtime = match tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()
    {
        Ok(runtime) => runtime,
        Err(error) => {
            let error = CommandError::new(
                ExitCode::Failed,
                format!("the program could not start: {error}"),
            );
            return failed(&error, wants_json);
        }
    };
    runtime
        .block_on(cli.command.run(&context))
        .unwrap_or_else(|error| failed(&error, wants_json))
}

/// Says why there is no result; to a program that waits for one as well.
fn failed(error: &CommandError, wants_json: bool) -> ExitCode {
    output::tell(|out| error.print(out));
    if wants_json {
        // Nobody can be told when that fails.
        drop(output::print_as_it_is(|out| error.print_json(out)));
    }
    error.code()
}

/// Tells whether JSON was asked for by somebody whose options can't be read.
fn typed_json(arguments: &[OsString]) -> bool {
    let typed = arguments.iter().take_while(|word| *word != "--");
    let mut before = None;
    for word in typed {
        if word == "--format=json" || (word == "json" && before.is_some_and(|it| it == "--format"))
        {
            return true;
        }
        before = Some(word);
    }
    false
}

/// Tells whether the result was asked for as JSON.
fn wants_json(matches: &ArgMatches) -> bool {
    let mut matches = matches;
    while let Some((_, deeper)) = matches.subcommand() {
        matches = deeper;
    }
    // Each command has formats of its own.
    let format = matches.try_get_raw("format").ok().flatten();
    format.is_some_and(|mut typed| typed.any(|word| word == "json"))
}

/// Returns the definition of all commands. What every command takes is described once, and not in the
/// help of each.
fn definition() -> clap::Command {
    let definition = Cli::command();
    let global = definition.get_arguments();
    let global: Vec<Arg> = global
        .filter(|argument| argument.is_global_set())
        .cloned()
        .collect();
    definition.mut_subcommands(|command| with_hidden(command, &global))
}

fn with_hidden(command: clap::Command, global: &[Arg]) -> clap::Command {
    let command = command
        .args(global.iter().map(|argument| argument.clone().hide(true)))
        .mut_subcommands(|command| with_hidden(command, global));
    if command.get_after_help().is_some() || command.get_after_long_help().is_some() {
        return command;
    }
    command.after_help(
        "Every command takes --config, --state, --log-format, -v and -q: `rosterd --help` describes them.",
    )
}

impl Command {
    /// Tells whether the command stays up, so that its log begins at INFO.
    fn is_service(&self) -> bool {
        matches!(self, Command::Run(_) | Command::Emulate(_))
    }

    async fn run(self, context: &Context) -> Result<ExitCode, CommandError> {
        match self {
            Command::Demo(args) => command::demo::cmd_demo(&args).await,
            Command::Init(args) => command::init::cmd_init(context, &args),
            Command::Check(args) => command::check::cmd_check(context, &args).await,
            Command::Plan(args) => command::plan::cmd_plan(context, &args).await,
            Command::Apply(args) => command::apply::cmd_apply(context, &args).await,
            Command::Sync(args) => command::sync::cmd_sync(context, &args).await,
            Command::Migrate(args) => command::migrate::cmd_migrate(context, &args).await,
            Command::Rehearse(args) => command::rehearse::cmd_rehearse(context, &args).await,
            Command::Run(args) => command::run::cmd_run(context, &args).await,
            Command::Status(args) => command::status::cmd_status(context, &args),
            Command::Schedule(args) => command::schedule::cmd_schedule(context, &args),
            Command::History(args) => command::history::cmd_history(context, &args),
            Command::Show(args) => command::show::cmd_show(context, &args),
            Command::Failures(args) => command::failures::cmd_failures(context, &args),
            Command::Accept(args) => command::accept::cmd_accept(context, &args),
            Command::Retry(args) => command::retry::cmd_retry(context, &args).await,
            Command::Groups(args) => command::groups::cmd_groups(context, &args).await,
            Command::Links(args) => command::links::cmd_links(context, &args),
            Command::Link(args) => command::link::cmd_link(context, &args).await,
            Command::Unlink(args) => command::link::cmd_unlink(context, &args),
            Command::Undo(args) => command::undo::cmd_undo(context, &args).await,
            Command::Members(args) => command::members::cmd_members(context, &args).await,
            Command::Explain(args) => command::explain::cmd_explain(context, &args).await,
            Command::Pause(args) => command::pause::cmd_pause(context, &args),
            Command::Resume(args) => command::pause::cmd_resume(context, &args),
            Command::Forget(args) => command::forget::cmd_forget(context, &args),
            Command::Export(args) => command::export::cmd_export(context, &args).await,
            Command::Backup(args) => command::backup::cmd_backup(context, &args),
            Command::Restore(args) => command::restore::cmd_restore(context, &args),
            Command::Notify(args) => command::notify::cmd_notify(context, &args).await,
            Command::Emulate(args) => command::emulate::cmd_emulate(&args).await,
            Command::Schema(args) => command::schema::cmd_schema(&args),
            Command::Completions(args) => command::completions::cmd_completions(&args),
            Command::Man(args) => command::man::cmd_man(&args),
            Command::Help(args) => command::help::cmd_help(&args),
        }
    }
}
