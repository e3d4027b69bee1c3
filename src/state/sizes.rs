//! How many members the linked groups had over time, in a few numbers per group and none per person.

use std::collections::HashMap;

use jiff::Timestamp;
use rusqlite::{Connection, OptionalExtension};

use super::error::{Fault, StateError};
use super::keys::{Key, Texts};
use super::{Store, jobs};

/// How many members a group had from a moment on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct GroupSize {
    /// When a run found it.
    pub at: Timestamp,
    /// The members that the job knew in the group.
    pub members: u64,
}

/// Takes down how many members each linked group of a job has, where that is another number than
/// before.
pub(super) fn note(connection: &Connection, job: &str, now: Timestamp) -> Result<(), Fault> {
    let Some(id) = jobs::id_of(connection, job)? else {
        return Ok(());
    };
    let mut members: HashMap<String, i64> = HashMap::new();
    let mut texts = Texts::new(connection);
    let mut select = connection.prepare_cached(
        "SELECT group_id, count(*) FROM memberships WHERE job = ?1 AND missing IS NULL GROUP BY group_id
         /* walks: a run has read all of them */",
    )?;
    let mut rows = select.query([id])?;
    while let Some(row) = rows.next()? {
        let group: Key = row.get(0)?;
        members.insert(texts.of(group)?.to_owned(), row.get(1)?);
    }
    let mut linked =
        connection.prepare_cached("SELECT DISTINCT target FROM group_links WHERE job = ?1")?;
    let linked = linked.query_map([job], |row| row.get::<_, String>(0))?;
    let linked: Vec<String> = linked.collect::<rusqlite::Result<_>>()?;
    let at = now.as_microsecond();
    for group in linked {
        let number = members.get(&group).copied().unwrap_or_default();
        // What stands in the future was taken down before the clock was set back.
        connection
            .prepare_cached(
                "DELETE FROM group_sizes WHERE job = ?1 AND group_id = ?2 AND at >= ?3",
            )?
            .execute((id, &group, at))?;
        let last: Option<i64> = connection
            .prepare_cached(
                "SELECT members FROM group_sizes WHERE job = ?1 AND group_id = ?2 ORDER BY at DESC LIMIT 1
                 /* walks: no further than the first row */",
            )?
            .query_row((id, &group), |row| row.get(0))
            .optional()?;
        if last != Some(number) {
            connection
                .prepare_cached(
                    "INSERT INTO group_sizes (job, group_id, at, members) VALUES (?1, ?2, ?3, ?4)",
                )?
                .execute((id, &group, at, number))?;
        }
    }
    Ok(())
}

/// Lets go of the sizes that were over before a time.
pub(super) fn prune(connection: &Connection, before: Timestamp) -> Result<usize, Fault> {
    Ok(connection.execute(
        "DELETE FROM group_sizes WHERE at < ?1 AND EXISTS (
             SELECT 1 FROM group_sizes AS later
             WHERE later.job = group_sizes.job AND later.group_id = group_sizes.group_id
                 AND later.at > group_sizes.at AND later.at <= ?1)
         /* walks: history is pruned once a day */",
        [before.as_microsecond()],
    )?)
}

impl Store {
    /// Returns how many members a group had since a time, at most about `most` numbers: the last one
    /// of each stretch of time, after the one that held when they begin.
    pub fn group_sizes(
        &self,
        job: &str,
        group: &str,
        since: Timestamp,
        until: Timestamp,
        most: u32,
    ) -> Result<Vec<GroupSize>, StateError> {
        let (since, until) = (since.as_microsecond(), until.as_microsecond());
        let stretch = ((until - since) / i64::from(most.max(1))).max(1);
        self.read(|connection| {
            let id = jobs::id_of(connection, job)?;
            let size = |row: &rusqlite::Row<'_>| {
                let members: i64 = row.get(1)?;
                Ok((row.get(0)?, u64::try_from(members).unwrap_or_default()))
            };
            let before: Option<(i64, u64)> = connection
                .prepare_cached(
                    "SELECT at, members FROM group_sizes WHERE job = ?1 AND group_id = ?2 AND at <= ?3 ORDER BY at DESC LIMIT 1",
                )?
                .query_row((id, group, since), size)
                .optional()?;
            let mut select = connection.prepare_cached(
                "SELECT max(at), members FROM group_sizes WHERE job = ?1 AND group_id = ?2 AND at > ?3 AND at <= ?4
                 GROUP BY (at - ?3) / ?5 ORDER BY 1",
            )?;
            let later = select
                .query_map((id, group, since, until, stretch), size)?
                .collect::<rusqlite::Result<Vec<(i64, u64)>>>()?;
            let sizes = before.into_iter().chain(later);
            Ok(sizes
                .map(|(at, members)| GroupSize {
                    at: Timestamp::from_microsecond(at).unwrap_or_default(),
                    members,
                })
                .collect())
        })
    }

    /// Returns how many members each group of a job had at the end of the last run, by its id at the
    /// target.
    pub fn sizes_now(&self, job: &str) -> Result<HashMap<String, u64>, StateError> {
        self.read(|connection| {
            let id = jobs::id_of(connection, job)?;
            let mut linked = connection
                .prepare_cached("SELECT DISTINCT target FROM group_links WHERE job = ?1")?;
            let linked = linked.query_map([job], |row| row.get::<_, String>(0))?;
            let mut sizes = HashMap::new();
            for group in linked {
                let group = group?;
                let size: Option<i64> = connection
                    .prepare_cached(
                        "SELECT members FROM group_sizes WHERE job = ?1 AND group_id = ?2 ORDER BY at DESC LIMIT 1
                         /* walks: no further than the first row */",
                    )?
                    .query_row((id, &group), |row| row.get(0))
                    .optional()?;
                if let Some(size) = size {
                    sizes.insert(group, u64::try_from(size).unwrap_or_default());
                }
            }
            Ok(sizes)
        })
    }
}

#[cfg(test)]
mod tests {
    use super::super::tests::at;
    use super::*;

    /// Sets the memberships of a group, and takes down its size.
    fn with(store: &Store, members: i64, now: i64) {
        let connection = store.lock();
        connection
            .execute("DELETE FROM memberships", [])
            .expect("they go");
        for member in 0..members {
            connection
                .execute(
                    "INSERT INTO memberships (job, group_id, member, brought) VALUES (1, 70, ?1, 1)",
                    [member],
                )
                .unwrap();
        }
        note(&connection, "job", at(now)).unwrap();
    }

    fn store() -> Store {
        let store = Store::in_memory();
        store.register_job("job", "crm", "mail").unwrap();
        store
            .lock()
            .execute(
                "INSERT INTO group_links (job, source, target, origin, protect_set, name, fields)
                 VALUES ('job', '7', '70', 'created', 0, 'News', '{}')",
                [],
            )
            .unwrap();
        store
    }

    fn sizes(store: &Store, since: i64, until: i64, most: u32) -> Vec<(i64, u64)> {
        let sizes = store
            .group_sizes("job", "70", at(since), at(until), most)
            .unwrap();
        let start = at(0).as_second();
        sizes
            .iter()
            .map(|size| (size.at.as_second() - start, size.members))
            .collect()
    }

    #[test]
    fn a_size_is_kept_where_it_changes_and_the_one_before_a_stretch_begins_it() {
        let store = store();
        for (now, members) in [(10, 2), (20, 2), (30, 5), (40, 0), (50, 0)] {
            with(&store, members, now);
        }
        assert_eq!(sizes(&store, 0, 100, 100), [(10, 2), (30, 5), (40, 0)]);
        assert_eq!(sizes(&store, 25, 100, 100), [(10, 2), (30, 5), (40, 0)]);
        assert_eq!(sizes(&store, 35, 100, 100), [(30, 5), (40, 0)]);
        assert_eq!(sizes(&store, 0, 35, 100), [(10, 2), (30, 5)]);
        assert_eq!(store.sizes_now("job").unwrap()["70"], 0);
        assert_eq!(store.sizes_now("other").unwrap().len(), 0);
    }

    #[test]
    fn many_sizes_come_as_few_and_the_last_one_is_right() {
        let store = store();
        for now in 1..=200 {
            with(&store, now % 7, now);
        }
        let few = sizes(&store, 0, 200, 10);
        assert!(few.len() <= 11, "{few:?}");
        assert_eq!(few.last(), Some(&(200, 200 % 7)));
        assert!(few.is_sorted());
    }

    #[test]
    fn a_clock_that_is_set_back_and_pruning_leave_the_last_size() {
        let store = store();
        with(&store, 3, 1_000);
        with(&store, 4, 20);
        assert_eq!(sizes(&store, 0, 2_000, 10), [(20, 4)]);
        with(&store, 5, 30);
        with(&store, 6, 40);
        let pruned = prune(&store.lock(), at(35)).unwrap();
        assert_eq!(pruned, 1);
        assert_eq!(sizes(&store, 0, 100, 10), [(30, 5), (40, 6)]);
    }
}
