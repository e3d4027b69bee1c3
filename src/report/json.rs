//! Pieces that several JSON results share, and the layout of their lines.

use std::collections::{BTreeMap, BTreeSet};
use std::io;

use serde::Serialize;
use serde_json::ser::Formatter;

use super::failures::remedy_of;
use crate::plan::{Blocked, GuardRefusal, Loss, Summary};

/// The version of every JSON result: keys may be added to it, and none is renamed.
pub const FORMAT_VERSION: u32 = 1;

/// Writes a value with one line per key and per element of the outermost two levels.
///
/// A plan thus shows well in a diff, and a million operations cost no tree in memory.
pub fn write_document(out: &mut dyn io::Write, document: &impl Serialize) -> io::Result<()> {
    let mut serializer = serde_json::Serializer::with_formatter(&mut *out, Lines::default());
    document
        .serialize(&mut serializer)
        .map_err(io::Error::from)?;
    out.write_all(b"\n")
}

#[derive(Default)]
struct Lines {
    depth: usize,
}

impl Lines {
    /// Levels below this one stay on one line.
    const DEEPEST: usize = 2;

    fn open<W: ?Sized + io::Write>(&mut self, out: &mut W, bracket: &[u8]) -> io::Result<()> {
        self.depth += 1;
        out.write_all(bracket)
    }

    fn close<W: ?Sized + io::Write>(&mut self, out: &mut W, bracket: &[u8]) -> io::Result<()> {
        self.depth -= 1;
        out.write_all(bracket)
    }

    fn before<W: ?Sized + io::Write>(&self, out: &mut W, first: bool) -> io::Result<()> {
        if !first {
            out.write_all(b",")?;
        }
        if self.depth <= Self::DEEPEST {
            out.write_all(b"\n")?;
            (0..self.depth).try_for_each(|_| out.write_all(b" "))?;
        }
        Ok(())
    }
}

impl Formatter for Lines {
    fn begin_array<W: ?Sized + io::Write>(&mut self, out: &mut W) -> io::Result<()> {
        self.open(out, b"[")
    }

    fn end_array<W: ?Sized + io::Write>(&mut self, out: &mut W) -> io::Result<()> {
        self.close(out, b"]")
    }

    fn begin_array_value<W: ?Sized + io::Write>(
        &mut self,
        out: &mut W,
        first: bool,
    ) -> io::Result<()> {
        self.before(out, first)
    }

    fn begin_object<W: ?Sized + io::Write>(&mut self, out: &mut W) -> io::Result<()> {
        self.open(out, b"{")
    }

    fn end_object<W: ?Sized + io::Write>(&mut self, out: &mut W) -> io::Result<()> {
        self.close(out, b"}")
    }

    fn begin_object_key<W: ?Sized + io::Write>(
        &mut self,
        out: &mut W,
        first: bool,
    ) -> io::Result<()> {
        self.before(out, first)
    }
}

/// The counts of a plan or a run under the keys of the format.
#[derive(Serialize)]
pub(super) struct Counts {
    groups: GroupCounts,
    members: MemberCounts,
    memberships: MembershipCounts,
    opt_outs: OptOutCounts,
}

#[derive(Serialize)]
struct GroupCounts {
    create: u64,
    update: u64,
    adopt: u64,
    archive: u64,
    delete: u64,
}

#[derive(Serialize)]
struct MemberCounts {
    create: u64,
    update: u64,
}

#[derive(Serialize)]
struct MembershipCounts {
    add: u64,
    remove: u64,
}

#[derive(Serialize)]
struct OptOutCounts {
    carry: u64,
}

impl Counts {
    pub(super) fn new(summary: &Summary) -> Counts {
        Counts {
            groups: GroupCounts {
                create: summary.groups_created,
                update: summary.groups_updated,
                adopt: summary.groups_adopted,
                archive: summary.groups_archived,
                delete: summary.groups_deleted,
            },
            members: MemberCounts {
                create: summary.members_created,
                update: summary.members_updated,
            },
            memberships: MembershipCounts {
                add: summary.memberships_added,
                remove: summary.memberships_removed,
            },
            opt_outs: OptOutCounts {
                carry: summary.opt_outs,
            },
        }
    }
}

/// Returns the counts of a run as they are printed and kept in the history.
pub fn summary_json(summary: &Summary) -> serde_json::Value {
    serde_json::to_value(Counts::new(summary)).unwrap_or_default()
}

/// Reads the counts of a run back from the history; what is missing counts as zero.
pub fn summary_from_json(value: &serde_json::Value) -> Summary {
    let number = |table: &str, key: &str| value[table][key].as_u64().unwrap_or_default();
    Summary {
        groups_created: number("groups", "create"),
        groups_updated: number("groups", "update"),
        groups_adopted: number("groups", "adopt"),
        groups_archived: number("groups", "archive"),
        groups_deleted: number("groups", "delete"),
        members_created: number("members", "create"),
        members_updated: number("members", "update"),
        memberships_added: number("memberships", "add"),
        memberships_removed: number("memberships", "remove"),
        opt_outs: number("opt_outs", "carry"),
    }
}

/// Something that waits for a person.
#[derive(Serialize)]
pub(super) struct BlockedRow<'a> {
    item: String,
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    accepted: bool,
    what: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    group: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    member: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    id: Option<&'a str>,
    reason: &'static str,
    detail: &'a str,
    remedy: String,
}

impl<'a> BlockedRow<'a> {
    pub(super) fn new(
        blocked: &'a Blocked,
        job: &str,
        accepted: &BTreeSet<String>,
    ) -> BlockedRow<'a> {
        let item = blocked.item();
        BlockedRow {
            accepted: accepted.contains(&item),
            item,
            what: blocked.what.as_str(),
            group: blocked.group.as_deref(),
            member: blocked.member.as_deref(),
            id: blocked.id.as_deref(),
            reason: blocked.reason.as_str(),
            detail: &blocked.detail,
            remedy: remedy_of(blocked.reason, job),
        }
    }
}

/// A guard that refuses.
#[derive(Serialize)]
pub(super) struct RefusalRow<'a> {
    guard: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    group: Option<&'a str>,
    value: u64,
    of: u64,
    limit: &'a str,
    key: &'a str,
    approval: &'a str,
    explanation: &'a str,
}

impl<'a> RefusalRow<'a> {
    pub(super) fn new(refusal: &'a GuardRefusal) -> RefusalRow<'a> {
        RefusalRow {
            guard: refusal.guard,
            group: refusal.group.as_deref(),
            value: refusal.value,
            of: refusal.of,
            limit: &refusal.limit,
            key: &refusal.key,
            approval: &refusal.approval,
            explanation: &refusal.explanation,
        }
    }
}

/// A source field without a home.
#[derive(Serialize)]
pub(super) struct LossRow<'a> {
    field: &'a str,
    count: u64,
    example: &'a str,
    object: &'static str,
    reason: &'a str,
    examples: &'a [String],
    #[serde(skip_serializing_if = "Option::is_none")]
    remedy: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    known_since: Option<jiff::Timestamp>,
}

impl<'a> LossRow<'a> {
    pub(super) fn new(loss: &'a Loss) -> LossRow<'a> {
        LossRow {
            field: &loss.field,
            count: loss.count,
            example: loss.example(),
            object: loss.object,
            reason: &loss.reason,
            examples: &loss.examples,
            remedy: loss.remedy.as_deref(),
            known_since: loss.known_since,
        }
    }
}

/// Requests by provider.
pub(super) type Requests = BTreeMap<String, u64>;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counts_survive_the_history() {
        let summary = Summary {
            groups_created: 1,
            groups_updated: 2,
            groups_adopted: 3,
            groups_archived: 4,
            groups_deleted: 5,
            members_created: 6,
            members_updated: 7,
            memberships_added: 8,
            memberships_removed: 9,
            opt_outs: 10,
        };
        assert_eq!(summary_from_json(&summary_json(&summary)), summary);
        assert_eq!(
            summary_from_json(&serde_json::Value::Null),
            Summary::default()
        );
    }

    #[test]
    fn two_levels_are_spread_over_lines() {
        let mut out = Vec::new();
        write_document(
            &mut out,
            &serde_json::json!({"a": 1, "b": [{"c": [1, 2]}, {}], "d": []}),
        )
        .unwrap();
        insta::assert_snapshot!(String::from_utf8(out).unwrap(), @r#"
        {
         "a":1,
         "b":[
          {"c":[1,2]},
          {}],
         "d":[]}
        "#);
    }
}
