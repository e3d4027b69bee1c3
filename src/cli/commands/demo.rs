//! `rosterd demo`: the main job as a story.

use std::net::SocketAddr;

use crate::cli::error::CommandError;
use crate::cli::exit::ExitCode;
use crate::cli::output::stdout;
use crate::demo::{self, DemoOptions};

/// Shows the main job with made-up accounts inside this process; needs no config and no network.
#[derive(clap::Args, Debug)]
pub(crate) struct DemoArgs {
    /// Keeps the made-up accounts up afterwards, with a config that points at them.
    #[arg(long)]
    serve: bool,
    /// Where they listen with `--serve`; port 0 takes a free one.
    #[arg(
        long,
        value_name = "ADDRESS",
        default_value = "127.0.0.1:0",
        requires = "serve"
    )]
    listen: SocketAddr,
}

pub(crate) async fn cmd_demo(args: &DemoArgs) -> Result<ExitCode, CommandError> {
    let mut out = stdout();
    let options = DemoOptions {
        serve: args.serve,
        listen: args.listen,
        out: &mut out,
    };
    Box::pin(demo::run(options))
        .await
        .map_err(|error| CommandError::from_any(ExitCode::Failed, &error))?;
    Ok(ExitCode::Done)
}
