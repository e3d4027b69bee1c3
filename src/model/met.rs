//! Counting what was met, with a few examples.

/// How many examples are kept.
const MOST: usize = 10;

/// How many values of a kind were met, with up to ten that differ: the smallest, so that the order
/// of reading does not show.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Met {
    count: u64,
    examples: Vec<String>,
}

impl Met {
    /// Counts a value.
    pub fn add(&mut self, value: &str) {
        self.count += 1;
        if self.examples.len() == MOST && self.examples.last().is_some_and(|last| &**last < value) {
            return;
        }
        let place = self.examples.binary_search_by(|known| (**known).cmp(value));
        if let Err(place) = place {
            self.examples.insert(place, value.to_owned());
            self.examples.truncate(MOST);
        }
    }

    /// Returns how many were met.
    pub fn count(&self) -> u64 {
        self.count
    }

    /// Returns the examples, the smallest first.
    pub fn examples(&self) -> &[String] {
        &self.examples
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_ten_smallest_that_differ_are_kept_in_whatever_order_they_come() {
        let values: Vec<String> = (10..40).map(|number| format!("value {number}")).collect();
        let count = |values: Vec<&String>| {
            let mut met = Met::default();
            for value in values {
                met.add(value);
            }
            met
        };
        let met = count(values.iter().chain(&values).collect());
        assert_eq!(met.count(), 60);
        assert_eq!(met.examples(), &values[..10]);
        assert_eq!(count(values.iter().rev().chain(&values).collect()), met);
    }
}
