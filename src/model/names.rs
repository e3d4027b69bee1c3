//! Interned text: ids and addresses of a run, each kept once.

use std::collections::hash_map::RandomState;
use std::hash::BuildHasher as _;
use std::num::NonZeroU32;

use hashbrown::HashTable;

/// How many texts count their ends from one place on.
const AT_ONCE: usize = 256;

/// A text that a [`Names`] table holds; four bytes, also where there may be none, and compared in
/// one instruction.
///
/// The number says nothing: order by the text, never by the name.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Name(NonZeroU32);

impl Name {
    fn new(number: usize) -> Name {
        let number = u32::try_from(number + 1).ok().and_then(NonZeroU32::new);
        Name(number.expect("a run sees fewer than four thousand million texts"))
    }

    /// Returns the place in the table, less than its [`Names::len`]: for tables of what belongs to
    /// each text, and for no order that shows.
    pub(crate) fn place(self) -> usize {
        self.0.get() as usize - 1
    }
}

/// The table of all ids and addresses that one run has seen.
///
/// Beside its text each costs about ten bytes, so that two snapshots of a large account fit in
/// memory.
#[derive(Debug, Default)]
pub struct Names {
    texts: Texts,
    index: HashTable<Name>,
    hasher: RandomState,
}

impl Names {
    /// Makes an empty table.
    pub fn new() -> Self {
        Self::default()
    }

    /// Returns the name of a text, taking it into the table when it is new.
    pub fn intern(&mut self, text: &str) -> Name {
        let (texts, hasher) = (&self.texts, &self.hasher);
        let hash = hasher.hash_one(text);
        if let Some(known) = self.index.find(hash, |known| texts.get(*known) == text) {
            return *known;
        }
        let name = self.texts.push(text);
        let texts = &self.texts;
        let hash_of = |name: &Name| hasher.hash_one(texts.get(*name));
        self.index.insert_unique(hash, name, hash_of);
        name
    }

    /// Returns the name of a text that the table already holds.
    pub fn find(&self, text: &str) -> Option<Name> {
        let hash = self.hasher.hash_one(text);
        let is_same = |known: &Name| self.texts.get(*known) == text;
        self.index.find(hash, is_same).copied()
    }

    /// Returns the text behind a name of this table.
    pub fn text(&self, name: Name) -> &str {
        self.texts.get(name)
    }

    /// Counts the distinct texts.
    pub fn len(&self) -> usize {
        self.texts.ends.len()
    }

    /// Tells whether nothing has been interned.
    pub fn is_empty(&self) -> bool {
        self.texts.ends.is_empty()
    }
}

/// Texts one behind the other.
#[derive(Debug, Default)]
struct Texts {
    text: String,
    /// Where every so many texts begin.
    begins: Vec<usize>,
    /// Where each text ends, counted from the last of those places.
    ends: Vec<u32>,
}

impl Texts {
    fn push(&mut self, text: &str) -> Name {
        let number = self.ends.len();
        if number.is_multiple_of(AT_ONCE) {
            self.begins.push(self.text.len());
        }
        self.text.push_str(text);
        let length = self.text.len() - self.begins[number / AT_ONCE];
        let end = u32::try_from(length).expect("some hundred texts have less than four gigabytes");
        self.ends.push(end);
        Name::new(number)
    }

    fn get(&self, name: Name) -> &str {
        let number = name.place();
        let begin = self.begins[number / AT_ONCE];
        let start = match number % AT_ONCE {
            0 => 0,
            _ => self.ends[number - 1] as usize,
        };
        &self.text[begin + start..begin + self.ends[number] as usize]
    }
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
        let of = |number: usize| format!("{number}@example.org");
        let many: Vec<Name> = (0..1_000).map(|number| names.intern(&of(number))).collect();
        for (number, name) in many.into_iter().enumerate() {
            assert_eq!(names.text(name), of(number));
            assert_eq!(names.find(&of(number)), Some(name));
            assert_eq!(names.intern(&of(number)), name);
        }
        assert_eq!(names.len(), 1_002);
        assert_eq!(size_of::<Option<Name>>(), 4);
    }
}
