//! Counts and chores that outlive a process: how many requests each account got, and when history
//! was last pruned.

use jiff::{SignedDuration, Timestamp};

use super::Store;
use super::convert::{count, stamp};
use super::error::StateError;
use super::runs;

/// How far back requests count.
const COUNTED: SignedDuration = SignedDuration::from_hours(24);

/// From so many requests on, older answers count for half.
const ENOUGH: u64 = 2_000;

/// Requests to an account, and how long their answers were waited for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct RequestTimes {
    /// Requests that read.
    pub reads: u64,
    /// Milliseconds for which their answers were waited for.
    pub read_millis: u64,
    /// Requests that write.
    pub writes: u64,
    /// Milliseconds for which their answers were waited for.
    pub write_millis: u64,
}

impl Store {
    /// Adds how long an account took to answer.
    pub fn add_request_times(&self, account: &str, times: RequestTimes) -> Result<(), StateError> {
        self.write(|connection| {
            for (effect, requests, millis) in [
                ("read", times.reads, times.read_millis),
                ("write", times.writes, times.write_millis),
            ] {
                if requests == 0 {
                    continue;
                }
                // What it was years ago says little of today.
                connection
                    .prepare_cached(
                        "INSERT INTO request_times (account, effect, requests, millis) VALUES (?1, ?2, ?3, ?4)
                         ON CONFLICT (account, effect) DO UPDATE SET
                             requests = CASE WHEN requests > ?5 THEN requests / 2 ELSE requests END + excluded.requests,
                             millis = CASE WHEN requests > ?5 THEN millis / 2 ELSE millis END + excluded.millis",
                    )?
                    .execute((account, effect, count(requests), count(millis), count(ENOUGH)))?;
            }
            Ok(())
        })
    }

    /// Returns how long an account took to answer so far.
    pub fn request_times(&self, account: &str) -> Result<RequestTimes, StateError> {
        self.read(|connection| {
            let mut times = RequestTimes::default();
            let mut statement = connection.prepare_cached(
                "SELECT effect, requests, millis FROM request_times WHERE account = ?1",
            )?;
            let mut rows = statement.query([account])?;
            while let Some(row) = rows.next()? {
                let number = |column| {
                    row.get::<_, i64>(column)
                        .map(|number| u64::try_from(number).unwrap_or_default())
                };
                let (requests, millis) = (number(1)?, number(2)?);
                if row.get::<_, String>(0)? == "read" {
                    (times.reads, times.read_millis) = (requests, millis);
                } else {
                    (times.writes, times.write_millis) = (requests, millis);
                }
            }
            Ok(times)
        })
    }

    /// Counts requests that were sent to an account in the hour of `now`, and lets go of counts
    /// that are too old to matter.
    pub fn count_requests(
        &self,
        account: &str,
        sent: u64,
        now: Timestamp,
    ) -> Result<(), StateError> {
        self.write(|connection| {
            connection
                .prepare_cached(
                    "INSERT INTO request_counts (account, hour, sent) VALUES (?1, ?2, ?3)
                     ON CONFLICT (account, hour) DO UPDATE SET sent = sent + excluded.sent",
                )?
                .execute((account, hour(now), count(sent)))?;
            connection
                .prepare_cached("DELETE FROM request_counts WHERE hour < ?1 /* walks: two days of hours for each account */")?
                .execute([oldest(now)])?;
            Ok(())
        })
    }

    /// Returns how many requests were counted for an account in the last 24 hours. The hour in
    /// which they begin counts in full, so that the number is never too low.
    pub fn requests_of_a_day(&self, account: &str, now: Timestamp) -> Result<u64, StateError> {
        self.read(|connection| {
            let sum: i64 = connection
                .prepare_cached("SELECT coalesce(sum(sent), 0) FROM request_counts WHERE account = ?1 AND hour >= ?2")?
                .query_row((account, oldest(now)), |row| row.get(0))?;
            Ok(u64::try_from(sum).unwrap_or_default())
        })
    }

    /// Prunes history that ended before a time, as [`Store::prune`] does, unless that was done
    /// today (UTC) already. Returns how many records were deleted; nothing when it was not due.
    pub fn prune_daily(
        &self,
        before: Timestamp,
        now: Timestamp,
    ) -> Result<Option<usize>, StateError> {
        let today = now.strftime("%Y-%m-%d").to_string();
        self.write(|connection| {
            let due = connection
                .prepare_cached(
                    "INSERT INTO chores (name, day) VALUES ('prune', ?1)
                     ON CONFLICT (name) DO UPDATE SET day = excluded.day WHERE day <> excluded.day",
                )?
                .execute([today])?;
            if due == 0 {
                Ok(None)
            } else {
                runs::prune(connection, &stamp(before)).map(Some)
            }
        })
    }
}

fn hour(time: Timestamp) -> String {
    time.strftime("%Y-%m-%dT%H").to_string()
}

fn oldest(now: Timestamp) -> String {
    hour(now.checked_sub(COUNTED).unwrap_or(Timestamp::MIN))
}

#[cfg(test)]
mod tests {
    use super::super::tests::at;
    use super::super::{Outcome, RunEnd, RunStart, Store};

    #[test]
    fn requests_count_for_a_day_and_by_account() {
        let store = Store::in_memory();
        store.count_requests("mail", 5, at(0)).unwrap();
        store.count_requests("mail", 7, at(60)).unwrap();
        store.count_requests("crm", 100, at(60)).unwrap();
        assert_eq!(store.requests_of_a_day("mail", at(120)).unwrap(), 12);
        assert_eq!(store.requests_of_a_day("mail", at(23 * 3600)).unwrap(), 12);
        assert_eq!(store.requests_of_a_day("mail", at(25 * 3600)).unwrap(), 0);
        store.count_requests("mail", 1, at(48 * 3600)).unwrap();
        assert_eq!(
            super::super::tests::count_rows(&store, "request_counts"),
            1,
            "old counts are let go"
        );
        assert_eq!(store.requests_of_a_day("other", at(0)).unwrap(), 0);
    }

    #[test]
    fn history_is_pruned_once_a_day() {
        let store = Store::in_memory();
        let run = |id: &str, seconds| {
            store
                .start_run(&RunStart {
                    id: id.into(),
                    job: "job".into(),
                    trigger: "manual".into(),
                    started: at(seconds),
                })
                .unwrap();
            let end = RunEnd {
                finished: at(seconds),
                outcome: Outcome::Done,
                exit_code: 0,
                wrote: false,
                completed: false,
                summary: serde_json::Value::Null,
                error: None,
                measure: None,
                approved: None,
            };
            store.finish_run(id, &end, &[]).unwrap();
        };
        run("a", 0);
        run("b", 1);
        run("c", 2);
        assert_eq!(store.prune_daily(at(1), at(10)).unwrap(), Some(1));
        assert_eq!(
            store.prune_daily(at(2), at(20)).unwrap(),
            None,
            "not twice on one day"
        );
        assert_eq!(
            store.prune_daily(at(2), at(20 + 24 * 3600)).unwrap(),
            Some(1)
        );
    }
}
