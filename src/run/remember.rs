//! Does without reading the target where nothing has changed since it was read: `refresh = "6h"`.
//!
//! A remembered target can only lead to the finding that there is nothing to do. Whatever else a
//! plan from memory would do or remember, and every question that memory can't answer, has the
//! target read in full and planned again, so that what is out of date never leads to a write.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;

use super::prepare::Prepared;
use super::read::{Begun, SourceMembers, TargetSide, groups_with_carried};
use super::{RunError, Runner};
use crate::config::settled::JobConfig;
use crate::mapping::BoundMapping;
use crate::model::{
    Existence, GroupRow, Name, OwnRemovals, Reading, Snapshot, SnapshotBuilder, TotalMeanings,
};
use crate::plan::base::Base;
use crate::plan::{People, PersonIx, Policy};
use crate::provider;
use crate::state::{MemoryKey, RememberedTarget, Staging, TargetReading};

impl Runner {
    /// Tells whether the target of a job is remembered, freshly enough and under the same config.
    pub(super) fn may_recall(&self, job: &JobConfig, policy: &Policy) -> Result<bool, RunError> {
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

    /// Plans with the remembered target. Nothing but the begun reading comes back where the target
    /// has to be read.
    pub(super) async fn recall(
        &self,
        job: &JobConfig,
        policy: &Policy,
        mut begun: Begun,
    ) -> Result<Result<Prepared, Begun>, RunError> {
        if begun.base.is_empty() {
            return Ok(Err(begun));
        }
        let Some(memory) = self
            .store()
            .remembered_target(&job.name, &mut begun.names)?
        else {
            return Ok(Err(begun));
        };
        // Custom fields that are gone are a reason to look, not to fail.
        let Ok(mapping) = self.bind(job, &begun.source_custom, &memory.custom) else {
            return Ok(Err(begun));
        };
        if mapping.salt() != memory.key.salt || !knows_details(job, &begun, &memory.rows) {
            return Ok(Err(begun));
        }
        self.read_source(job, &mut begun, &mapping).await?;
        let read_at = memory.key.read_at;
        let side = self.side_of(job, &mut begun, memory, mapping)?;
        let source = &begun.members.as_ref().expect("it was just read").snapshot;
        if !knows_everybody(source, &side.snapshot)
            || !self.lists_partners(job, policy, &begun, &side)
        {
            return Ok(Err(begun));
        }
        let (sides, base) = begun.finish(job, side, vec![warning(read_at, self.now())]);
        let prepared = self.prepare_sides(job, policy.clone(), sides, base, false)?;
        if prepared.changes_nothing() {
            return Ok(Ok(prepared));
        }
        let Prepared {
            planned,
            sides,
            base,
            ..
        } = prepared;
        drop(planned);
        let meanings = sides
            .meanings
            .into_iter()
            .next()
            .map_or_else(TotalMeanings::all, |(_, meanings)| meanings);
        begun.names =
            Arc::into_inner(sides.names).expect("the plan is gone, and nobody else had the names");
        begun.base = base;
        begun.members = Some(SourceMembers {
            snapshot: sides.source,
            staging: sides.source_staging,
            meanings,
            salt: sides.salt,
        });
        Ok(Err(begun))
    }

    /// Makes a side of what is remembered.
    fn side_of(
        &self,
        job: &JobConfig,
        begun: &mut Begun,
        memory: RememberedTarget,
        mapping: BoundMapping,
    ) -> Result<TargetSide, RunError> {
        let schema = provider::schema(self.config().providers[&job.target].kind);
        let groups = groups_with_carried(self.store(), &job.target_account, &memory.rows, schema)?;
        let meanings = self.store().meanings(&job.target_account)?;
        let mut staging = Staging::new().map_err(super::staging_error)?;
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
            nameable: BTreeMap::new(),
        })
    }

    /// Tells whether the remembered target has the listing of every group that this run would list.
    fn lists_partners(
        &self,
        job: &JobConfig,
        policy: &Policy,
        begun: &Begun,
        side: &TargetSide,
    ) -> bool {
        let kind = self.config().providers[&job.target].kind;
        let schema = provider::schema(kind);
        let source = &begun
            .members
            .as_ref()
            .expect("the source was read")
            .snapshot;
        let desired = super::prepare::desired_groups(&side.mapping, source, policy, schema).0;
        let partners = super::prepare::partner_ids(
            policy,
            &begun.names,
            source,
            &side.snapshot,
            &begun.base,
            &desired,
            schema,
            provider::capabilities(kind),
        );
        // A partner that the list of groups did not show can't be listed in any run.
        partners
            .iter()
            .filter(|id| side.rows.contains_key(*id))
            .all(|id| matches!(side.snapshot.listing(id), Some(Reading::Complete(_))))
    }

    /// Remembers the target as a run has read it that had nothing to write there.
    pub(super) fn remember(&self, job: &JobConfig, prepared: &Prepared) {
        let sides = &prepared.sides;
        if sides.target_remembered {
            return;
        }
        let outcome = if job.refresh.is_some() {
            let key = MemoryKey {
                account: self.account_hash(&job.target),
                read_at: sides.target_read_time,
                config_hash: prepared.policy.config_hash.clone(),
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
    pub(super) fn forget_target(&self, provider: &str) -> Result<(), RunError> {
        Ok(self.store().drop_remembered(&self.account_hash(provider))?)
    }
}

impl Prepared {
    /// Tells whether a plan from memory leaves everything as it is, so that there is nothing for
    /// which the target had to be read.
    fn changes_nothing(&self) -> bool {
        let plan = &self.planned.plan;
        let agreement = &plan.agreement;
        plan.is_empty()
            && plan.refusals.is_empty()
            && !self.unread
            && agreement.linked.is_empty()
            && agreement.memberships.is_empty()
            && agreement.ended.is_empty()
            && agreement.left_addresses.is_empty()
            && agreement.bars_known_as.is_empty()
            && agreement.bars_of_pair.is_empty()
            && agreement.held_bars.is_empty()
            && agreement.ended_bars.is_empty()
            && agreement.ended_removals.is_empty()
            && self.sides.target.ended_removals.is_empty()
    }
}

/// Tells whether the profiles of both sides stand as they did when they were last compared, for
/// every row of a person.
pub(super) fn stands_as_compared(
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
                && link.target_hash == target.hash.unwrap_or(super::persons::UNREAD)
        })
    })
}

/// Tells whether everybody at the source is known to exist at the target, or known not to.
fn knows_everybody(source: &Snapshot, target: &Snapshot) -> bool {
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
fn knows_details(job: &JobConfig, begun: &Begun, rows: &[GroupRow]) -> bool {
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

fn warning(read_at: Timestamp, now: Timestamp) -> String {
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
        let said = |seconds: i64| {
            warning(
                then,
                Timestamp::from_second(1_800_000_000 + seconds).unwrap(),
            )
        };
        assert_eq!(
            said(59),
            "The target was not read; it was read 59 s ago, at 2027-01-15 08:00:00Z."
        );
        assert!(said(3599).contains("read 59 min ago"));
        assert!(said(2 * 3600 + 5).contains("read 2 h ago"));
        assert!(said(3 * 86_400).contains("read 3 d ago"));
        assert_eq!(
            age(then, Timestamp::from_second(1_799_999_999).unwrap()),
            None,
            "a clock that was set back proves nothing"
        );
    }
}
