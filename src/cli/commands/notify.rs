//! `rosterd notify`: is whoever should be told told?

use std::io::{self, Write};

use serde_json::json;

use crate::cli::context::Context;
use crate::cli::error::CommandError;
use crate::cli::exit::ExitCode;
use crate::cli::format::{Format, FormatArg};
use crate::cli::output::print;
use crate::cli::paint::{ERROR, GOOD};
use crate::notify::{self, ChannelName, Tested};
use crate::report::{harmless, write_document};

/// Sends a test by every channel of `[notify]`, and says what happened to each.
///
/// It ends with 1 where a channel did not take the test. The ping is called as after a good run. What
/// is told otherwise, and what to do then: `rosterd help alerts`.
#[derive(clap::Args, Debug)]
pub(crate) struct NotifyArgs {
    /// Sends the test.
    #[arg(long, required = true)]
    test: bool,
    /// Sends it by this channel only.
    #[arg(long, value_enum, value_name = "NAME")]
    channel: Option<ChannelName>,
    #[command(flatten)]
    format: FormatArg,
}

pub(crate) async fn cmd_notify(
    context: &Context,
    args: &NotifyArgs,
) -> Result<ExitCode, CommandError> {
    let config = context.config()?;
    let tested = notify::test(&config, args.channel, Context::now()).await;
    if tested.is_empty() {
        let message = match args.channel {
            Some(channel) => {
                format!("the config has no `notify.{channel}`, so nobody is told that way")
            }
            None => "the config has no `[notify]`, so nobody is told of anything".to_owned(),
        };
        return Err(CommandError::usage(message).hint(
            "add webhook, command, email or alive under `[notify]`; `rosterd help alerts` shows each",
        ));
    }
    let code = if tested.iter().all(|tested| tested.result.is_ok()) {
        ExitCode::Done
    } else {
        ExitCode::Failed
    };
    print(|out| match args.format.format {
        Format::Text => write_text(out, &tested),
        Format::Json => {
            let channels = tested.iter().map(|tested| {
                json!({
                    "channel": tested.channel.as_str(), "to": tested.place, "ok": tested.result.is_ok(),
                    "answer": tested.result.as_ref().ok(), "error": tested.result.as_ref().err(),
                })
            });
            let document = json!({
                "version": super::VERSION,
                "exit_code": code.number(),
                "channels": channels.collect::<Vec<_>>(),
            });
            write_document(out, &document)
        }
    })?;
    Ok(code)
}

fn write_text(out: &mut dyn Write, tested: &[Tested]) -> io::Result<()> {
    for Tested {
        channel, result, ..
    } in tested
    {
        match result {
            Ok(answer) => writeln!(out, "{GOOD}ok{GOOD:#} {channel}: {}", harmless(answer))?,
            Err(why) => writeln!(out, "{ERROR}failed{ERROR:#} {channel}: {}", harmless(why))?,
        }
    }
    Ok(())
}
