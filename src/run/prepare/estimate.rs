//! What a migration takes, before its first write.

use std::collections::BTreeMap;

use super::Prepared;
use crate::model::{GroupKind, GroupRow, GroupStatus, Record, Snapshot, Takes};
use crate::plan::{Edit, PairIx};
use crate::run::accounts::{Handle, Runner};
use crate::run::error::RunError;
use crate::run::read::is_read_together;

/// What is still to be done, in requests and time.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Estimate {
    /// What each account is sent, the source's first.
    pub accounts: Vec<AccountEstimate>,
    /// What the writes are for, with what each kind takes at the target.
    pub work: BTreeMap<&'static str, Takes>,
    /// Seconds for all of it, one request after the other.
    pub seconds: u64,
}

/// What is still to be sent to one account.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct AccountEstimate {
    /// The provider's configured name.
    pub provider: String,
    /// Requests that read: looks before and after writes, and the reading that verifies.
    pub reads: u64,
    /// Requests that write.
    pub writes: u64,
    /// Seconds that they take: at the configured pace, or as long as the account took to answer so
    /// far where that is longer.
    pub seconds: u64,
    /// Requests that a copy of the whole account takes, where one is made first; in none of the others.
    pub copying: u64,
    /// The configured pace.
    pub requests_per_minute: Option<u32>,
    /// The configured cap on the requests of a day.
    pub requests_per_day: Option<u64>,
    /// Requests of the last 24 hours.
    pub sent_today: u64,
}

impl AccountEstimate {
    /// Returns by how many requests the cap on a day's requests is passed; nothing where they fit.
    pub fn over_the_day(&self) -> Option<u64> {
        let cap = self.requests_per_day?;
        let sent = self.sent_today + self.reads + self.writes;
        (sent > cap).then(|| sent - cap)
    }
}

impl Runner {
    /// Estimates what applying a plan and reading both sides once more takes.
    pub(in crate::run) fn estimate(&self, prepared: &Prepared) -> Result<Estimate, RunError> {
        let plan = &prepared.planned.plan;
        let target = self.handle(&plan.target)?;
        let applying = prepared.planned.cost.applying;
        let read = |provider: &str| prepared.sides.reads.get(provider).copied();
        let mut accounts = Vec::new();
        for (provider, reads, writes, waits) in [
            (&plan.source, 0, 0, 0),
            (
                &plan.target,
                applying.reads,
                applying.writes,
                applying.waits,
            ),
        ] {
            let handle = self.handle(provider)?;
            // Where nothing is to be done, what was read is the proof of it.
            let is_read_again = !plan.is_empty();
            let now = read(provider).unwrap_or_default();
            let mut verifying = if is_read_again { now } else { 0 };
            if *provider == plan.target && is_read_again {
                // By then the target lists more than it does now.
                verifying = verification(&target, prepared, verifying);
            }
            let reads = reads + verifying;
            let times = self.request_times(&handle)?;
            let pace = handle
                .requests_per_minute
                .map_or(0.0, |pace| 60.0 / f64::from(pace.max(1)));
            let seconds =
                reads as f64 * times.read.max(pace) + writes as f64 * times.write.max(pace);
            accounts.push(AccountEstimate {
                provider: provider.clone(),
                reads,
                writes,
                seconds: seconds.ceil() as u64 + waits,
                copying: copying(
                    &handle,
                    if *provider == plan.source {
                        &prepared.sides.source
                    } else {
                        &prepared.sides.target
                    },
                ),
                requests_per_minute: handle.requests_per_minute,
                requests_per_day: handle.account.options().requests_per_day,
                sent_today: self.requests_of_a_day(&handle)?,
            });
        }
        Ok(Estimate {
            seconds: accounts.iter().map(|account| account.seconds).sum(),
            accounts,
            work: prepared.planned.cost.work.clone(),
        })
    }
}

/// Predicts the requests of reading the target once everything is written.
fn verification(target: &Handle, prepared: &Prepared, now: u64) -> u64 {
    let plan = &prepared.planned.plan;
    let snapshot = &prepared.sides.target;
    let before = snapshot.members.len() as u64;
    let account = before + plan.summary.members_created;
    let listed = |id: Option<&str>| {
        let listing = id.and_then(|id| snapshot.listing(id));
        listing.map(|listing| listing.seen().rows.len() as u64)
    };
    let partners = plan.pairs.iter().filter(|pair| pair.source.is_some());
    if is_read_together(target) {
        let (mut groups, mut rows) = (0, plan.summary.memberships_added);
        for pair in partners {
            groups += 1;
            rows += listed(pair.target.as_deref()).unwrap_or_default();
        }
        let all = target.adapter.predicted_check(groups, rows, account)
            + target.adapter.predicted_groups(groups);
        return now.max(all);
    }
    // What it took is known; what is added to it is predicted by the same rules.
    let mut added: BTreeMap<PairIx, u64> = BTreeMap::new();
    for edit in &plan.operations {
        if let Edit::AddMemberships { pair, members } = edit {
            *added.entry(*pair).or_default() += members.len() as u64;
        }
    }
    let row = |count: u64| sized(GroupKind::Static, Some(count));
    let (mut then, mut afterwards) = (Vec::new(), Vec::new());
    for (at, pair) in plan.pairs.iter().enumerate() {
        let more = added.get(&PairIx(at as u32)).copied().unwrap_or_default();
        let held = listed(pair.target.as_deref());
        if pair.target.is_some() {
            then.push(row(held.unwrap_or_default()));
        }
        if pair.target.is_some() || pair.writable {
            afterwards.push(row(held.unwrap_or_default() + more));
        }
    }
    let adapter = &target.adapter;
    let then = adapter.predicted_target(&then, before);
    now + adapter
        .predicted_target(&afterwards, account)
        .saturating_sub(then)
}

/// Predicts the requests of reading all of an account, as an export does.
fn copying(handle: &Handle, side: &Snapshot) -> u64 {
    let groups = side.groups.seen();
    let rows: Vec<GroupRow> = groups
        .iter()
        .map(|group| sized(group.kind, group.member_count))
        .collect();
    // Of whom nobody asked there may be more.
    let largest = rows.iter().filter_map(|row| row.member_count).max();
    let account = (side.members.len() as u64).max(largest.unwrap_or_default());
    handle.adapter.predicted_everything(&rows, account)
}

/// A group of which only the size matters.
fn sized(kind: GroupKind, member_count: Option<u64>) -> GroupRow {
    GroupRow {
        id: String::new(),
        wire: Record::new(),
        kind,
        status: GroupStatus::Active,
        test_group: false,
        auto_response: false,
        member_count,
        detailed: false,
        unread: None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_sent_today_counts_against_the_cap() {
        let account = |cap, sent| AccountEstimate {
            reads: 30,
            writes: 40,
            requests_per_day: cap,
            sent_today: sent,
            ..AccountEstimate::default()
        };
        assert_eq!(account(None, 1_000_000).over_the_day(), None);
        assert_eq!(account(Some(100), 30).over_the_day(), None);
        assert_eq!(account(Some(100), 31).over_the_day(), Some(1));
    }
}
