//! `rosterd demo`: the main job as a story.

use std::io::{BufRead as _, IsTerminal as _};
use std::net::SocketAddr;

use crate::cli::error::CommandError;
use crate::cli::exit::ExitCode;
use crate::cli::output::stdout;
use crate::demo::{self, DemoOptions, Pause};

/// Shows the main job with made-up accounts inside this process; needs no config and no network.
#[derive(clap::Args, Debug)]
pub(crate) struct DemoArgs {
    /// Waits for Enter before each chapter; takes a terminal.
    #[arg(long)]
    pause: bool,
    /// Keeps the made-up accounts up afterwards, with the service and its status page over them.
    #[arg(long)]
    serve: bool,
    /// Where the accounts listen with `--serve`; port 0 takes a free one.
    #[arg(
        long,
        value_name = "ADDRESS",
        default_value = "127.0.0.1:0",
        requires = "serve"
    )]
    listen: SocketAddr,
}

pub(crate) async fn cmd_demo(args: &DemoArgs) -> Result<ExitCode, CommandError> {
    let (stdin, at_terminal) = (std::io::stdin(), std::io::stdout().is_terminal());
    if args.pause && !(stdin.is_terminal() && at_terminal) {
        return Err(CommandError::usage(
            "`--pause` waits for Enter at a terminal, and there is none",
        )
        .hint("`rosterd demo` without it goes on by itself; `rosterd demo | less` pages it"));
    }
    // Whoever closes the input has nothing more to say, and the demo goes on by itself.
    let wait: Pause = Box::new(move || {
        let mut typed = String::new();
        stdin.lock().read_line(&mut typed).map(drop)
    });
    let mut out = stdout();
    let options = DemoOptions {
        pause: args.pause.then_some(wait),
        serve: args.serve,
        listen: args.listen,
        out: &mut out,
    };
    Box::pin(demo::run(options))
        .await
        .map_err(|error| CommandError::from_any(ExitCode::Failed, &error))?;
    Ok(ExitCode::Done)
}
