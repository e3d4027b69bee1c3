//! What of a reading is not whole, to hold the reading of a copy to it.
//!
//! A copy of an account holds what was seen of it, and all of that can be read to its end. Whoever
//! takes it for the account must not find more there than the account itself has proved.

use std::collections::BTreeMap;

use super::completeness::{Incomplete, Reading};
use super::group::Unread;
use super::snapshot::{Snapshot, Unreadable};

/// Why something is not whole.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
struct Gap {
    why: Vec<String>,
    opt_outs_complete: bool,
}

impl Gap {
    fn of<T>(reading: &Reading<T>) -> Option<Gap> {
        match reading {
            Reading::Complete(_) => None,
            Reading::Incomplete(incomplete) => Some(Gap {
                why: incomplete.why.clone(),
                opt_outs_complete: incomplete.opt_outs_complete,
            }),
        }
    }

    fn hold<T: Clone>(gap: Option<&Gap>, reading: &mut Reading<T>) {
        let Some(gap) = gap else { return };
        let mut held = Incomplete {
            partial: reading.seen().clone(),
            why: reading.why_incomplete().to_vec(),
            opt_outs_complete: gap.opt_outs_complete,
        };
        if let Reading::Incomplete(incomplete) = reading {
            held.opt_outs_complete &= incomplete.opt_outs_complete;
        }
        let new = gap.why.iter().filter(|why| !held.why.contains(why));
        let new: Vec<String> = new.cloned().collect();
        held.why.extend(new);
        *reading = Reading::Incomplete(held);
    }
}

/// What of a reading is not whole, and what of single records could not be read.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Gaps {
    groups: Option<Gap>,
    account: Option<Gap>,
    listings: BTreeMap<String, Gap>,
    unread: BTreeMap<String, Unread>,
    unreadable: BTreeMap<String, Unreadable>,
}

impl Gaps {
    /// Collects what of a reading is not whole.
    pub fn of(snapshot: &Snapshot) -> Gaps {
        let groups = snapshot.groups.seen().iter();
        let unlisted = groups.clone().filter(|group| {
            // Nobody is known of it, and so nobody is missing.
            snapshot.listing(&group.id).is_none()
        });
        let unlisted = unlisted.map(|group| {
            let gap = Gap {
                why: vec!["its members were not listed".to_owned()],
                opt_outs_complete: false,
            };
            (group.id.clone(), gap)
        });
        let listings = snapshot.listings.iter();
        let listed =
            listings.filter_map(|(group, listing)| Some((group.clone(), Gap::of(listing)?)));
        Gaps {
            groups: Gap::of(&snapshot.groups),
            account: Gap::of(&snapshot.account_state),
            listings: listed.chain(unlisted).collect(),
            unread: groups
                .filter_map(|group| Some((group.id.clone(), group.unread?)))
                .collect(),
            unreadable: snapshot.unreadable.clone(),
        }
    }

    /// Makes the reading of a copy no more whole than what it was copied from.
    pub fn hold(&self, snapshot: &mut Snapshot) {
        Gap::hold(self.groups.as_ref(), &mut snapshot.groups);
        Gap::hold(self.account.as_ref(), &mut snapshot.account_state);
        for (group, listing) in &mut snapshot.listings {
            Gap::hold(self.listings.get(group), listing);
        }
        for group in snapshot.groups.seen_mut() {
            group.unread = group.unread.or(self.unread.get(&group.id).copied());
        }
        for (id, what) in &self.unreadable {
            let known = snapshot.unreadable.entry(id.clone());
            known.or_insert_with(|| what.clone());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::{
        Certificate, MemberSink as _, MembershipState, Names, OwnRemovals, Record, SnapshotBuilder,
        Stage, TotalMeanings,
    };

    struct Nowhere;

    impl Stage for Nowhere {
        fn put(&mut self, _id: &str, _record: &Record) -> Result<(), String> {
            Ok(())
        }
    }

    fn snapshot(problem: Option<&str>) -> Snapshot {
        let (mut names, mut stage) = (Names::new(), Nowhere);
        let mut builder = SnapshotBuilder::new("crm", "", &mut names, &mut stage);
        for group in ["1", "2"] {
            builder.begin_listing(group);
            builder.listed("7", MembershipState::Active);
            builder.end_listing(Certificate {
                problems: problem
                    .filter(|_| group == "1")
                    .map(str::to_owned)
                    .into_iter()
                    .collect(),
                opt_outs_complete: problem.is_none(),
                ..Certificate::of_the_end()
            });
        }
        builder.account_state(Certificate::of_the_end());
        let end = Certificate::of_the_end();
        let mut meanings = TotalMeanings::all();
        builder.finish(Vec::new(), &end, &mut meanings, &OwnRemovals::default())
    }

    #[test]
    fn a_copy_proves_no_more_than_what_it_was_copied_from() {
        let gaps = Gaps::of(&snapshot(Some("a page failed")));
        let mut copy = snapshot(None);
        gaps.hold(&mut copy);
        let Some(Reading::Incomplete(first)) = copy.listing("1") else {
            panic!("the first listing is taken for whole");
        };
        assert_eq!(first.why, ["a page failed"]);
        assert!(!first.opt_outs_complete);
        assert_eq!(first.partial.rows.len(), 1, "what was seen stays");
        assert!(copy.listing("2").unwrap().complete().is_some());
        assert!(copy.account_state.complete().is_some());
        // Held twice it says nothing twice.
        gaps.hold(&mut copy);
        assert_eq!(copy.listing("1").unwrap().why_incomplete().len(), 1);
    }
}
