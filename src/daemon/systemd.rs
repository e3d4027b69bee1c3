//! Messages to systemd, where the service runs under it.

use std::time::Duration;

use sd_notify::NotifyState;

/// Tells systemd something. Elsewhere nobody listens, and nothing happens.
pub(super) fn tell(state: NotifyState<'_>) {
    if let Err(error) = sd_notify::notify(&[state]) {
        tracing::warn!(%error, "The service manager could not be told.");
    }
}

/// How often systemd wants to hear that the service is alive: twice in the time after which it
/// gives up.
pub(super) fn watchdog_period() -> Option<Duration> {
    sd_notify::watchdog_enabled().map(|limit| (limit / 2).max(Duration::from_millis(100)))
}
