//! A map by id for what there may be a million of.

use std::fmt;
use std::marker::PhantomData;
use std::ops::Index;
use std::slice;

use serde::de::{MapAccess, Visitor};
use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// How many entries lie side by side. A tree that is filled in the order of its keys has
/// nodes that are half empty; here all but the last block are full then.
const BLOCK: usize = 256;

/// Values by id, in the order of the ids.
#[derive(Clone)]
pub struct IdMap<V> {
    /// The first id of each block, to find the block by.
    firsts: Vec<u64>,
    blocks: Vec<Block<V>>,
    len: usize,
}

/// A run of entries, never empty.
#[derive(Clone)]
struct Block<V> {
    ids: Vec<u64>,
    values: Vec<V>,
}

impl<V> Block<V> {
    fn of(id: u64, value: V) -> Self {
        Self {
            ids: vec![id],
            values: vec![value],
        }
    }

    fn find(&self, id: u64) -> Result<usize, usize> {
        // Ids follow each other without a gap as a rule.
        let guess = usize::try_from(id.wrapping_sub(self.ids[0])).unwrap_or(usize::MAX);
        if self.ids.get(guess) == Some(&id) {
            return Ok(guess);
        }
        self.ids.binary_search(&id)
    }
}

impl<V> Default for IdMap<V> {
    fn default() -> Self {
        Self {
            firsts: Vec::new(),
            blocks: Vec::new(),
            len: 0,
        }
    }
}

impl<V> IdMap<V> {
    /// The block that holds an id if any does, and the place in it; or where it would be put.
    fn find(&self, id: u64) -> (usize, Result<usize, usize>) {
        let after = self.firsts.partition_point(|first| *first <= id);
        match after.checked_sub(1) {
            Some(block) => (block, self.blocks[block].find(id)),
            None => (0, Err(0)),
        }
    }

    /// How many entries there are.
    pub fn len(&self) -> usize {
        self.len
    }

    /// Whether there is no entry.
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// The value of an id.
    pub fn get(&self, id: &u64) -> Option<&V> {
        match self.find(*id) {
            (block, Ok(at)) => Some(&self.blocks[block].values[at]),
            _ => None,
        }
    }

    /// The value of an id, to be edited.
    pub fn get_mut(&mut self, id: &u64) -> Option<&mut V> {
        match self.find(*id) {
            (block, Ok(at)) => Some(&mut self.blocks[block].values[at]),
            _ => None,
        }
    }

    /// Whether an id has a value.
    pub fn contains_key(&self, id: &u64) -> bool {
        self.find(*id).1.is_ok()
    }

    /// Sets the value of an id and returns the one that it had.
    pub fn insert(&mut self, id: u64, value: V) -> Option<V> {
        let (block, place) = self.find(id);
        let at = match place {
            Ok(at) => {
                return Some(std::mem::replace(&mut self.blocks[block].values[at], value));
            }
            Err(at) => at,
        };
        self.len += 1;
        let last = block + 1 == self.blocks.len();
        let Some(entries) = self.blocks.get_mut(block) else {
            self.firsts.push(id);
            self.blocks.push(Block::of(id, value));
            return None;
        };
        if entries.ids.len() < BLOCK {
            entries.ids.insert(at, id);
            entries.values.insert(at, value);
            self.firsts[block] = entries.ids[0];
        } else if last && at == BLOCK {
            self.firsts.push(id);
            self.blocks.push(Block::of(id, value));
        } else {
            let middle = BLOCK / 2;
            let mut second = Block {
                ids: entries.ids.split_off(middle),
                values: entries.values.split_off(middle),
            };
            let (half, at) = if at <= middle {
                (entries, at)
            } else {
                (&mut second, at - middle)
            };
            half.ids.insert(at, id);
            half.values.insert(at, value);
            self.firsts.insert(block + 1, second.ids[0]);
            self.blocks.insert(block + 1, second);
            self.firsts[block] = self.blocks[block].ids[0];
        }
        None
    }

    /// The value of an id, which is this one where it had none.
    pub fn get_or_insert(&mut self, id: u64, value: V) -> &mut V {
        if !self.contains_key(&id) {
            self.insert(id, value);
        }
        let (block, place) = self.find(id);
        let (Ok(at) | Err(at)) = place;
        &mut self.blocks[block].values[at]
    }

    /// Takes an id out and returns its value.
    pub fn remove(&mut self, id: &u64) -> Option<V> {
        let (block, Ok(at)) = self.find(*id) else {
            return None;
        };
        self.len -= 1;
        let entries = &mut self.blocks[block];
        entries.ids.remove(at);
        let value = entries.values.remove(at);
        if let Some(first) = entries.ids.first() {
            self.firsts[block] = *first;
        } else {
            self.firsts.remove(block);
            self.blocks.remove(block);
        }
        Some(value)
    }

    /// Takes everything out.
    pub fn clear(&mut self) {
        *self = Self::default();
    }

    /// The ids with their values.
    pub fn iter(&self) -> Iter<'_, V> {
        Iter {
            blocks: self.blocks.iter(),
            ids: [].iter(),
            values: [].iter(),
        }
    }

    /// The ids.
    pub fn keys(&self) -> impl DoubleEndedIterator<Item = &u64> + Clone {
        self.blocks.iter().flat_map(|block| &block.ids)
    }

    /// The values.
    pub fn values(&self) -> impl DoubleEndedIterator<Item = &V> + Clone {
        self.blocks.iter().flat_map(|block| &block.values)
    }

    /// The values, to be edited.
    pub fn values_mut(&mut self) -> impl Iterator<Item = &mut V> {
        self.blocks.iter_mut().flat_map(|block| &mut block.values)
    }

    /// The highest id.
    pub fn last_id(&self) -> Option<u64> {
        self.blocks.last()?.ids.last().copied()
    }
}

/// The entries of an [`IdMap`].
pub struct Iter<'a, V> {
    blocks: slice::Iter<'a, Block<V>>,
    ids: slice::Iter<'a, u64>,
    values: slice::Iter<'a, V>,
}

impl<V> Clone for Iter<'_, V> {
    fn clone(&self) -> Self {
        Self {
            blocks: self.blocks.clone(),
            ids: self.ids.clone(),
            values: self.values.clone(),
        }
    }
}

impl<V> fmt::Debug for Iter<'_, V> {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("Iter").finish_non_exhaustive()
    }
}

impl<'a, V> Iterator for Iter<'a, V> {
    type Item = (&'a u64, &'a V);

    fn next(&mut self) -> Option<Self::Item> {
        loop {
            if let Some(entry) = self.ids.next().zip(self.values.next()) {
                return Some(entry);
            }
            let block = self.blocks.next()?;
            self.ids = block.ids.iter();
            self.values = block.values.iter();
        }
    }
}

impl<'a, V> IntoIterator for &'a IdMap<V> {
    type Item = (&'a u64, &'a V);
    type IntoIter = Iter<'a, V>;

    fn into_iter(self) -> Self::IntoIter {
        self.iter()
    }
}

// The same entries may lie in different blocks.
impl<V: PartialEq> PartialEq for IdMap<V> {
    fn eq(&self, other: &Self) -> bool {
        self.len == other.len && self.iter().eq(other)
    }
}

impl<V: Eq> Eq for IdMap<V> {}

impl<V> IntoIterator for IdMap<V> {
    type Item = (u64, V);
    type IntoIter = std::vec::IntoIter<(u64, V)>;

    fn into_iter(self) -> Self::IntoIter {
        let mut entries = Vec::with_capacity(self.len);
        for block in self.blocks {
            entries.extend(block.ids.into_iter().zip(block.values));
        }
        entries.into_iter()
    }
}

impl<V> Index<&u64> for IdMap<V> {
    type Output = V;

    fn index(&self, id: &u64) -> &V {
        self.get(id)
            .unwrap_or_else(|| panic!("the emulated account has no entry with the id {id}"))
    }
}

impl<V> FromIterator<(u64, V)> for IdMap<V> {
    fn from_iter<I: IntoIterator<Item = (u64, V)>>(entries: I) -> Self {
        let mut map = Self::default();
        for (id, value) in entries {
            map.insert(id, value);
        }
        map
    }
}

impl<V: fmt::Debug> fmt::Debug for IdMap<V> {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_map().entries(self).finish()
    }
}

impl<V: Serialize> Serialize for IdMap<V> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_map(self)
    }
}

impl<'de, V: Deserialize<'de>> Deserialize<'de> for IdMap<V> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Entries<V>(PhantomData<V>);

        impl<'de, V: Deserialize<'de>> Visitor<'de> for Entries<V> {
            type Value = IdMap<V>;

            fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
                formatter.write_str("a map")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut entries: A) -> Result<IdMap<V>, A::Error> {
                let mut map = IdMap::default();
                while let Some((id, value)) = entries.next_entry()? {
                    map.insert(id, value);
                }
                Ok(map)
            }
        }

        deserializer.deserialize_map(Entries(PhantomData))
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;

    #[test]
    fn entries_are_found_and_taken_out_whatever_the_order_they_came_in() {
        for step in [1, 7, 613, 999] {
            let mut map = IdMap::default();
            let mut plain = BTreeMap::new();
            for number in 0..1000 {
                let id = number * step % 1000 + 5;
                assert_eq!(map.insert(id, number), plain.insert(id, number));
            }
            assert!(map.iter().eq(&plain) && map.len() == plain.len());
            assert_eq!(map.insert(40, 7), plain.insert(40, 7));
            for id in (0..1200).step_by(3) {
                assert_eq!(map.get(&id), plain.get(&id));
                assert_eq!(map.remove(&id), plain.remove(&id));
                assert_eq!(map.get_mut(&(id + 1)), plain.get_mut(&(id + 1)));
            }
            assert!(map.keys().eq(plain.keys()) && map.values().eq(plain.values()));
            assert_eq!(map.last_id(), plain.keys().next_back().copied());
            assert_eq!(format!("{map:?}"), format!("{plain:?}"));
            let text = serde_json::to_string(&map).unwrap();
            assert_eq!(text, serde_json::to_string(&plain).unwrap());
            assert_eq!(serde_json::from_str::<IdMap<u64>>(&text).unwrap(), map);
        }
    }
}
