//! Where a member is in one group at a time: who goes back to the group that the run took them out of.

use super::{Did, Inverse, Left};
use crate::model::Value;
use crate::plan::{PairIx, PersonIx};

/// The field under which the record has the group that somebody left, and the one they got to, by their
/// ids.
pub const SEAT: &str = "group";

/// How somebody leaves the group where the run put them.
pub(super) enum Way {
    /// For another group that the job fills.
    Back(PairIx, PersonIx),
    /// For the parking group.
    Parked(PairIx, PersonIx),
}

impl<'a> Inverse<'a> {
    /// Finds where somebody goes whom the run moved. Whoever moved on since stays.
    pub(super) fn seated(&mut self, did: &'a Did) -> Result<Way, Left> {
        if did.op == "add_memberships" {
            self.is_still_there(did)?;
        }
        let (pair, group) = self.group(did)?;
        self.listing(pair)?;
        let (person, at) = self.person(did)?;
        let parking = self.inputs.policy.parking_group.as_deref();
        let (left, joined) = match did.fields.get(SEAT) {
            Some(seat) => (id(seat.before.as_ref()), id(seat.after.as_ref())),
            // Whom the run created was nowhere before.
            None if self.is_created(did) => (None, Some(group.id.as_str())),
            None => return Err(Left::OneGroup),
        };
        let seat = self.seat(at)?;
        if seat.is_some() && seat == left {
            return Err(Left::AlreadySo);
        }
        if seat.is_none() || seat != joined {
            return Err(Left::ChangedSince);
        }
        if did.op == "add_memberships" {
            self.is_ours_alone(did, group, at)?;
        }
        let way = match left {
            Some(home) if Some(home) != parking => {
                let (home, _) = self.group_of(home)?;
                self.comes_back(home, person, at)?;
                Way::Back(home, person)
            }
            // Nobody is deleted, and a user has to be in a group.
            _ if parking.is_none() => return Err(Left::PersonStays),
            _ => Way::Parked(pair, person),
        };
        self.moved.insert(at);
        Ok(way)
    }

    /// Returns the group that somebody is in, where that is certain.
    fn seat(&self, at: u32) -> Result<Option<&'a str>, Left> {
        let target = self.inputs.target;
        let mut groups = target.groups.seen().iter();
        let is_whole = |id: &str| {
            let listing = target.listing(id);
            listing.is_some_and(|listing| listing.complete().is_some())
        };
        if target.groups.complete().is_none() || !groups.all(|group| is_whole(&group.id)) {
            return Err(Left::NotRead);
        }
        Ok(target.seat_of(at))
    }

    fn is_created(&self, did: &Did) -> bool {
        let contact = did.member_id.as_deref();
        contact.is_some_and(|contact| self.created.contains(contact))
    }
}

fn id(value: Option<&Value>) -> Option<&str> {
    match value {
        Some(Value::Text(text)) => Some(text),
        _ => None,
    }
}
