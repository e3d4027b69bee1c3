//! The fields of a record that stay as they are.

use std::collections::BTreeSet;
use std::sync::Arc;

/// Fields of which nobody can tell what they should hold, or whose value does not fit: they are
/// neither written nor cleared, and what is remembered of them stays.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct LeftAlone {
    named: BTreeSet<String>,
    /// Where the definition of some custom field can't be read, any of them may be meant but these.
    all_custom_but: Option<Arc<BTreeSet<String>>>,
}

impl LeftAlone {
    /// Leaves every custom field alone but some.
    pub fn all_custom_but(mapped: BTreeSet<String>) -> LeftAlone {
        LeftAlone {
            named: BTreeSet::new(),
            all_custom_but: Some(Arc::new(mapped)),
        }
    }

    /// Calls a field by another name.
    pub fn rename(&mut self, field: &str, name: &str) {
        if self.named.remove(field) {
            self.named.insert(name.to_owned());
        }
        if let Some(mapped) = &mut self.all_custom_but
            && mapped.contains(field)
        {
            let mapped = Arc::make_mut(mapped);
            mapped.remove(field);
            mapped.insert(name.to_owned());
        }
    }

    /// Tells whether a field, by the target's name, stays as it is.
    pub fn contains(&self, field: &str) -> bool {
        let is_any_custom = || {
            let mapped = self.all_custom_but.as_ref();
            mapped.is_some_and(|mapped| field.starts_with("custom.") && !mapped.contains(field))
        };
        self.named.contains(field) || is_any_custom()
    }
}

impl Extend<String> for LeftAlone {
    fn extend<T: IntoIterator<Item = String>>(&mut self, fields: T) {
        self.named.extend(fields);
    }
}
