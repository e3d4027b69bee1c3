//! What the readings show of custom fields that a login may not list: whether a name that was taken
//! at its word is that of a field, and how it is spelled.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use compact_str::{CompactString, format_compact};

use super::{BoundMapping, BoundRule};
use crate::mapping::normal_label;
use crate::model::ObjectKind;

/// The custom fields that the profiles of one side show, with or without a value; nothing where no
/// profile was read.
type Shown<'a> = Option<&'a BTreeSet<CompactString>>;

/// The custom fields of the source that the login may not list and that no record shows: they may
/// be empty or have another name by now.
#[derive(Clone, Debug, Default)]
pub(super) struct Unshown {
    /// Those that the filter reads.
    pub(super) filter: BTreeSet<String>,
    /// Those that rules read.
    names: BTreeSet<String>,
    /// These rules, by the target's names.
    rules: BTreeSet<String>,
}

/// Says why a field that nobody may list and that no record shows decides nothing.
pub(super) const EMPTY_OR_GONE: &str = "nobody can tell whether that is empty or gone";
pub(super) const SHOW_OR_CORRECT: &str =
    "correct the name in the config, or let the login see the custom fields";

/// Puts names into words.
pub(super) fn quoted(names: &BTreeSet<String>) -> String {
    let names: Vec<String> = names.iter().map(|name| format!("{name:?}")).collect();
    names.join(", ")
}

/// Returns the shown names that a name may stand for.
fn alike<'a>(
    shown: &'a BTreeSet<CompactString>,
    name: &str,
) -> impl Iterator<Item = &'a CompactString> {
    let wanted = normal_label(name);
    shown
        .iter()
        .filter(move |name| normal_label(name) == wanted)
}

/// Returns how a name is spelled, where the records spell it in another way than the config; of
/// several nobody can tell which one is meant.
fn respelled<'a>(shown: &'a BTreeSet<CompactString>, name: &str) -> Option<&'a CompactString> {
    let mut alike = alike(shown, name).filter(|_| !shown.contains(name));
    match (alike.next(), alike.next()) {
        (Some(one), None) => Some(one),
        _ => None,
    }
}

impl BoundMapping {
    /// Holds the names of custom fields that the login may not list at the source against what all
    /// its records show. Where none shows a name, no value is no empty one: the rules that read it
    /// are left out, and a filter that does decides about nobody.
    ///
    /// Where no profile was read there is nobody of whom a value could be missed.
    pub fn hold_against_source(&mut self, shown: Shown<'_>) {
        let Some(shown) = shown.filter(|_| !self.source_fields.known) else {
            return;
        };
        let source_fields = &self.source_fields;
        let unshown = |reads: BTreeSet<String>| -> BTreeSet<String> {
            let names = reads.iter().filter_map(|name| name.strip_prefix("custom."));
            names
                .filter(|name| *name != "*" && source_fields.find(name).is_none())
                .filter(|name| alike(shown, name).next().is_none())
                .map(str::to_owned)
                .collect()
        };
        if let Some(filter) = self.filter.as_ref().filter(|_| !self.undecided) {
            self.unshown.filter = unshown(filter.reads());
            self.undecided = !self.unshown.filter.is_empty();
        }
        let names_of = |rule: &BoundRule| unshown(rule.action.reads());
        let left_out: Vec<BoundRule> = self
            .member
            .extract_if(.., |rule| !names_of(rule).is_empty())
            .collect();
        for rule in left_out {
            self.unshown.names.extend(unshown(rule.action.reads()));
            self.unshown.rules.insert(rule.typed);
            // Nothing is created that nobody can fill either.
            self.missing
                .retain(|field| rule.wire != format_compact!("custom.{}", field.system_name));
            self.unsaid.extend([rule.wire.to_string()]);
        }
        self.name_as_source(shown);
    }

    /// Has the names that the config spells in its own way stand for those that the records show.
    fn name_as_source(&mut self, shown: &BTreeSet<CompactString>) {
        for name in self.member_reads() {
            let Some(name) = name.strip_prefix("custom.") else {
                continue;
            };
            if let Some(one) = respelled(shown, name) {
                let alias = (name.to_owned(), format!("custom.{one}"));
                Arc::make_mut(&mut self.aliases).push(alias);
            }
        }
        self.member_homes = self.rule_reads(ObjectKind::Member);
    }

    /// Says what stays as it is because no record of the source shows what it would be made of.
    pub fn unshown_custom(&self) -> Option<String> {
        let Unshown { names, rules, .. } = &self.unshown;
        let rules: Vec<&str> = rules.iter().map(String::as_str).collect();
        (!rules.is_empty()).then(|| {
            format!(
                "no record shows the custom field {}, and the login may not list them, so that {EMPTY_OR_GONE}, and what it is for stays as it is ({}); {SHOW_OR_CORRECT}",
                quoted(names),
                rules.join(", ")
            )
        })
    }

    /// Has what is remembered of a person's fields stand under the names by which the target knows them
    /// now, where it stood under the config's spelling.
    pub fn as_spelled_now<T>(
        &self,
        mut remembered: BTreeMap<CompactString, T>,
    ) -> BTreeMap<CompactString, T> {
        for rule in &self.member {
            let typed = rule.typed.as_str();
            if rule.wire != typed
                && !self.member.iter().any(|other| other.wire == typed)
                && let Some(value) = remembered.remove(typed)
            {
                remembered.entry(rule.wire.clone()).or_insert(value);
            }
        }
        remembered
    }

    /// Spells the custom fields that the login may not list at the target as its records do, so
    /// that what is there, and what is remembered of it, is found however the config spells them.
    pub fn spell_as_target(&mut self, shown: Shown<'_>) {
        let Some(shown) = shown.filter(|_| !self.target_fields.known) else {
            return;
        };
        for rule in &mut self.member {
            let name = rule.wire.strip_prefix("custom.");
            if let Some(one) = name.and_then(|name| respelled(shown, name)) {
                let wire = format_compact!("custom.{one}");
                self.unsaid.rename(&rule.wire, &wire);
                rule.wire = wire;
            }
        }
    }
}
