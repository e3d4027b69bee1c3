//! The store from outside: files, bases, journal, history, failures, approvals.

mod base;
mod failures;
mod file;
mod journal;
mod ledger;
mod members;
mod remembered;
mod runs;
mod statements;

use std::path::PathBuf;

use jiff::Timestamp;
use tempfile::TempDir;

use super::{Change, Store};
use crate::plan::base::{FieldBase, FieldBases, GroupLink, Origin};

/// A time that every test can count from.
pub(super) fn at(seconds: i64) -> Timestamp {
    Timestamp::from_second(1_800_000_000 + seconds).unwrap()
}

/// A directory with room for a database.
pub(super) fn place() -> (TempDir, PathBuf) {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("rosterd.db");
    (directory, path)
}

pub(super) fn fields(desired: &str, target: Option<&str>) -> FieldBases {
    FieldBases::from([(
        "groupName".into(),
        FieldBase {
            desired: Some(desired.into()),
            target: target.map(Into::into),
            written: false,
        },
    )])
}

pub(super) fn group_link(source: &str, target: &str) -> GroupLink {
    GroupLink {
        source: source.into(),
        target: target.into(),
        origin: Origin::Created,
        protect_set: true,
        name: "Donors".into(),
        fields: fields("Donors", Some("donors")),
    }
}

pub(super) fn link_member(job: &str, source: &str, target: &str, address: &str) -> Change {
    Change::LinkMember {
        job: job.into(),
        source: source.into(),
        target: target.into(),
        address: address.into(),
        origin: Origin::Adopted,
    }
}

pub(super) fn membership(job: &str, group: &str, member: &str, brought: bool) -> Change {
    Change::Membership {
        job: job.into(),
        group: group.into(),
        member: member.into(),
        brought,
    }
}

pub(super) fn count_rows(store: &Store, table: &str) -> i64 {
    store
        .lock()
        .query_row(&format!("SELECT count(*) FROM {table}"), [], |row| {
            row.get(0)
        })
        .unwrap()
}
