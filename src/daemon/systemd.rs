//! Messages to systemd, where the service runs under it.

use std::env;
use std::ffi::OsString;
use std::io;
use std::os::unix::net::UnixDatagram;
use std::time::Duration;

use sd_notify::NotifyState;

/// Where systemd listens, and how often it wants to hear something.
#[derive(Clone, Debug, Default)]
pub(super) struct Manager {
    /// None where the service was started by something else, which wants to hear nothing.
    pub(super) socket: Option<OsString>,
    /// After how much silence it takes the service for dead.
    pub(super) patience: Option<Duration>,
    /// What it was told last of how the service fares.
    status: String,
}

impl Manager {
    /// Looks at what systemd left in the environment.
    pub(super) fn from_environment() -> Manager {
        Manager {
            socket: env::var_os("NOTIFY_SOCKET").filter(|socket| !socket.is_empty()),
            patience: sd_notify::watchdog_enabled(),
            status: String::new(),
        }
    }

    /// How often it wants to hear that the service is alive: twice in the time after which it gives
    /// up.
    pub(super) fn watchdog_period(&self) -> Option<Duration> {
        let patience = self.patience?;
        Some((patience / 2).max(Duration::from_millis(100)))
    }

    /// Tells it something. Elsewhere nobody listens, and nothing happens.
    pub(super) fn tell(&self, states: &[NotifyState<'_>]) {
        let Some(socket) = &self.socket else { return };
        let mut lines = String::new();
        for state in states {
            lines += &state.to_string();
            lines.push('\n');
        }
        if let Err(error) = send(socket, lines.as_bytes()) {
            tracing::warn!(%error, "The service manager could not be told.");
        }
    }

    /// Says that the config is being read again, and since when: `Type=notify-reload` waits for the
    /// end of exactly the reload that it asked for.
    pub(super) fn tell_reloading(&self) {
        match NotifyState::monotonic_usec_now() {
            Ok(since) => self.tell(&[NotifyState::Reloading, since]),
            Err(error) => {
                tracing::warn!(%error, "The system has no clock for the service manager.");
            }
        }
    }

    /// Says how the service fares, where that has changed.
    pub(super) fn tell_status(&mut self, status: String) {
        if self.status != status {
            self.status = status;
            self.tell(&[NotifyState::Status(&self.status)]);
        }
    }
}

/// Sends a datagram, and waits for nobody: a manager that does not listen is not to stop a service.
fn send(socket: &OsString, message: &[u8]) -> io::Result<()> {
    let own = UnixDatagram::unbound()?;
    own.set_nonblocking(true)?;
    #[cfg(target_os = "linux")]
    if let Some(name) = socket.as_encoded_bytes().strip_prefix(b"@") {
        use std::os::linux::net::SocketAddrExt as _;
        let address = std::os::unix::net::SocketAddr::from_abstract_name(name)?;
        return own.send_to_addr(message, &address).map(drop);
    }
    own.send_to(message, socket).map(drop)
}
