//! The target as an earlier run has read it: what is kept of it, and what it can answer.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use jiff::Timestamp;

use super::groups::groups_with_carried;
use super::profiles::UNREAD;
use super::sides::Sides;
use super::source::Begun;
use super::target::TargetSide;
use crate::config::settled::JobConfig;
use crate::mapping::BoundMapping;
use crate::model::{
    Existence, GroupRow, Name, OwnRemovals, Snapshot, SnapshotBuilder, TotalMeanings,
};
use crate::plan::base::Base;
use crate::plan::{People, PersonIx, Policy};
use crate::provider;
use crate::run::accounts::Runner;
use crate::run::error::{RunError, staging_error};

use crate::state::{MemoryKey, RememberedTarget, Staging, TargetReading};

impl Runner {
    /// Tells whether the target of a job is remembered, freshly enough and under the same config.
    pub(in crate::run) fn may_recall(
        &self,
        job: &JobConfig,
        policy: &Policy,
    ) -> Result<bool, RunError> {
        let Some(refresh) = job.refresh else {
            return Ok(false);
        };
        let Some(key) = self.store().remembered_key(&job.name)? else {
            return Ok(false);
        };
        Ok(key.account == self.account_hash(&job.target)
            && key.config_hash == policy.config_hash
            && age(key.read_at, self.now()).is_some_and(|age| age < refresh)
            // What became of an interrupted write only reading can tell.
            && self.store().unsettled(&job.name)?.is_empty())
    }

    /// Makes a side of what is remembered.
    pub(in crate::run) fn side_of(
        &self,
        job: &JobConfig,
        begun: &mut Begun,
        memory: RememberedTarget,
        mapping: BoundMapping,
    ) -> Result<TargetSide, RunError> {
        let schema = provider::schema(self.config().providers[&job.target].kind);
        let groups = groups_with_carried(self.store(), &job.target_account, &memory.rows, schema)?;
        let meanings = self.store().meanings(&job.target_account)?;
        let mut staging = Staging::new().map_err(staging_error)?;
        let mut every = TotalMeanings::all();
        let mut snapshot = SnapshotBuilder::new(
            &job.target,
            &memory.key.salt,
            &mut begun.names,
            &mut staging,
        )
        .finish(
            groups,
            &memory.certificate,
            &mut every,
            &OwnRemovals::default(),
        );
        snapshot.members = memory.members;
        snapshot.unreadable = memory.unreadable;
        for (group, (listing, certificate)) in memory.listings {
            snapshot.listings.insert(
                group.clone(),
                certificate.certify(listing, &mut TotalMeanings::all()),
            );
            snapshot.certificates.insert(group, certificate);
        }
        self.set_own_apart(&mut snapshot, &begun.names)?;
        // Nothing is remembered of an account whose states were not read to their end.
        snapshot.account_state =
            crate::model::Certificate::of_the_end().certify((), &mut TotalMeanings::all());
        snapshot.existence = memory.existence;
        Ok(TargetSide {
            mapping,
            custom: memory.custom,
            rows: memory
                .rows
                .into_iter()
                .map(|row| (row.id.clone(), row))
                .collect(),
            certificate: memory.certificate,
            snapshot,
            staging,
            meanings,
            listed_at: BTreeMap::new(),
            read_time: memory.key.read_at,
            remembered: true,
            groups_unseen: false,
            nameable: BTreeMap::new(),
        })
    }

    /// Remembers the target as a run has read it that had nothing to write there. Nothing is where the
    /// run `names_records` that could not be read, or the target may only not have been seen: the next
    /// one looks whether that is so still.
    pub(in crate::run) fn remember(
        &self,
        job: &JobConfig,
        sides: &Sides,
        config_hash: &str,
        names_records: bool,
    ) {
        if sides.target_remembered {
            return;
        }
        let is_known = !names_records && !sides.target_groups_unseen;
        let outcome = if job.refresh.is_some() && is_known {
            let key = MemoryKey {
                account: self.account_hash(&job.target),
                read_at: sides.target_read_time,
                config_hash: config_hash.to_owned(),
                salt: sides.salt.clone(),
            };
            let reading = TargetReading {
                key: &key,
                custom: &sides.target_custom,
                rows: &sides.target_rows,
                certificate: &sides.target_certificate,
                snapshot: &sides.target,
            };
            self.store()
                .remember_target(&job.name, &reading, &sides.names)
                .map(|_| ())
        } else {
            self.store().drop_remembered_of(&job.name)
        };
        if let Err(error) = outcome {
            // The run has done its work; the next one reads the target again.
            tracing::warn!(error = %error, "The target could not be remembered.");
        }
    }

    /// Forgets what is remembered of a provider's account, because something is about to be written
    /// there.
    pub(in crate::run) fn forget_target(&self, provider: &str) -> Result<(), RunError> {
        Ok(self.store().drop_remembered(&self.account_hash(provider))?)
    }
}

/// Tells whether the profiles of both sides stand as they did when they were last compared, for
/// every row of a person.
pub(in crate::run) fn stands_as_compared(
    source: &Snapshot,
    target: &Snapshot,
    base: &Base,
    people: &People,
    person: PersonIx,
) -> bool {
    let [at] = people.targets(person) else {
        return true;
    };
    let target = &target.members[*at as usize];
    people.sources(person).iter().all(|at| {
        let source = &source.members[*at as usize];
        base.member_of_source(source.id).is_some_and(|link| {
            link.target == target.id
                && link.source_hash == source.hash.unwrap_or_default()
                && link.target_hash == target.hash.unwrap_or(UNREAD)
        })
    })
}

/// Tells whether everybody at the source is known to exist at the target, or known not to.
pub(in crate::run) fn knows_everybody(source: &Snapshot, target: &Snapshot) -> bool {
    let asked = match &target.existence {
        Existence::Whole => return true,
        Existence::Asked(asked) => Some(asked),
        Existence::Unknown => None,
    };
    let there: std::collections::HashSet<Name> = target
        .members
        .iter()
        .filter_map(|member| member.address)
        .collect();
    source
        .members
        .iter()
        .filter_map(|member| member.address)
        .all(|address| {
            there.contains(&address) || asked.is_some_and(|asked| asked.contains(&address))
        })
}

/// Tells whether the remembered groups are known in the detail that this run would ask for.
pub(in crate::run) fn knows_details(job: &JobConfig, begun: &Begun, rows: &[GroupRow]) -> bool {
    let (targets, everything_linked): (BTreeSet<String>, bool) = begun.partners_known(job);
    let rows: BTreeMap<&str, bool> = rows
        .iter()
        .map(|row| (row.id.as_str(), row.detailed))
        .collect();
    if everything_linked {
        targets
            .iter()
            .all(|id| rows.get(id.as_str()).is_none_or(|detailed| *detailed))
    } else {
        rows.values().all(|detailed| *detailed)
    }
}

/// Tells how long ago something was; nothing when it lies ahead, as after a clock was set back.
fn age(then: Timestamp, now: Timestamp) -> Option<Duration> {
    now.duration_since(then).try_into().ok()
}

/// Says that the target was not read, and how long ago it was.
pub(in crate::run) fn said(read_at: Timestamp, now: Timestamp) -> String {
    let ago = age(read_at, now).unwrap_or_default().as_secs();
    let words = match ago {
        0..60 => format!("{ago} s"),
        60..3600 => format!("{} min", ago / 60),
        3600..172_800 => format!("{} h", ago / 3600),
        _ => format!("{} d", ago / 86_400),
    };
    format!(
        "The target was not read; it was read {words} ago, at {}.",
        read_at.strftime("%Y-%m-%d %H:%M:%SZ")
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ages_are_said_in_the_largest_whole_unit() {
        let then = Timestamp::from_second(1_800_000_000).unwrap();
        let words = |seconds: i64| {
            said(
                then,
                Timestamp::from_second(1_800_000_000 + seconds).unwrap(),
            )
        };
        assert_eq!(
            words(59),
            "The target was not read; it was read 59 s ago, at 2027-01-15 08:00:00Z."
        );
        assert!(words(3599).contains("read 59 min ago"));
        assert!(words(2 * 3600 + 5).contains("read 2 h ago"));
        assert!(words(3 * 86_400).contains("read 3 d ago"));
        assert_eq!(
            age(then, Timestamp::from_second(1_799_999_999).unwrap()),
            None,
            "a clock that was set back proves nothing"
        );
    }
}
