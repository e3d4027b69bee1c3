//! Interned text: ids and addresses of a run, each kept once.

use std::collections::HashMap;
use std::hash::{DefaultHasher, Hash, Hasher};

/// A text that a [`Names`] table holds; four bytes, compared in one instruction.
///
/// The number says nothing: order by the text, never by the name.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Name(u32);

/// The table of all ids and addresses that one run has seen.
///
/// A million addresses cost about 60 bytes each, so that two snapshots of a large account fit in
/// memory.
#[derive(Debug, Default)]
pub struct Names {
    text: String,
    ends: Vec<usize>,
    index: HashMap<u64, u32>,
}

impl Names {
    /// Makes an empty table.
    pub fn new() -> Self {
        Self::default()
    }

    /// Returns the name of a text, taking it into the table when it is new.
    pub fn intern(&mut self, text: &str) -> Name {
        let mut slot = hash(text);
        while let Some(&known) = self.index.get(&slot) {
            if self.text_at(known) == text {
                return Name(known);
            }
            slot = slot.wrapping_add(1);
        }
        let new = u32::try_from(self.ends.len())
            .expect("a run sees fewer than four thousand million texts");
        self.text.push_str(text);
        self.ends.push(self.text.len());
        self.index.insert(slot, new);
        Name(new)
    }

    /// Returns the name of a text that the table already holds.
    pub fn find(&self, text: &str) -> Option<Name> {
        let mut slot = hash(text);
        while let Some(&known) = self.index.get(&slot) {
            if self.text_at(known) == text {
                return Some(Name(known));
            }
            slot = slot.wrapping_add(1);
        }
        None
    }

    /// Returns the text behind a name of this table.
    pub fn text(&self, name: Name) -> &str {
        self.text_at(name.0)
    }

    /// Counts the distinct texts.
    pub fn len(&self) -> usize {
        self.ends.len()
    }

    /// Tells whether nothing has been interned.
    pub fn is_empty(&self) -> bool {
        self.ends.is_empty()
    }

    fn text_at(&self, number: u32) -> &str {
        let number = number as usize;
        let start = if number == 0 {
            0
        } else {
            self.ends[number - 1]
        };
        &self.text[start..self.ends[number]]
    }
}

fn hash(text: &str) -> u64 {
    let mut hasher = DefaultHasher::new();
    text.hash(&mut hasher);
    hasher.finish()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_same_text_has_one_name() {
        let mut names = Names::new();
        let first = names.intern("ana@example.org");
        let empty = names.intern("");
        assert_eq!(names.intern("ana@example.org"), first);
        assert_eq!(names.find("ana@example.org"), Some(first));
        assert_eq!(names.find("bo@example.org"), None);
        assert_eq!(names.text(empty), "");
        assert_eq!(names.text(first), "ana@example.org");
        assert_eq!(names.len(), 2);
    }
}
