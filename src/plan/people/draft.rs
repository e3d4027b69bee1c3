//! A person in the making.

use super::{Hands, Unusable};
use crate::model::Name;

/// A person in the making. There is one for everybody, so that what few people have stands apart.
pub(super) struct Draft {
    pub(super) address: Name,
    /// The only row of either side; the rest holds several.
    source: u32,
    target: u32,
    pub(super) unusable: Option<Unusable>,
    pub(super) removed_by_us: bool,
    pub(super) hands: Hands,
    pub(super) linked: Linked,
    rest: Option<Box<Rest>>,
}

/// What the links of a person's records say.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Linked {
    /// There are none.
    Not,
    /// Something else than the pair says.
    Otherwise,
    /// What the pair says: each record is linked to the only contact.
    AsPaired,
}

/// Stands where there is no row.
const NOBODY: u32 = u32::MAX;

/// What few people have.
#[derive(Default)]
struct Rest {
    /// The rows, where there are several.
    sources: Vec<u32>,
    targets: Vec<u32>,
    vanished: Option<Name>,
    moves_from: Option<Name>,
    parted_from: Option<u32>,
    left: Vec<u32>,
}

impl Draft {
    pub(super) fn new(address: Name) -> Draft {
        Draft {
            address,
            source: NOBODY,
            target: NOBODY,
            unusable: None,
            removed_by_us: false,
            hands: Hands::Free,
            linked: Linked::Not,
            rest: None,
        }
    }

    fn rest(&mut self) -> &mut Rest {
        self.rest.get_or_insert_default()
    }

    /// Returns the positions of the person's rows at the source.
    pub(super) fn sources(&self) -> &[u32] {
        match &self.rest {
            Some(rest) if !rest.sources.is_empty() => &rest.sources,
            _ => only(&self.source),
        }
    }

    /// Returns the positions of the person's rows at the target.
    pub(super) fn targets(&self) -> &[u32] {
        match &self.rest {
            Some(rest) if !rest.targets.is_empty() => &rest.targets,
            _ => only(&self.target),
        }
    }

    pub(super) fn set_sources(&mut self, rows: &[u32]) {
        self.source = match rows {
            [only] => *only,
            _ => NOBODY,
        };
        if rows.len() > 1 {
            self.rest().sources = rows.to_vec();
        } else if let Some(rest) = &mut self.rest {
            rest.sources.clear();
        }
    }

    pub(super) fn set_targets(&mut self, rows: &[u32]) {
        if self.linked == Linked::AsPaired {
            self.linked = Linked::Otherwise;
        }
        self.target = match rows {
            [only] => *only,
            _ => NOBODY,
        };
        if rows.len() > 1 {
            self.rest().targets = rows.to_vec();
        } else if let Some(rest) = &mut self.rest {
            rest.targets.clear();
        }
    }

    pub(super) fn add_source(&mut self, row: u32) {
        match self.sources() {
            [] => self.source = row,
            [first] => self.set_sources(&[*first, row]),
            _ => self.rest().sources.push(row),
        }
    }

    pub(super) fn add_target(&mut self, row: u32) {
        match self.targets() {
            [] => self.target = row,
            [first] => self.set_targets(&[*first, row]),
            _ => self.rest().targets.push(row),
        }
    }

    pub(super) fn remove_target(&mut self, row: u32) {
        let others = self.targets().iter().copied();
        let others: Vec<u32> = others.filter(|known| *known != row).collect();
        self.set_targets(&others);
    }

    /// Returns the contact that a link names, when the target no longer has it.
    pub(super) fn vanished(&self) -> Option<Name> {
        self.rest.as_ref()?.vanished
    }

    pub(super) fn set_vanished(&mut self, contact: Option<Name>) {
        if contact.is_some() || self.rest.is_some() {
            self.rest().vanished = contact;
        }
    }

    /// Returns the address at the target, when it is to become another one.
    pub(super) fn moves_from(&self) -> Option<Name> {
        self.rest.as_ref()?.moves_from
    }

    pub(super) fn set_moves_from(&mut self, address: Option<Name>) {
        if address.is_some() || self.rest.is_some() {
            self.rest().moves_from = address;
        }
    }

    /// Returns the contact that a link names and that is somebody else's by now.
    pub(super) fn parted_from(&self) -> Option<u32> {
        self.rest.as_ref()?.parted_from
    }

    pub(super) fn set_parted_from(&mut self, contact: Option<u32>) {
        self.rest().parted_from = contact;
    }

    /// Returns the contacts that the person had before a merge at the source.
    pub(super) fn left(&self) -> &[u32] {
        self.rest.as_ref().map_or(&[], |rest| &rest.left)
    }

    pub(super) fn leave(&mut self, contact: u32) {
        self.rest().left.push(contact);
    }
}

fn only(row: &u32) -> &[u32] {
    if *row == NOBODY {
        &[]
    } else {
        std::slice::from_ref(row)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::Names;

    #[test]
    fn rows_are_kept_apart_and_in_order_however_many_there_are() {
        assert_eq!(size_of::<Draft>(), 24);
        let mut draft = Draft::new(Names::new().intern(""));
        for rows in [vec![], vec![7], vec![7, 3], vec![7, 3, 9]] {
            assert_eq!(draft.sources(), rows);
            draft.set_targets(&rows);
            assert_eq!(draft.targets(), rows);
            draft.add_source([7, 3, 9, 0][rows.len()]);
        }
        for (row, left) in [(3, vec![7, 9]), (7, vec![9]), (7, vec![9]), (9, vec![])] {
            draft.remove_target(row);
            assert_eq!(draft.targets(), left);
        }
        draft.add_target(4);
        assert_eq!(
            (draft.sources(), draft.targets()),
            (&[7, 3, 9, 0][..], &[4][..])
        );
        draft.set_sources(&[]);
        assert_eq!(draft.sources(), [0_u32; 0]);
    }
}
