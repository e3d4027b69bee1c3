//! Being asked to stop: once to finish the request in flight, twice to stop at once.

use std::future::Future;

use tokio_util::sync::CancellationToken;

use super::error::CommandError;
use super::exit::ExitCode;
use super::output::tell;

/// Waits for some work, and asks it to stop at the first signal. At the second signal the work is dropped where it stands; the
/// journal knows how far it got.
pub(super) async fn interruptible<T>(stop: &CancellationToken, work: impl Future<Output = T>) -> Result<T, CommandError> {
    let mut work = std::pin::pin!(work);
    tokio::select! {
        done = &mut work => return Ok(done),
        () = asked_to_stop() => {}
    }
    stop.cancel();
    tell(|out| writeln!(out, "Stopping after the request in flight; once more stops at once."));
    tokio::select! {
        done = work => Ok(done),
        () = asked_to_stop() => Err(CommandError::new(
            ExitCode::Failed,
            "interrupted in the middle of a request; the next run finds out what became of it",
        )),
    }
}

/// Waits for SIGINT or SIGTERM.
async fn asked_to_stop() {
    #[cfg(unix)]
    {
        use tokio::signal::unix::{SignalKind, signal};
        if let (Ok(mut interrupt), Ok(mut terminate)) = (signal(SignalKind::interrupt()), signal(SignalKind::terminate())) {
            tokio::select! {
                _ = interrupt.recv() => {}
                _ = terminate.recv() => {}
            }
            return;
        }
    }
    if tokio::signal::ctrl_c().await.is_err() {
        // Without a way to hear of signals the work just goes on.
        std::future::pending::<()>().await;
    }
}
