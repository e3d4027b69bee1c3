//! Whether the service is alive, as it tells itself: a heartbeat, and the word that it stopped.

use jiff::{SignedDuration, Timestamp};
use rusqlite::OptionalExtension;

use super::Store;
use super::convert::{optional_time, stamp, time};
use super::error::StateError;

/// How long after its last heartbeat a service counts as alive. It beats every quarter of a minute at
/// the latest, and a busy disk may hold it up.
const SILENCE: SignedDuration = SignedDuration::from_secs(60);

/// The service that used a database last.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ServiceRecord {
    /// The number of its process.
    pub pid: u32,
    /// When it began.
    pub started: Timestamp,
    /// When it was heard last.
    pub heard: Timestamp,
    /// When it said that it stops.
    pub stopped: Option<Timestamp>,
}

impl ServiceRecord {
    /// Tells whether it is alive at a moment. What was heard in the future was heard before the clock
    /// was set back, and proves nothing.
    pub fn is_alive(&self, now: Timestamp) -> bool {
        let silence = now.duration_since(self.heard);
        self.stopped.is_none() && silence.abs() <= SILENCE
    }
}

impl Store {
    /// Takes down that a service begins.
    pub fn service_began(&self, pid: u32, now: Timestamp) -> Result<(), StateError> {
        self.write(|connection| {
            connection
                .prepare_cached(
                    "INSERT OR REPLACE INTO service (only, pid, started, heard) VALUES (1, ?1, ?2, ?2)",
                )?
                .execute((pid, stamp(now)))?;
            Ok(())
        })
    }

    /// Takes down that the service is alive.
    pub fn service_beats(&self, now: Timestamp) -> Result<(), StateError> {
        self.write(|connection| {
            connection
                .prepare_cached("UPDATE service SET heard = ?1 WHERE only = 1")?
                .execute([stamp(now)])?;
            Ok(())
        })
    }

    /// Takes down that the service has stopped in order.
    pub fn service_stopped(&self, now: Timestamp) -> Result<(), StateError> {
        self.write(|connection| {
            connection
                .prepare_cached("UPDATE service SET heard = ?1, stopped = ?1 WHERE only = 1")?
                .execute([stamp(now)])?;
            Ok(())
        })
    }

    /// Takes down that the service keeps its config because the one that it was asked to read is wrong,
    /// and why; nothing once it has read a good one.
    pub fn service_keeps_config(&self, why: Option<&str>) -> Result<(), StateError> {
        self.write(|connection| {
            connection
                .prepare_cached("UPDATE service SET wrong_config = ?1 WHERE only = 1")?
                .execute([why])?;
            Ok(())
        })
    }

    /// Returns what is wrong with the config that the service was asked to read last.
    pub fn wrong_config(&self) -> Result<Option<String>, StateError> {
        self.read(|connection| {
            let mut select =
                connection.prepare_cached("SELECT wrong_config FROM service WHERE only = 1")?;
            Ok(select.query_row([], |row| row.get(0)).optional()?.flatten())
        })
    }

    /// Returns the service that used this database last, if there ever was one.
    pub fn service(&self) -> Result<Option<ServiceRecord>, StateError> {
        self.read(|connection| {
            let mut select = connection.prepare_cached(
                "SELECT pid, started, heard, stopped FROM service WHERE only = 1",
            )?;
            let service = select.query_row([], |row| {
                Ok(ServiceRecord {
                    pid: row.get(0)?,
                    started: time(row, 1)?,
                    heard: time(row, 2)?,
                    stopped: optional_time(row, 3)?,
                })
            });
            Ok(service.optional()?)
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::state::tests::at;

    #[test]
    fn a_service_is_alive_while_it_beats() {
        let store = Store::in_memory();
        assert_eq!(store.service().unwrap(), None);
        store.service_began(7, at(0)).unwrap();
        let alive = |now: i64| store.service().unwrap().unwrap().is_alive(at(now));
        assert!(alive(0) && alive(60));
        assert!(!alive(61), "nothing was heard for too long");
        store.service_beats(at(50)).unwrap();
        assert!(alive(110));
        assert!(
            !alive(-3600),
            "the clock was set back: it was heard before that"
        );
        assert_eq!(store.wrong_config().unwrap(), None);
        store.service_keeps_config(Some("No such job.")).unwrap();
        assert_eq!(store.wrong_config().unwrap().unwrap(), "No such job.");
        store.service_stopped(at(60)).unwrap();
        assert!(!alive(60), "it stopped in order");
        store.service_began(8, at(61)).unwrap();
        let service = store.service().unwrap().unwrap();
        assert_eq!((service.pid, service.stopped), (8, None));
        assert_eq!(
            store.wrong_config().unwrap(),
            None,
            "it read its config anew"
        );
        assert!(alive(62));
    }
}
