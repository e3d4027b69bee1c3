//! Tables of what belongs to each text, person or row, found by number.
//!
//! A million people are asked about several times for each of their memberships. Found by number,
//! an answer takes a few bytes and no hash. The numbers say nothing, so that no order that shows may
//! come from here, but that of people, whose numbers are in the order of their addresses.

use super::people::PersonIx;
use crate::model::Name;

/// Stands where there is no number.
const NONE: u32 = u32::MAX;

/// A number for each of a known many things, where there is one; four bytes each.
#[derive(Clone, Debug, Default)]
pub(super) struct Numbers(Vec<u32>);

impl Numbers {
    /// Makes a table for so many things that has no number yet.
    pub(super) fn new(things: usize) -> Numbers {
        Numbers(vec![NONE; things])
    }

    /// Returns the number of a thing; none for one that came after the table was made.
    pub(super) fn get(&self, thing: usize) -> Option<u32> {
        self.0.get(thing).copied().filter(|number| *number != NONE)
    }

    /// Gives a thing its number, and returns the one that it had.
    pub(super) fn set(&mut self, thing: usize, number: u32) -> Option<u32> {
        let known = std::mem::replace(&mut self.0[thing], number);
        (known != NONE).then_some(known)
    }

    /// Takes the number of a thing away.
    pub(super) fn remove(&mut self, thing: usize) {
        self.0[thing] = NONE;
    }
}

/// The rows that have each of a table's names.
#[derive(Debug)]
pub(super) struct RowsByName {
    /// Where the rows of each name end; they begin where those of the name before end.
    ends: Vec<u32>,
    rows: Vec<u32>,
}

impl RowsByName {
    /// Sorts rows into a table of so many names. Those of one name stay in their order.
    pub(super) fn new(
        names: usize,
        of_rows: impl Iterator<Item = Option<Name>> + Clone,
    ) -> RowsByName {
        let mut ends = vec![0; names];
        for name in of_rows.clone().flatten() {
            ends[name.place()] += 1;
        }
        let mut all = 0;
        for end in &mut ends {
            // Where they begin, until they are filled in.
            (*end, all) = (all, all + *end);
        }
        let mut rows = vec![0; all as usize];
        for (name, row) in of_rows.zip(0..) {
            let Some(name) = name else { continue };
            let end = &mut ends[name.place()];
            rows[*end as usize] = row;
            *end += 1;
        }
        RowsByName { ends, rows }
    }

    /// Returns the rows of a name, in ascending order.
    pub(super) fn get(&self, name: Name) -> &[u32] {
        let place = name.place();
        let Some(&end) = self.ends.get(place) else {
            return &[];
        };
        let start = place.checked_sub(1).map_or(0, |before| self.ends[before]);
        &self.rows[start as usize..end as usize]
    }

    /// Counts the names that some row has.
    pub(super) fn names(&self) -> usize {
        let starts = std::iter::once(&0).chain(&self.ends);
        starts
            .zip(&self.ends)
            .filter(|(start, end)| start < end)
            .count()
    }
}

/// Which of a known many things are meant; a bit each.
#[derive(Clone, Debug, Default)]
pub(super) struct Bits(Vec<u64>);

impl Bits {
    /// Makes a set for so many things that has none of them yet.
    pub(super) fn new(things: usize) -> Bits {
        Bits(vec![0; things.div_ceil(64)])
    }

    pub(super) fn insert(&mut self, thing: u32) {
        self.0[thing as usize / 64] |= 1 << (thing % 64);
    }

    pub(super) fn remove(&mut self, thing: u32) {
        self.0[thing as usize / 64] &= !(1 << (thing % 64));
    }

    pub(super) fn contains(&self, thing: u32) -> bool {
        let bits = self.0.get(thing as usize / 64).copied().unwrap_or(0);
        bits & (1 << (thing % 64)) != 0
    }

    /// Goes through what is meant, in ascending order.
    pub(super) fn iter(&self) -> impl Iterator<Item = u32> + '_ {
        let words = self.0.iter().zip((0..).step_by(64));
        words.flat_map(|(word, from)| {
            let mut left = *word;
            std::iter::from_fn(move || {
                let lowest = (left != 0).then(|| from + left.trailing_zeros())?;
                left &= left - 1;
                Some(lowest)
            })
        })
    }
}

/// What holds for some of a known many people or contacts, such as how they stand in a group.
///
/// It is emptied by whom it holds, so that one table serves all groups, however small they are.
#[derive(Debug)]
pub(super) struct Table<S> {
    of: Vec<Option<S>>,
    /// Whom it holds, each once.
    held: Vec<u32>,
}

impl<S: Copy + Ord> Table<S> {
    /// Makes an empty table for so many people or contacts.
    pub(super) fn new(many: usize) -> Table<S> {
        Table {
            of: vec![None; many],
            held: Vec::new(),
        }
    }

    /// Takes everybody out.
    pub(super) fn clear(&mut self) {
        for one in self.held.drain(..) {
            self.of[one as usize] = None;
        }
    }

    /// Says what holds for somebody; of several things the greatest does.
    pub(super) fn add(&mut self, one: u32, what: S) {
        let known = &mut self.of[one as usize];
        if known.is_none() {
            self.held.push(one);
        }
        *known = (*known).max(Some(what));
    }

    /// Returns what holds for somebody.
    pub(super) fn get(&self, one: u32) -> Option<S> {
        self.of[one as usize]
    }

    /// Lists whom the table holds, in no order.
    pub(super) fn held(&self) -> &[u32] {
        &self.held
    }
}

/// Puts people in their order, each once. `everybody` has nobody before and after.
pub(super) fn in_order(people: &[u32], everybody: &mut Bits) -> Vec<PersonIx> {
    // A walk through the bits of everybody looks at one word for 64 of them, and sorting at each of
    // the people a dozen times.
    if people.len() < everybody.0.len() / 16 {
        let mut few: Vec<PersonIx> = people.iter().copied().map(PersonIx).collect();
        few.sort_unstable();
        few.dedup();
        return few;
    }
    for person in people {
        everybody.insert(*person);
    }
    let mut ordered = Vec::with_capacity(people.len());
    ordered.extend(everybody.iter().map(PersonIx));
    for person in people {
        everybody.remove(*person);
    }
    ordered
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::Names;

    #[test]
    fn rows_of_one_name_stay_in_their_order() {
        let mut names = Names::new();
        let [ana, bo, cy] = ["ana", "bo", "cy"].map(|text| names.intern(text));
        let rows = [Some(cy), None, Some(ana), Some(cy), None];
        let by_name = RowsByName::new(names.len(), rows.into_iter());
        assert_eq!(by_name.get(ana), [2]);
        assert_eq!(by_name.get(bo), [0_u32; 0]);
        assert_eq!(by_name.get(cy), [0, 3]);
        assert_eq!(by_name.names(), 2);
        let later = names.intern("dora");
        assert_eq!(by_name.get(later), [0_u32; 0]);
    }

    #[test]
    fn few_and_many_people_come_in_one_order() {
        let mut everybody = Bits::new(10_000);
        for step in [1, 7, 5_000, 20_000] {
            let people: Vec<u32> = (0..10_000).step_by(step).collect();
            let plain: Vec<PersonIx> = people.iter().copied().map(PersonIx).collect();
            let backwards: Vec<u32> = people.into_iter().rev().collect();
            assert_eq!(in_order(&backwards, &mut everybody), plain);
            assert_eq!(everybody.iter().next(), None);
        }
    }

    #[test]
    fn the_greatest_counts_and_nothing_is_left_when_a_table_is_emptied() {
        let mut table = Table::new(4);
        for (one, what) in [(3, 1), (0, 2), (3, 5), (3, 4)] {
            table.add(one, what);
        }
        assert_eq!(
            (table.get(3), table.get(0), table.get(1)),
            (Some(5), Some(2), None)
        );
        assert_eq!(table.held(), [3, 0]);
        table.clear();
        assert_eq!((table.get(3), table.held().len()), (None, 0));
    }
}
