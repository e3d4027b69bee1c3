//! Looks at those alone who are taken out of groups, where a removal shows as a refusal: how they
//! stand right before each request decides whose doing it is (rule 1), and what the look takes must
//! not grow with the groups.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use super::Applying;
use crate::model::{Leaving, Write};
use crate::plan::{PairIx, PersonIx};
use crate::run::error::RunError;
use crate::run::read::{GroupNow, named_now};

/// The ids of contacts by the groups in which they are looked for.
type Asked = BTreeMap<String, BTreeSet<String>>;

impl Applying<'_> {
    /// Looks how people stand in the groups that a step takes them out of, with every contact of
    /// theirs.
    pub(super) async fn people_now(
        &self,
        people: impl Iterator<Item = (PairIx, Vec<PersonIx>)>,
    ) -> Result<HashMap<String, GroupNow>, RunError> {
        let mut asked = Asked::new();
        for (pair, members) in people {
            if let Some(group) = self.group_id(pair) {
                let ids = members.into_iter().flat_map(|person| self.ids(person));
                asked.entry(group).or_default().extend(ids);
            }
        }
        self.contacts_there_now(&asked).await
    }

    /// Looks how those stand whom a write takes out of groups in a way that shows as a refusal;
    /// nothing where the write does something else.
    pub(super) async fn leavers_now(
        &self,
        write: &Write,
    ) -> Result<Option<HashMap<String, GroupNow>>, RunError> {
        let Write::LeaveGroups { rows, how } = write else {
            return Ok(None);
        };
        if *how == Leaving::OptOut || !self.prepared.capabilities.removal_shows_opt_out {
            return Ok(None);
        }
        let mut asked = Asked::new();
        for row in rows {
            for group in &row.groups {
                let ids = asked.entry(group.clone()).or_default();
                ids.extend(row.id.clone());
            }
        }
        Ok(Some(self.contacts_there_now(&asked).await?))
    }

    async fn contacts_there_now(
        &self,
        asked: &Asked,
    ) -> Result<HashMap<String, GroupNow>, RunError> {
        let target = &self.prepared.sides.target;
        let listings = asked.keys().filter_map(|group| target.listing(group));
        let listed = listings.map(|listing| listing.seen().rows.len() as u64);
        named_now(&self.handle, asked, listed.sum()).await
    }
}
