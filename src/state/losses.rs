//! Which losses of a job a finished run has told of: kinds and counts, and no value of anybody.

use std::collections::HashMap;

use jiff::Timestamp;
use rusqlite::Connection;

use super::Store;
use super::convert::{count, stamp, time};
use super::error::{Fault, StateError};

/// What tells one loss of a job from the others.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct LossKind {
    /// Of a group or of a member.
    pub object: String,
    /// The field.
    pub field: String,
    /// Why it has no home.
    pub reason: String,
}

/// A loss that was told.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ToldLoss {
    /// How many objects it concerned at most.
    pub count: u64,
    /// When it was first told, or last as a larger one.
    pub since: Timestamp,
}

impl Store {
    /// Returns the losses of a job that a finished run has told of.
    pub fn told_losses(&self, job: &str) -> Result<HashMap<LossKind, ToldLoss>, StateError> {
        self.read(|connection| load(connection, job))
    }

    /// Takes down that a run of a job has told of these losses. One that has not grown is known since
    /// it was told first, also where it was not met for a while: profiles that have not changed are not
    /// mapped again, so that what they lose is met now and then only. What `would_be_met` says the run
    /// would have met, and it did not, is mended, and told anew should it come back.
    pub fn tell_losses(
        &self,
        job: &str,
        losses: &HashMap<LossKind, u64>,
        would_be_met: impl Fn(&LossKind) -> bool,
        now: Timestamp,
    ) -> Result<(), StateError> {
        self.write(|connection| {
            let known = load(connection, job)?;
            let absent = known.keys().filter(|kind| !losses.contains_key(*kind));
            for kind in absent.filter(|kind| would_be_met(kind)) {
                connection
                    .prepare_cached("DELETE FROM told_losses WHERE job = ?1 AND object = ?2 AND field = ?3 AND reason = ?4")?
                    .execute((job, &kind.object, &kind.field, &kind.reason))?;
            }
            for (kind, number) in losses {
                if known.get(kind).is_some_and(|known| known.count >= *number) {
                    continue;
                }
                connection
                    .prepare_cached(
                        "INSERT INTO told_losses (job, object, field, reason, count, since) VALUES (?1, ?2, ?3, ?4, ?5, ?6)
                         ON CONFLICT (job, object, field, reason) DO UPDATE SET
                             count = excluded.count, since = excluded.since",
                    )?
                    .execute((
                        job,
                        &kind.object,
                        &kind.field,
                        &kind.reason,
                        count(*number),
                        stamp(now),
                    ))?;
            }
            Ok(())
        })
    }
}

fn load(connection: &Connection, job: &str) -> Result<HashMap<LossKind, ToldLoss>, Fault> {
    let mut told = HashMap::new();
    let mut statement = connection.prepare_cached(
        "SELECT object, field, reason, count, since FROM told_losses WHERE job = ?1",
    )?;
    let mut rows = statement.query([job])?;
    while let Some(row) = rows.next()? {
        let kind = LossKind {
            object: row.get(0)?,
            field: row.get(1)?,
            reason: row.get(2)?,
        };
        let loss = ToldLoss {
            count: u64::try_from(row.get::<_, i64>(3)?).unwrap_or_default(),
            since: time(row, 4)?,
        };
        told.insert(kind, loss);
    }
    Ok(told)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn kind(field: &str) -> LossKind {
        LossKind {
            object: "group".to_owned(),
            field: field.to_owned(),
            reason: "no home".to_owned(),
        }
    }

    #[test]
    fn a_loss_is_known_since_it_was_told_until_it_grows() {
        let store = Store::in_memory();
        let at = |second| Timestamp::from_second(second).unwrap();
        let tell = |losses: &[(&str, u64)], second| {
            let losses = losses.iter().map(|(field, count)| (kind(field), *count));
            store
                .tell_losses(
                    "job",
                    &losses.collect(),
                    |kind| kind.field == "d",
                    at(second),
                )
                .unwrap();
        };
        let told = |field: &str| {
            let told = store.told_losses("job").unwrap();
            told.get(&kind(field)).map(|told| (told.count, told.since))
        };
        tell(&[("a", 3), ("b", 3), ("c", 3)], 100);
        tell(&[("a", 3), ("b", 2), ("c", 4)], 200);
        assert_eq!(told("a"), Some((3, at(100))));
        assert_eq!(told("b"), Some((3, at(100))), "what comes back is no news");
        assert_eq!(told("c"), Some((4, at(200))));
        assert_eq!(store.told_losses("other").unwrap().len(), 0);
        tell(&[("a", 3)], 300);
        tell(&[("a", 3), ("b", 1)], 400);
        assert_eq!(told("b"), Some((3, at(100))), "nor is what is met again");

        tell(&[("d", 3)], 500);
        tell(&[("a", 3)], 600);
        assert_eq!(told("d"), None, "it was looked for, and is mended");
        tell(&[("d", 1)], 700);
        assert_eq!(told("d"), Some((1, at(700))), "and is news again");
    }
}
