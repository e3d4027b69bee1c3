//! Questions to the state database, and the few changes that a person makes to it, on threads where
//! they hold up nobody.

use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::sync::Semaphore;
use tokio::time::timeout;

use crate::state::{StateError, Store};

/// How many questions the database is asked at once.
const AT_ONCE: usize = 4;

/// How long a question waits for its turn.
const PATIENCE: Duration = Duration::from_secs(5);

/// Why the state database gave no answer.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ReadError {
    /// It can't be read.
    #[error(transparent)]
    State(#[from] StateError),
    /// There is no file where the service had made one.
    #[error("the state database is gone")]
    Gone,
    /// Too many questions wait for it.
    #[error("too many requests wait for the state database")]
    Crowded,
    /// A question broke off because of a defect.
    #[error("the state database could not be asked because of a defect in rosterd")]
    Broken,
}

/// A few connections that are lent out one question at a time, and the service's own one for changes,
/// one at a time as well.
pub(super) struct Readers {
    shared: Arc<Shared>,
    /// Whether the last question had no answer, so that the log says it once.
    fails: AtomicBool,
    turns: Arc<Semaphore>,
    writer: Arc<Store>,
    writing: Arc<Semaphore>,
}

struct Shared {
    path: PathBuf,
    idle: Mutex<Vec<Lent>>,
}

/// A connection, and which file it is to.
struct Lent {
    store: Store,
    file: File,
}

impl Readers {
    pub(super) fn new(writer: Arc<Store>) -> Readers {
        Readers {
            shared: Arc::new(Shared {
                path: writer.path().to_owned(),
                idle: Mutex::default(),
            }),
            fails: AtomicBool::new(false),
            turns: Arc::new(Semaphore::new(AT_ONCE)),
            writer,
            writing: Arc::new(Semaphore::new(1)),
        }
    }

    pub(super) async fn write<T: Send + 'static>(
        &self,
        work: impl FnOnce(&Store) -> Result<T, StateError> + Send + 'static,
    ) -> Result<T, ReadError> {
        let turn = timeout(PATIENCE, self.writing.clone().acquire_owned()).await;
        let Ok(Ok(turn)) = turn else {
            return Err(ReadError::Crowded);
        };
        let writer = self.writer.clone();
        let done = tokio::task::spawn_blocking(move || {
            let _turn = turn;
            Ok(work(&writer)?)
        });
        done.await.unwrap_or(Err(ReadError::Broken))
    }

    pub(super) async fn read<T: Send + 'static>(
        &self,
        work: impl FnOnce(&Store) -> Result<T, StateError> + Send + 'static,
    ) -> Result<T, ReadError> {
        let turn = timeout(PATIENCE, self.turns.clone().acquire_owned()).await;
        let Ok(Ok(turn)) = turn else {
            return Err(ReadError::Crowded);
        };
        let shared = self.shared.clone();
        let asked = tokio::task::spawn_blocking(move || {
            // Held until the question is answered, whether somebody still waits for that or not.
            let _turn = turn;
            let lent = shared.take()?;
            // One that went wrong is not used again: its file may have been put back meanwhile.
            let answer = work(&lent.store)?;
            shared.put_back(lent);
            Ok(answer)
        });
        let answer = asked.await.unwrap_or(Err(ReadError::Broken));
        self.tell(answer.as_ref().err());
        answer
    }

    /// Logs that the database can't be read, and that it can again.
    fn tell(&self, error: Option<&ReadError>) {
        match (error, self.fails.swap(error.is_some(), Ordering::Relaxed)) {
            (Some(error), false) => {
                tracing::warn!(%error, "The state database can't be read for the page, the API and the metrics.");
            }
            (None, true) => tracing::info!("The state database can be read again."),
            _ => {}
        }
    }
}

impl Shared {
    /// Lends a connection to the file that has the name now. A file that was taken away, or put in
    /// another's place, goes on to answer whoever had it open.
    fn take(&self) -> Result<Lent, ReadError> {
        let file = File::at(&self.path).ok_or(ReadError::Gone)?;
        let idle = {
            let mut idle = self.idle.lock().unwrap_or_else(PoisonError::into_inner);
            idle.retain(|lent| lent.file == file);
            idle.pop()
        };
        if let Some(lent) = idle {
            return Ok(lent);
        }
        let store = Store::open_read_only(&self.path)?.ok_or(ReadError::Gone)?;
        Ok(Lent { store, file })
    }

    fn put_back(&self, lent: Lent) {
        let mut idle = self.idle.lock().unwrap_or_else(PoisonError::into_inner);
        idle.push(lent);
    }
}

/// Which file a name leads to.
#[derive(Clone, Copy, PartialEq, Eq)]
struct File {
    #[cfg(unix)]
    device: u64,
    #[cfg(unix)]
    number: u64,
}

impl File {
    #[cfg(unix)]
    fn at(path: &Path) -> Option<File> {
        use std::os::unix::fs::MetadataExt as _;
        let metadata = path.metadata().ok()?;
        Some(File {
            device: metadata.dev(),
            number: metadata.ino(),
        })
    }

    /// Elsewhere a file that is open can't be taken away.
    #[cfg(not(unix))]
    fn at(path: &Path) -> Option<File> {
        path.metadata().ok().map(|_| File {})
    }
}

#[cfg(test)]
mod tests {
    use jiff::Timestamp;

    use super::*;

    #[tokio::test]
    async fn a_database_that_is_gone_or_another_one_answers_nobody_any_more() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("rosterd.db");
        let open = || Store::open(&path, Timestamp::UNIX_EPOCH).unwrap();
        let readers = Readers::new(Arc::new(open()));
        let paused = async || readers.read(Store::paused_jobs).await;
        assert!(paused().await.unwrap().is_empty());
        for end in ["", "-wal", "-shm"] {
            drop(std::fs::remove_file(format!("{}{end}", path.display())));
        }
        assert!(matches!(paused().await, Err(ReadError::Gone)));
        let other = open();
        other
            .set_paused("crm-to-mail", Some("moved"), Timestamp::UNIX_EPOCH)
            .unwrap();
        assert!(paused().await.unwrap().contains("crm-to-mail"));
    }
}
