//! What the tests of the adapters have in common: the members that one read brings, as a run would
//! see them.

use std::collections::BTreeMap;

use super::{MemberAsk, ReadError, Role, Source};
use crate::model::{
    Certificate, Existence, GroupRow, MemberStatus, MembershipState, Names, OwnRemovals, Record,
    Snapshot, SnapshotBuilder, Stage, TotalMeanings,
};

/// Keeps profiles in memory.
#[derive(Default)]
pub(super) struct Shelf(pub(super) BTreeMap<String, Record>);

impl Stage for Shelf {
    fn put(&mut self, id: &str, record: &Record) -> Result<(), String> {
        self.0.insert(id.to_owned(), record.clone());
        Ok(())
    }
}

/// What one read brought.
pub(super) struct Read {
    pub(super) snapshot: Snapshot,
    pub(super) names: Names,
    pub(super) shelf: Shelf,
}

/// Reads the members of groups whose listing has a certificate.
pub(super) async fn read_members(
    adapter: &dyn Source,
    groups: &[GroupRow],
    certificate: &Certificate,
    fields: &[&str],
    role: Role<'_>,
) -> Result<Read, ReadError> {
    let (mut names, mut shelf) = (Names::new(), Shelf::default());
    let mut builder = SnapshotBuilder::new("account", "", &mut names, &mut shelf);
    let fields: Vec<String> = fields.iter().map(|field| (*field).to_owned()).collect();
    let ask = MemberAsk {
        groups,
        fields: &fields,
        role,
    };
    adapter.members(&ask, &mut builder).await?;
    let snapshot = builder.finish(
        Vec::new(),
        certificate,
        &mut TotalMeanings::all(),
        &OwnRemovals::default(),
    );
    Ok(Read {
        snapshot,
        names,
        shelf,
    })
}

impl Read {
    /// Shows a complete listing as `id:state`, or why it is not complete.
    pub(super) fn listing(&self, group: &str) -> String {
        if self.is_complete(group) {
            self.rows(group)
        } else {
            format!("incomplete: {}", self.why(group))
        }
    }

    /// Shows the rows of a listing as `id:state`, complete or not.
    pub(super) fn rows(&self, group: &str) -> String {
        let mut rows: Vec<(u64, &str)> = self
            .states(group)
            .iter()
            .map(|(id, state)| (id.parse().unwrap(), state.as_str()))
            .collect();
        rows.sort_unstable();
        rows.iter()
            .map(|(id, state)| format!("{id}:{state}"))
            .collect::<Vec<_>>()
            .join(" ")
    }

    /// The states of a listing, complete or not.
    pub(super) fn states(&self, group: &str) -> BTreeMap<String, MembershipState> {
        let id = |member: u32| {
            self.names
                .text(self.snapshot.members[member as usize].id)
                .to_owned()
        };
        let listing = self.snapshot.listing(group).unwrap().seen();
        listing
            .rows
            .iter()
            .map(|row| (id(row.member), row.state))
            .collect()
    }

    pub(super) fn is_complete(&self, group: &str) -> bool {
        self.snapshot.listing(group).unwrap().complete().is_some()
    }

    /// Says why a listing is not complete.
    pub(super) fn why(&self, group: &str) -> String {
        self.snapshot
            .listing(group)
            .unwrap()
            .why_incomplete()
            .join("; ")
    }

    pub(super) fn status(&self, id: &str) -> MemberStatus {
        let id = self.names.find(id).unwrap();
        self.snapshot
            .members
            .iter()
            .find(|member| member.id == id)
            .unwrap()
            .status
    }

    /// Shows all whose status is not active.
    pub(super) fn statuses(&self) -> String {
        let barred = self
            .snapshot
            .members
            .iter()
            .filter(|member| member.status != MemberStatus::Active);
        let mut rows: Vec<String> = barred
            .map(|member| format!("{}:{:?}", self.names.text(member.id), member.status))
            .collect();
        rows.sort();
        rows.join(" ")
    }

    /// The addresses that were asked for and do not exist, sorted.
    pub(super) fn absent(&self) -> Vec<&str> {
        let Existence::Asked(absent) = &self.snapshot.existence else {
            panic!("{:?}", self.snapshot.existence)
        };
        let mut absent: Vec<_> = absent.iter().map(|name| self.names.text(*name)).collect();
        absent.sort_unstable();
        absent
    }

    pub(super) fn account_problems(&self) -> &[String] {
        self.snapshot.account_state.why_incomplete()
    }
}
