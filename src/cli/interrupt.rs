//! Being asked to stop: once to finish the request in flight, twice to stop at once.

use std::future::Future;

use tokio_util::sync::CancellationToken;

use super::error::CommandError;
use super::exit::ExitCode;
use super::output::tell;
use crate::signals::Signals;

/// What the signals of this process have asked for.
#[derive(Clone, Debug, Default)]
pub(super) struct Interrupt {
    /// Asks runs to stop after the request in flight.
    pub(super) stop: CancellationToken,
    /// Asks to drop everything where it stands.
    abort: CancellationToken,
}

impl Interrupt {
    /// Begins to listen; from here on a signal no longer ends the process by itself.
    pub(super) fn watch(&self) -> Result<(), CommandError> {
        let mut signals =
            Signals::listen().map_err(|error| CommandError::from_any(ExitCode::Failed, &error))?;
        let Interrupt { stop, abort } = self.clone();
        tokio::spawn(async move {
            signals.stop().await;
            stop.cancel();
            tell(|out| {
                writeln!(
                    out,
                    "Stopping after the request in flight; once more stops at once."
                )
            });
            signals.stop().await;
            abort.cancel();
        });
        Ok(())
    }

    /// Waits for some work. At the second signal it is dropped where it stands; the journal knows
    /// how far it got.
    pub(super) async fn run<T>(&self, work: impl Future<Output = T>) -> Result<T, CommandError> {
        tokio::select! {
            done = work => Ok(done),
            () = self.abort.cancelled() => Err(CommandError::new(
                ExitCode::Failed,
                "interrupted in the middle of a request; the next run finds out what became of it",
            )),
        }
    }
}
