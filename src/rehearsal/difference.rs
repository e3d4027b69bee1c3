//! Holds a copy against what it was made of: both as the same adapter reads them.

use std::collections::{BTreeMap, HashMap};

use compact_str::CompactString;

use crate::model::{Group, Name, Record, Writable, id_order};
use crate::provider;
use crate::run::{Everything, RunError};

/// So many differences are named one by one before they are counted.
const MOST_NAMED: usize = 20;

/// Differences that were found, the first ones in words.
#[derive(Default)]
struct Found {
    named: Vec<String>,
    more: u64,
}

impl Found {
    fn add(&mut self, words: impl FnOnce() -> String) {
        if self.named.len() < MOST_NAMED {
            self.named.push(words());
        } else {
            self.more += 1;
        }
    }
}

/// Says in which ways a copy shows something else than the account did, one sentence each; nothing
/// where it shows the same.
pub(super) fn differences(real: &Everything, copy: &Everything) -> Result<Vec<String>, RunError> {
    let mut found = Found::default();
    groups(real, copy, &mut found);
    members(real, copy, &mut found)?;
    let mut words = found.named;
    if found.more > 0 {
        words.push(format!("{} more differences", found.more));
    }
    Ok(words)
}

/// What of a group decides anything: what can be written, and what it is.
fn of_group(everything: &Everything, group: &Group) -> BTreeMap<String, String> {
    let schema = provider::schema(everything.kind);
    let written = schema
        .groups
        .iter()
        .filter(|field| field.writable != Writable::No);
    let mut told: BTreeMap<String, String> = written
        .filter_map(|field| {
            let value = group.wire.get(field.wire)?;
            (!value.is_empty()).then(|| (field.wire.to_owned(), value.to_string()))
        })
        .collect();
    told.insert("kind".to_owned(), group.kind.as_str().to_owned());
    told.insert("status".to_owned(), group.status.as_str().to_owned());
    told.insert("test group".to_owned(), group.test_group.to_string());
    told.insert("auto-response".to_owned(), group.auto_response.to_string());
    told
}

fn groups(real: &Everything, copy: &Everything, found: &mut Found) {
    for group in real.snapshot.groups.seen() {
        let title = || format!("group {} ({})", group.id, group.name);
        let Some(copied) = copy.snapshot.group(&group.id) else {
            found.add(|| format!("{} does not show in the copy", title()));
            continue;
        };
        let (then, now) = (of_group(real, group), of_group(copy, copied));
        let fields = then.keys().chain(now.keys());
        let mut fields: Vec<&String> = fields
            .filter(|name| then.get(*name) != now.get(*name))
            .collect();
        fields.sort();
        fields.dedup();
        // Fields of a group that could not be read say nothing.
        if !fields.is_empty() && group.unread.is_none() {
            let fields: Vec<&str> = fields.into_iter().map(String::as_str).collect();
            found.add(|| format!("{} differs in {}", title(), fields.join(", ")));
        }
        let (then, now) = (rows(real, &group.id), rows(copy, &group.id));
        if then != now {
            found.add(|| format!("the members of {} differ", title()));
        }
    }
    let made_up = copy.snapshot.groups.seen().iter();
    let made_up = made_up.filter(|group| real.snapshot.group(&group.id).is_none());
    for group in made_up {
        found.add(|| format!("group {} is in the copy alone", group.id));
    }
}

/// Who is in a group, by id and state.
fn rows<'a>(everything: &'a Everything, group: &str) -> Vec<(&'a str, &'static str)> {
    let listing = everything.snapshot.listing(group);
    let listed = listing.map(|listing| &listing.seen().rows);
    let mut rows: Vec<(&str, &str)> = listed
        .into_iter()
        .flatten()
        .map(|row| {
            let member = &everything.snapshot.members[row.member as usize];
            (everything.names.text(member.id), row.state.as_str())
        })
        .collect();
    rows.sort_unstable_by(|one, other| id_order(one.0).cmp(&id_order(other.0)));
    rows
}

fn members(real: &Everything, copy: &Everything, found: &mut Found) -> Result<(), RunError> {
    let places: HashMap<Name, usize> = (0..)
        .zip(&copy.snapshot.members)
        .map(|(at, member)| (member.id, at))
        .collect();
    let text =
        |of: &Everything, name: Option<Name>| name.map(|name| of.names.text(name).to_owned());
    for member in &real.snapshot.members {
        let id = real.names.text(member.id);
        let at = copy.names.find(id).and_then(|name| places.get(&name));
        let Some(copied) = at.map(|at| &copy.snapshot.members[*at]) else {
            found.add(|| format!("person {id} does not show in the copy"));
            continue;
        };
        if member.status != copied.status {
            let (then, now) = (member.status.as_str(), copied.status.as_str());
            found.add(|| format!("person {id} is {then} there and {now} in the copy"));
        }
        if text(real, member.address) != text(copy, copied.address) {
            found.add(|| format!("person {id} has another address in the copy"));
        }
        if member.hash.is_some() && member.hash != copied.hash && !real.snapshot.is_unreadable(id) {
            let (then, now) = (real.profiles.get(id)?, copy.profiles.get(id)?);
            let fields = fields_of(&then.unwrap_or_default(), &now.unwrap_or_default());
            found.add(|| format!("person {id} differs in {fields}"));
        }
    }
    let more = copy.snapshot.members.len();
    if more > real.snapshot.members.len() {
        let number = more - real.snapshot.members.len();
        found.add(|| format!("{number} people are in the copy alone"));
    }
    Ok(())
}

/// Names the fields in which two profiles differ.
fn fields_of(then: &Record, now: &Record) -> String {
    let mut fields: Vec<&str> = then
        .keys()
        .chain(now.keys())
        .filter(|name| then.get(*name) != now.get(*name))
        .map(CompactString::as_str)
        .collect();
    fields.sort_unstable();
    fields.dedup();
    fields.join(", ")
}
