//! Sets of ids in few bytes: a group may have millions of members, and who they are has to be known
//! at once.

use std::collections::HashMap;

/// People by id, each with one mark. Nearly all ids are plain numbers: they stand in a sorted column
/// together with their mark, eight bytes each.
///
/// What was inserted counts from the next [`People::settle`] on.
#[derive(Clone, Debug, Default)]
pub(super) struct People {
    /// Twice the id, and one more where it is marked.
    numbers: Vec<u64>,
    /// The ids that are no plain numbers.
    texts: HashMap<String, bool>,
    is_sorted: bool,
}

/// Reads an id that is printed just as the number would be.
fn number(id: &str) -> Option<u64> {
    let is_plain = !id.starts_with('0') && id.bytes().all(|byte| byte.is_ascii_digit());
    let number: u64 = id.parse().ok().filter(|_| is_plain)?;
    (number <= u64::MAX / 2).then_some(number)
}

impl People {
    /// Takes somebody in. Who comes several times is marked if any of them was.
    pub(super) fn insert(&mut self, id: &str, marked: bool) {
        match number(id) {
            Some(number) => {
                let entry = number * 2 + u64::from(marked);
                self.is_sorted &= self.numbers.last().is_some_and(|last| last / 2 < number);
                self.numbers.push(entry);
            }
            None => *self.texts.entry(id.to_owned()).or_default() |= marked,
        }
    }

    /// Sorts what was inserted.
    pub(super) fn settle(&mut self) {
        if !self.is_sorted {
            self.numbers.sort_unstable();
            self.numbers.dedup_by(|later, kept| {
                let same = *later / 2 == *kept / 2;
                if same {
                    *kept |= *later & 1;
                }
                same
            });
            self.is_sorted = true;
        }
    }

    /// Takes in those of a settled set who are not marked, and settles.
    pub(super) fn take_in(&mut self, mut others: People) {
        others.numbers.retain(|entry| entry % 2 == 0);
        if self.numbers.is_empty() {
            self.numbers = others.numbers;
            self.is_sorted = true;
        } else {
            self.numbers.append(&mut others.numbers);
            self.is_sorted = false;
        }
        let texts = others.texts.into_iter().filter(|(_, marked)| !marked);
        for (id, _) in texts {
            self.texts.entry(id).or_default();
        }
        self.settle();
    }

    /// How many they are.
    pub(super) fn len(&self) -> usize {
        self.numbers.len() + self.texts.len()
    }

    /// How many of them are marked.
    pub(super) fn marked(&self) -> usize {
        let numbers = self.numbers.iter().filter(|entry| *entry % 2 == 1);
        numbers.count() + self.texts.values().filter(|marked| **marked).count()
    }

    /// Tells whether somebody is among them.
    pub(super) fn contains(&self, id: &str) -> bool {
        match number(id) {
            Some(number) => self.place(number).is_some(),
            None => self.texts.contains_key(id),
        }
    }

    /// Marks somebody, and tells whether that is new: they are among them and were not marked.
    pub(super) fn mark(&mut self, id: &str) -> bool {
        match number(id) {
            Some(number) => match self.place(number) {
                Some(at) if self.numbers[at].is_multiple_of(2) => {
                    self.numbers[at] += 1;
                    true
                }
                _ => false,
            },
            None => self
                .texts
                .get_mut(id)
                .is_some_and(|marked| !std::mem::replace(marked, true)),
        }
    }

    fn place(&self, number: u64) -> Option<usize> {
        debug_assert!(self.is_sorted || self.numbers.is_empty(), "it is settled");
        let place = self
            .numbers
            .binary_search_by_key(&number, |entry| entry / 2);
        place.ok()
    }
}

#[cfg(test)]
mod tests {
    use std::collections::{BTreeMap, BTreeSet};

    use proptest::prelude::*;

    use super::*;

    fn ids() -> impl Strategy<Value = String> {
        prop_oneof![
            8 => (1_u64..40).prop_map(|id| id.to_string()),
            1 => prop::sample::select(vec!["007", "7", "x7", "18446744073709551615", "0", "-1"])
                .prop_map(str::to_owned),
        ]
    }

    proptest! {
        #[test]
        fn they_are_what_a_map_would_hold(
            first in prop::collection::vec((ids(), any::<bool>()), 0..40),
            second in prop::collection::vec((ids(), any::<bool>()), 0..10),
            met in prop::collection::vec(ids(), 0..20),
        ) {
            let mut people = People::default();
            let mut map: BTreeMap<String, bool> = BTreeMap::new();
            for round in [&first, &second] {
                for (id, marked) in round {
                    people.insert(id, *marked);
                    *map.entry(id.clone()).or_default() |= *marked;
                }
                people.settle();
                prop_assert_eq!(people.len(), map.len());
                prop_assert_eq!(people.marked(), map.values().filter(|marked| **marked).count());
            }
            let mut expected = People::default();
            let left: BTreeSet<String> = map
                .iter()
                .filter(|(_, marked)| !**marked)
                .map(|(id, _)| id.clone())
                .collect();
            expected.take_in(people.clone());
            expected.take_in(people.clone());
            prop_assert_eq!(expected.len(), left.len());
            let mut open = left;
            for id in &met {
                prop_assert_eq!(people.contains(id), map.contains_key(id));
                prop_assert_eq!(expected.mark(id), open.remove(id), "{}", id);
            }
            prop_assert_eq!(expected.len() - expected.marked(), open.len());
        }
    }
}
