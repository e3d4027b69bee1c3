//! The main job on a fresh machine, told as a story: emulated accounts at three providers, a plan
//! that is reviewed and applied, and what days, accidents and changes of mind make of it.
//!
//! Nothing here decides anything. The accounts are emulated in this process; the config is a file
//! like any other, and plans and runs are made by the same [`crate::run::Runner`] as everywhere
//! else. What the story claims is compared with what the emulated accounts hold, and a claim that
//! does not hold ends the demo with an error.

mod abridge;
mod chapters;
mod compare;
mod lists;
mod scenes;
mod serve;
mod stage;
mod story;
#[cfg(test)]
mod tests;
mod trouble;

use std::io::Write;
use std::net::SocketAddr;

use anyhow::Context as _;
use tokio::net::TcpListener;

use crate::emulator::Seed;
use stage::Stage;

/// Where the accounts answer when nothing listens: inside the process.
const IN_PROCESS: &str = "http://127.0.0.1";

/// What the accounts hold.
const SIZE: Seed = Seed {
    seed: 1,
    groups: 25,
    members: 1_000,
};

/// Waits until whoever watches has read enough.
pub type Pause = Box<dyn FnMut() -> std::io::Result<()>>;

/// How the demo is asked for.
pub struct DemoOptions<'a> {
    /// Whether the emulated accounts stay up afterwards with the service over them, for a person to look at
    /// the status page and to try commands.
    pub serve: bool,
    /// Where they listen when they stay up; port 0 takes a free one.
    pub listen: SocketAddr,
    /// Called before each chapter: whoever watches says when to go on.
    pub pause: Option<Pause>,
    /// Takes the story. It carries colours, which the caller strips where they are not wanted.
    pub out: &'a mut dyn Write,
}

/// Tells the story, and keeps the emulated accounts up afterwards when asked to.
///
/// # Errors
/// What keeps a run from being made, and every difference between what the story says and what the
/// accounts hold.
pub async fn run(options: DemoOptions<'_>) -> anyhow::Result<()> {
    let DemoOptions {
        serve,
        listen,
        pause,
        out,
    } = options;
    if !serve {
        let stage = Stage::build(IN_PROCESS, &SIZE)?;
        return story::tell(&stage, pause, out).await;
    }
    // The socket comes first: the config file names its address.
    let listener = TcpListener::bind(listen)
        .await
        .with_context(|| format!("the emulated accounts can't listen on {listen}"))?;
    let base = format!("http://{}", listener.local_addr()?);
    let stage = Stage::build(&base, &SIZE)?;
    story::tell(&stage, pause, out).await?;
    serve::serve(&stage, listener, &base, out).await
}
