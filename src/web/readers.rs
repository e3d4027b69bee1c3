//! Read-only connections to the state database.

use std::path::{Path, PathBuf};
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

/// A few connections that are lent out one question at a time.
pub(super) struct Readers {
    shared: Arc<Shared>,
    turns: Arc<Semaphore>,
}

struct Shared {
    path: PathBuf,
    idle: Mutex<Vec<Store>>,
}

impl Readers {
    pub(super) fn new(path: &Path) -> Readers {
        Readers {
            shared: Arc::new(Shared {
                path: path.to_owned(),
                idle: Mutex::default(),
            }),
            turns: Arc::new(Semaphore::new(AT_ONCE)),
        }
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
            let store = match shared.take() {
                Some(store) => store,
                None => Store::open_read_only(&shared.path)?.ok_or(ReadError::Gone)?,
            };
            // One that went wrong is not used again: its file may have been put back meanwhile.
            let answer = work(&store)?;
            shared.put_back(store);
            Ok(answer)
        });
        asked.await.unwrap_or(Err(ReadError::Broken))
    }
}

impl Shared {
    fn take(&self) -> Option<Store> {
        let mut idle = self.idle.lock().unwrap_or_else(PoisonError::into_inner);
        idle.pop()
    }

    fn put_back(&self, store: Store) {
        let mut idle = self.idle.lock().unwrap_or_else(PoisonError::into_inner);
        idle.push(store);
    }
}
