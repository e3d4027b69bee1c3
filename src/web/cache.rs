//! An answer that many ask for is made once a second, and by one of them.

use std::future::Future;
use std::time::Duration;

use tokio::sync::Mutex;
use tokio::time::Instant;

/// How long an answer is good.
const FRESH: Duration = Duration::from_secs(1);

/// The last answer, and when it was made.
pub(crate) struct Cache<T> {
    last: Mutex<Option<(Instant, T)>>,
}

impl<T> Default for Cache<T> {
    fn default() -> Cache<T> {
        Cache {
            last: Mutex::default(),
        }
    }
}

impl<T: Clone> Cache<T> {
    /// Returns the last answer, or makes one where that is too old; whoever asks meanwhile waits for
    /// it and makes none.
    ///
    /// # Errors
    /// What making one says; that is told to this one alone, and the next one tries again.
    pub(crate) async fn get<E>(&self, make: impl Future<Output = Result<T, E>>) -> Result<T, E> {
        let mut last = self.last.lock().await;
        if let Some((made, answer)) = &*last
            && made.elapsed() < FRESH
        {
            return Ok(answer.clone());
        }
        let answer = make.await?;
        *last = Some((Instant::now(), answer.clone()));
        Ok(answer)
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicU32, Ordering};

    use super::*;

    #[tokio::test(start_paused = true)]
    async fn many_who_ask_at_once_have_one_answer_made() {
        let (cache, made) = (Cache::default(), AtomicU32::new(0));
        let ask = || {
            cache.get(async {
                tokio::task::yield_now().await;
                Ok::<_, ()>(made.fetch_add(1, Ordering::Relaxed))
            })
        };
        let answers = futures_util::future::join_all((0..100).map(|_| ask())).await;
        assert!(answers.iter().all(|answer| *answer == Ok(0)));
        tokio::time::advance(FRESH).await;
        assert_eq!(ask().await, Ok(1));
        let failed: Result<u32, &str> = {
            tokio::time::advance(FRESH).await;
            cache.get(async { Err("no") }).await
        };
        assert_eq!(failed, Err("no"));
        assert_eq!(ask().await, Ok(2), "a failure is not kept");
    }
}
